import { readFile } from 'node:fs/promises';

import type { Digest } from '@strake/core';

import { unlessMissing, writeFileWhole } from './files.js';
import type { DigestCache, FileStamp } from './types.js';

/*
 * The file: a header (magic 8, count u32, bytes of the paths u32), records of fixed size, and the paths joined by NUL in the
 * order in which they were last asked for: a scan asks in the same order again, which makes finding them free.
 */
const MAGIC = 'strkdig2';
const HEADER = 16;
/** size f64, mtime u64, ctime u64, inode u64, mode u32, unseen u16, flags u16, digest 32. */
const RECORD = 72;
/** How many saves an entry survives that nobody asked for. Builds of several Dockerfiles may take turns on one context. */
const MAX_UNSEEN = 16;
/** Clocks that stamp files tick every 10 ms at most on Linux; file systems that keep whole seconds get two of them. */
const TICK = 20_000_000n;
const SECOND = 1_000_000_000n;

/** Bits of a record's flags. */
const HAS_DIGEST = 1;
const PLAIN = 2;
/** How far ahead of the last record found the next one is looked for: folders lie between files, files between folders. */
const AHEAD = 8;

interface Fresh {
  readonly stamp: FileStamp;
  digest: Digest | undefined;
  plain: boolean;
}

/** Where the search for the next path begins: scans, and what they are asked for later, go through the paths in one order. */
interface Cursor {
  at: number;
}

/** Digests of a context's files, in one file. */
export class FileDigestCache implements DigestCache {
  readonly #path: string;
  readonly #temporary: () => Promise<string>;
  readonly #bytes: Buffer;
  readonly #paths: readonly string[];
  readonly #fresh = new Map<string, Fresh>();
  readonly #forgotten = new Set<string>();
  readonly #seen: Uint8Array;
  /** What was asked for, in order: numbers are records, texts are paths in `fresh`. */
  readonly #asked: (number | string)[] = [];
  readonly #opened: bigint = BigInt(Date.now()) * 1_000_000n;
  readonly #scanning: Cursor = { at: 0 };
  readonly #asking: Cursor = { at: 0 };
  #numbers: Map<string, number> | undefined;
  #changed = false;

  /** BYTES: the file as it is, or nothing. TEMPORARY gives a path to write to. */
  constructor(path: string, bytes: Buffer | undefined, temporary: () => Promise<string>) {
    this.#path = path;
    this.#temporary = temporary;
    const count = bytes && bytes.length >= HEADER ? bytes.readUInt32LE(8) : 0;
    const whole =
      bytes &&
      count > 0 &&
      bytes.toString('latin1', 0, 8) === MAGIC &&
      bytes.length === HEADER + count * RECORD + bytes.readUInt32LE(12);
    this.#bytes = whole ? bytes : Buffer.alloc(0);
    this.#paths = whole ? bytes.toString('utf16le', HEADER + count * RECORD).split('\0') : [];
    this.#seen = new Uint8Array(this.#paths.length);
  }

  #number(path: string, cursor: Cursor): number | undefined {
    const paths = this.#paths;
    for (let i = cursor.at; i < cursor.at + AHEAD && i < paths.length; i++) {
      if (paths[i] !== path) continue;
      cursor.at = i + 1;
      return i;
    }
    this.#numbers ??= new Map(paths.map((known, number) => [known, number]));
    const number = this.#numbers.get(path);
    if (number !== undefined) cursor.at = number + 1;
    return number;
  }

  /** The place of the record of PATH, where its facts are STAMP. */
  #record(path: string, stamp: FileStamp, cursor: Cursor): number | undefined {
    const number = this.#number(path, cursor);
    if (number === undefined) return undefined;
    const at = HEADER + number * RECORD;
    const bytes = this.#bytes;
    const same =
      bytes.readDoubleLE(at) === stamp.size &&
      bytes.readBigInt64LE(at + 8) === stamp.mtime &&
      bytes.readBigInt64LE(at + 16) === stamp.ctime &&
      bytes.readBigUInt64LE(at + 24) === stamp.inode &&
      bytes.readUInt32LE(at + 32) === stamp.mode;
    if (!same) return undefined;
    if (!this.#seen[number]) this.#asked.push(number);
    this.#seen[number] = 1;
    return at;
  }

  get(path: string, stamp: FileStamp): Digest | undefined {
    const fresh = this.#fresh.get(path);
    if (fresh?.digest !== undefined) return sameStamp(fresh.stamp, stamp) ? fresh.digest : undefined;
    const at = this.#record(path, stamp, this.#asking);
    if (at === undefined || this.#forgotten.has(path)) return undefined;
    if (!(this.#bytes.readUInt16LE(at + 38) & HAS_DIGEST)) return undefined;
    return `sha256:${this.#bytes.toString('hex', at + 40, at + RECORD)}`;
  }

  set(path: string, stamp: FileStamp, digest: Digest): void {
    this.#note(path, stamp).digest = digest;
  }

  forget(path: string): void {
    this.#forgotten.add(path);
    const fresh = this.#fresh.get(path);
    if (fresh) Object.assign(fresh, { digest: undefined, plain: false });
  }

  isPlain(path: string, stamp: FileStamp): boolean {
    const at = this.#record(path, stamp, this.#scanning);
    if (this.#forgotten.has(path)) return false;
    return at !== undefined && (this.#bytes.readUInt16LE(at + 38) & PLAIN) !== 0;
  }

  setPlain(path: string, stamp: FileStamp): void {
    this.#note(path, stamp).plain = true;
  }

  #note(path: string, stamp: FileStamp): Fresh {
    this.#changed = true;
    let fresh = this.#fresh.get(path);
    if (!fresh || !sameStamp(fresh.stamp, stamp)) {
      if (!fresh) this.#asked.push(path);
      const at = this.#record(path, stamp, this.#asking);
      const flags = at === undefined || this.#forgotten.has(path) ? 0 : this.#bytes.readUInt16LE(at + 38);
      const digest: Digest | undefined =
        at !== undefined && flags & HAS_DIGEST
          ? `sha256:${this.#bytes.toString('hex', at + 40, at + RECORD)}`
          : undefined;
      fresh = { stamp, digest, plain: (flags & PLAIN) !== 0 };
      this.#fresh.set(path, fresh);
    }
    return fresh;
  }

  /**
   * Whether the file may have been written after its digest was taken without a new time: its time is not older than the
   * scan by a tick of the clock ("racily clean").
   */
  #isRacy({ mtime, ctime }: FileStamp): boolean {
    const latest = mtime > ctime ? mtime : ctime;
    const coarse = mtime % SECOND === 0n && ctime % SECOND === 0n;
    return latest + (coarse ? 2n * SECOND : TICK) >= this.#opened;
  }

  async save(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    const paths: string[] = [];
    const records: Buffer[] = [];
    const add = (path: string, { stamp, digest, plain }: Fresh): void => {
      if (this.#isRacy(stamp)) return;
      const record = Buffer.alloc(RECORD);
      record.writeDoubleLE(stamp.size, 0);
      record.writeBigInt64LE(stamp.mtime, 8);
      record.writeBigInt64LE(stamp.ctime, 16);
      record.writeBigUInt64LE(stamp.inode, 24);
      record.writeUInt32LE(stamp.mode, 32);
      record.writeUInt16LE((digest === undefined ? 0 : HAS_DIGEST) | (plain ? PLAIN : 0), 38);
      if (digest !== undefined) record.write(digest.slice(7), 40, 'hex');
      paths.push(path);
      records.push(record);
    };
    const keep = (number: number): void => {
      const path = this.#paths[number] as string;
      if (this.#fresh.has(path) || this.#forgotten.has(path)) return;
      const at = HEADER + number * RECORD;
      const record = Buffer.from(this.#bytes.subarray(at, at + RECORD));
      const unseen = this.#seen[number] ? 0 : record.readUInt16LE(36) + 1;
      if (unseen > MAX_UNSEEN) return;
      record.writeUInt16LE(unseen, 36);
      paths.push(path);
      records.push(record);
    };
    for (const one of this.#asked) {
      if (typeof one === 'number') keep(one);
      else add(one, this.#fresh.get(one) as Fresh);
    }
    for (let number = 0; number < this.#paths.length; number++) if (!this.#seen[number]) keep(number);
    const text = Buffer.from(paths.join('\0'), 'utf16le');
    const header = Buffer.alloc(HEADER);
    header.write(MAGIC, 0, 'latin1');
    header.writeUInt32LE(paths.length, 8);
    header.writeUInt32LE(text.length, 12);
    await writeFileWhole(this.#path, Buffer.concat([header, ...records, text]), await this.#temporary());
  }
}

function sameStamp(a: FileStamp, b: FileStamp): boolean {
  return a.size === b.size && a.mtime === b.mtime && a.ctime === b.ctime && a.inode === b.inode && a.mode === b.mode;
}

/** The digest cache in the file at PATH; an empty one where the file is missing or damaged. */
export async function loadDigestCache(path: string, temporary: () => Promise<string>): Promise<FileDigestCache> {
  return new FileDigestCache(path, await unlessMissing(readFile(path)), temporary);
}
