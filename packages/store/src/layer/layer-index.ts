import { openSync, closeSync, fstatSync, readSync } from 'node:fs';

import { bytesOfText, textOfBytes, viewOfBytes, type Digest } from '@strake/core';

import type { EntryFacts, EntryType } from '../entries.js';
import {
  Field,
  Flag,
  HEADER_SIZE,
  INDEX_MAGIC,
  IndexFlag,
  keyOf,
  NONE,
  RECORD_SIZE,
  TYPE_NAMES,
  TypeCode,
  type Extra,
} from './index-format.js';
import { compareBytes } from './paged-heap.js';

const NO_EXTRA: Extra = {};

/** From so many bytes on, the C library compares keys faster than a loop does; paths of deep trees have thousands. */
const LONG_KEY = 256;

const ROOT = 0;

export type RootFacts = Pick<EntryFacts, 'mode' | 'uid' | 'gid' | 'xattrs'>;

/** The index of one layer in memory: one buffer, searched in place. Records are named by their number, the root is 0. */
export class LayerIndex {
  readonly diffId: Digest;
  readonly count: number;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #heap: number;
  readonly #flags: number;

  constructor(diffId: Digest, bytes: Buffer) {
    const view = viewOfBytes(bytes);
    const count = bytes.length < HEADER_SIZE ? 0 : view.getUint32(8, true);
    this.#heap = HEADER_SIZE + count * RECORD_SIZE;
    const whole =
      count > 0 &&
      bytes.toString('latin1', 0, INDEX_MAGIC.length) === INDEX_MAGIC &&
      bytes.length === this.#heap + view.getFloat64(16, true);
    if (!whole) throw new RangeError(`the index of ${diffId} is damaged`);
    this.diffId = diffId;
    this.count = count;
    this.#bytes = bytes;
    this.#view = view;
    this.#flags = view.getUint32(12, true);
  }

  /** Bytes of memory. */
  get size(): number {
    return this.#bytes.length;
  }

  /**
   * Whether unpacking the layer needs the layers below: for the facts of folders that it implies, for files that it links to,
   * or to leave out whiteouts of nothing.
   */
  get dependsOnLower(): boolean {
    return (this.#flags & (IndexFlag.implied | IndexFlag.external | IndexFlag.whiteouts)) !== 0;
  }

  get hasExternalLinks(): boolean {
    return (this.#flags & IndexFlag.external) !== 0;
  }

  /** Whether nothing of the layers below is to be seen. */
  get opaqueRoot(): boolean {
    return (this.#flags & IndexFlag.opaqueRoot) !== 0;
  }

  /** Where unpacking the layer looks at the layers below; undefined where it looks for more than facts of a path. */
  get pathsBelow(): string[] | undefined {
    if (this.hasExternalLinks) return undefined;
    const paths: string[] = [];
    for (let record = 0; record < this.count; record++) {
      if (this.isImplied(record) || this.type(record) === TypeCode.whiteout) paths.push(this.path(record));
    }
    return paths;
  }

  /** What the layer says of the root folder itself; undefined where it leaves that to those below. */
  get root(): RootFacts | undefined {
    if (this.isImplied(ROOT)) return undefined;
    return { mode: this.mode(ROOT), uid: this.uid(ROOT), gid: this.gid(ROOT), xattrs: this.extra(ROOT).xattrs };
  }

  #at(record: number): number {
    return HEADER_SIZE + record * RECORD_SIZE;
  }

  #u32(record: number, field: number): number {
    return this.#view.getUint32(this.#at(record) + field, true);
  }

  /** A code of `TypeCode`. */
  type(record: number): number {
    return this.#bytes[this.#at(record) + Field.type] ?? 0;
  }

  typeName(record: number): EntryType {
    return TYPE_NAMES[this.type(record)] ?? 'file';
  }

  isFolder(record: number): boolean {
    return this.type(record) === TypeCode.directory;
  }

  isImplied(record: number): boolean {
    return ((this.#bytes[this.#at(record) + Field.flags] ?? 0) & Flag.implied) !== 0;
  }

  isGhost(record: number): boolean {
    return ((this.#bytes[this.#at(record) + Field.flags] ?? 0) & Flag.ghost) !== 0;
  }

  isOpaque(record: number): boolean {
    return ((this.#bytes[this.#at(record) + Field.flags] ?? 0) & Flag.opaque) !== 0;
  }

  mode(record: number): number {
    return this.#view.getUint16(this.#at(record) + Field.mode, true);
  }

  uid(record: number): number {
    return this.#u32(record, Field.uid);
  }

  gid(record: number): number {
    return this.#u32(record, Field.gid);
  }

  contentSize(record: number): number {
    return this.#view.getFloat64(this.#at(record) + Field.size, true);
  }

  mtime(record: number): number {
    return this.#view.getFloat64(this.#at(record) + Field.mtime, true);
  }

  /** Where the content starts in the tar. */
  offset(record: number): number {
    return this.#view.getFloat64(this.#at(record) + Field.offset, true);
  }

  digest(record: number): Digest {
    const at = this.#at(record) + Field.digest;
    return `sha256:${this.#bytes.toString('hex', at, at + 32)}`;
  }

  /** The first of the names that a file has in this layer; undefined where it has one only. */
  firstName(record: number): number | undefined {
    const first = this.#u32(record, Field.firstName);
    return first === NONE ? undefined : first;
  }

  /** Whether a record is an entry's of the tar without link, attributes, marks or further names. */
  hasOnlyFacts(record: number): boolean {
    return (
      this.#bytes[this.#at(record) + Field.flags] === 0 &&
      this.#u32(record, Field.extraLength) === 0 &&
      this.firstName(record) === undefined
    );
  }

  extra(record: number): Extra {
    const length = this.#u32(record, Field.extraLength);
    if (length === 0) return NO_EXTRA;
    const start = this.#heap + this.#u32(record, Field.extra);
    return JSON.parse(this.#bytes.toString('utf8', start, start + length)) as Extra;
  }

  #keyStart(record: number): number {
    return this.#heap + this.#u32(record, Field.key);
  }

  #keyLength(record: number): number {
    return this.#view.getUint16(this.#at(record) + Field.keyLength, true);
  }

  path(record: number): string {
    const start = this.#keyStart(record);
    return textOfBytes(this.#bytes.subarray(start, start + this.#keyLength(record))).replaceAll('\0', '/');
  }

  /** The last component of the record's path, as bytes. */
  nameBytes(record: number): Buffer {
    const start = this.#keyStart(record);
    const key = this.#bytes.subarray(start, start + this.#keyLength(record));
    return key.subarray(key.lastIndexOf(0) + 1);
  }

  #compare(record: number, key: Uint8Array): number {
    const start = this.#keyStart(record);
    const end = start + this.#keyLength(record);
    if (key.length >= LONG_KEY) return this.#bytes.compare(key, 0, key.length, start, end);
    return compareBytes(this.#bytes, start, end, key, 0, key.length);
  }

  /** The first record in [low, high) whose key is not less than KEY. */
  #lowerBound(key: Uint8Array, low: number, high: number): number {
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(middle, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The record of the path with this key (see `keyOf`), or -1. */
  find(key: Uint8Array, low = 0, high: number = this.count): number {
    const record = this.#lowerBound(key, low, high);
    return record < high && this.#compare(record, key) === 0 ? record : -1;
  }

  findPath(path: string): number {
    return this.find(keyOf(bytesOfText(path)));
  }

  /** The end of the records below RECORD: they are (RECORD, end). */
  subtreeEnd(record: number, high: number = this.count): number {
    const next = record + 1;
    const length = this.#keyLength(record);
    if (length === 0) return this.count;
    if (next >= high || !this.#isBelow(next, record, length)) return next;
    const start = this.#keyStart(record);
    const bound = Buffer.allocUnsafe(length + 1);
    this.#bytes.copy(bound, 0, start, start + length);
    bound[length] = 1;
    return this.#lowerBound(bound, next, high);
  }

  #isBelow(record: number, above: number, length: number): boolean {
    const start = this.#keyStart(record);
    const aboveStart = this.#keyStart(above);
    return (
      this.#keyLength(record) > length &&
      this.#bytes[start + length] === 0 &&
      this.#bytes.compare(this.#bytes, aboveStart, aboveStart + length, start, start + length) === 0
    );
  }

  /** The records directly in folder RECORD, sorted by name. */
  *children(record: number): Generator<number> {
    const end = this.subtreeEnd(record);
    for (let child = record + 1; child < end; child = this.isFolder(child) ? this.subtreeEnd(child, end) : child + 1) {
      yield child;
    }
  }
}

/** Loads an index, a file or its bytes. @throws the system error where it cannot be read, RangeError where it is damaged */
export function loadIndex(diffId: Digest, index: string | Uint8Array): LayerIndex {
  if (typeof index === 'string') return loadFile(diffId, index);
  return new LayerIndex(diffId, Buffer.from(index.buffer, index.byteOffset, index.byteLength));
}

/** How many paths an index, a file or its bytes, has records of. @throws the system error where it cannot be read */
export function countRecords(index: string | Uint8Array): number {
  if (typeof index !== 'string') return viewOfBytes(index).getUint32(8, true);
  const fd = openSync(index, 'r');
  try {
    const head = Buffer.alloc(HEADER_SIZE);
    readSync(fd, head, 0, HEADER_SIZE, 0);
    return head.readUInt32LE(8);
  } finally {
    closeSync(fd);
  }
}

function loadFile(diffId: Digest, path: string): LayerIndex {
  const fd = openSync(path, 'r');
  try {
    const bytes = Buffer.allocUnsafeSlow(fstatSync(fd).size);
    let read = 0;
    while (read < bytes.length) {
      const count = readSync(fd, bytes, read, bytes.length - read, read);
      if (count === 0) break;
      read += count;
    }
    return new LayerIndex(diffId, bytes.subarray(0, read));
  } finally {
    closeSync(fd);
  }
}
