import { tarChecksumFits, tarText, textOfBytes } from '@strake/core';

import { layerInvalid, shown } from '../errors.js';
import type { EntryType, Segments } from '../entries.js';
import { ContentHash } from './content-hash.js';
import { numberField, parsePax } from './fields.js';
import { BLOCK, paddingOf } from './header.js';
import { checkedSegments, paxSparseNumbers, SparseMapReader } from './sparse.js';

/** Extended headers and long names beyond these are refused: they are kept in memory. */
const MAX_PAX = 1 << 20;
const MAX_LONG_NAME = 1 << 16;
/** Bytes of holes in sparse files of one tar: they cost time to hash, and space where something writes them out. */
export const MAX_HOLES: number = 256 * 2 ** 30;
const MAX_ID = 0xfffffffe;
const EMPTY_BLOCK = Buffer.alloc(BLOCK);
const NO_RECORDS: ReadonlyMap<string, string> = new Map();

/** An entry as the tar has it; its name not yet checked. */
export interface TarEntry {
  readonly name: string;
  readonly type: EntryType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of the file as it is read. */
  readonly size: number;
  readonly mtime: number;
  readonly link?: string | undefined;
  readonly device?: { readonly major: number; readonly minor: number } | undefined;
  readonly xattrs?: Record<string, string> | undefined;
  /** Where the content starts in the tar. */
  readonly offset: number;
  /** sha256 of the content, for files. */
  readonly digest?: Buffer | undefined;
  readonly segments?: Segments | undefined;
}

const TYPES: Readonly<Record<string, EntryType>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

interface Draft {
  name: string;
  type: EntryType;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: number;
  link: string;
  device: { major: number; minor: number } | undefined;
  xattrs: Record<string, string> | undefined;
  /** Bytes in the tar that are left. */
  stored: number;
  segments: [number, number][] | undefined;
}

type State = 'header' | 'zeros' | 'long' | 'pax-map' | 'content' | 'padding' | 'end';

/**
 * Reads a tar that comes in pieces: ustar, PAX with its sparse files, GNU's long names and base-256 numbers. Other types
 * than BuildKit unpacks are refused, as are GNU's old sparse files. Takes every byte as hostile: what is malformed is refused, nothing is kept in memory without bound. What follows the end blocks is ignored.
 */
export class TarParser {
  readonly #onEntry: (entry: TarEntry) => void;
  readonly #block: Buffer = Buffer.alloc(BLOCK);
  #filled = 0;
  #state: State = 'header';
  #position = 0;
  #skip = 0;
  #long: { readonly type: string; readonly parts: Buffer[]; rest: number; size: number } | undefined;
  #longName: Buffer | undefined;
  #longLink: Buffer | undefined;
  #pax: Map<string, Buffer> | undefined;
  #paxPieces: string[] = [];
  #draft: Draft | undefined;
  #map: SparseMapReader | undefined;
  #content: ContentHash | undefined;
  #offset = 0;
  #holes = 0;

  constructor(onEntry: (entry: TarEntry) => void) {
    this.#onEntry = onEntry;
  }

  /** @throws StrakeError `LAYER_INVALID` */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.#state !== 'end';) {
      if (this.#state === 'content' || this.#state === 'padding' || this.#state === 'long') {
        at += this.#stream(chunk, at);
        continue;
      }
      const part = Math.min(BLOCK - this.#filled, chunk.length - at);
      chunk.copy(this.#block, this.#filled, at, at + part);
      this.#filled += part;
      this.#position += part;
      at += part;
      if (this.#filled === BLOCK) {
        this.#filled = 0;
        this.#takeBlock(this.#block);
      }
    }
  }

  /** Whether the blocks that end a tar have come. */
  get atEnd(): boolean {
    return this.#state === 'end';
  }

  /** Says that there is no more. @throws StrakeError `LAYER_INVALID` where something is cut short */
  end(): void {
    const name = this.#draft?.name;
    if (this.#filled > 0 || !['header', 'zeros', 'end'].includes(this.#state)) {
      throw layerInvalid(name === undefined ? 'its tar is cut short' : `its tar is cut short in ${shown(name)}`);
    }
  }

  /** Takes bytes of a content, its padding or a long header; returns how many. */
  #stream(chunk: Buffer, at: number): number {
    if (this.#state === 'padding') {
      const part = Math.min(this.#skip, chunk.length - at);
      this.#skip -= part;
      this.#position += part;
      if (this.#skip === 0) this.#state = 'header';
      return part;
    }
    if (this.#state === 'long') {
      const long = this.#long;
      if (!long) return 0;
      const part = Math.min(long.rest, chunk.length - at);
      long.parts.push(Buffer.from(chunk.subarray(at, at + part)));
      long.rest -= part;
      this.#position += part;
      if (long.rest === 0) this.#finishLong(long.type, Buffer.concat(long.parts), long.size);
      return part;
    }
    const draft = this.#draft;
    if (!draft) return 0;
    const part = Math.min(draft.stored, chunk.length - at);
    this.#content?.update(chunk.subarray(at, at + part));
    draft.stored -= part;
    this.#position += part;
    if (draft.stored === 0) this.#finishEntry(draft);
    return part;
  }

  #pad(size: number): void {
    this.#skip = paddingOf(size);
    this.#state = this.#skip > 0 ? 'padding' : 'header';
  }

  #takeBlock(block: Buffer): void {
    if (this.#state === 'pax-map') return this.#takePaxMap(block);
    const empty = block[0] === 0 && block.equals(EMPTY_BLOCK);
    if (this.#state === 'zeros') {
      if (!empty) throw layerInvalid('its tar goes on after an empty block');
      this.#state = 'end';
    } else if (empty) this.#state = 'zeros';
    else this.#takeHeader(block);
  }

  #takeHeader(block: Buffer): void {
    const shortName = tarText(block, 0, 100);
    if (!tarChecksumFits(block))
      throw layerInvalid(`the header of ${shown(textOfBytes(shortName))} has a wrong checksum`);
    const flag = String.fromCharCode(block[156] ?? 0);
    const what = shown(textOfBytes(this.#longName ?? shortName));
    const size = numberField(block, 124, 12, `the size of ${what}`);
    if (size < 0) throw layerInvalid(`the size of ${what} is negative`);
    if (flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K') {
      const limit = flag === 'x' || flag === 'g' ? MAX_PAX : MAX_LONG_NAME;
      if (size > limit) throw layerInvalid(`an extended header (name too long, or PAX) has more than ${limit} bytes`);
      this.#long = { type: flag, parts: [], rest: size, size };
      this.#state = 'long';
      if (size === 0) this.#finishLong(flag, Buffer.alloc(0), 0);
      return;
    }
    this.#startEntry(block, flag, size, shortName);
  }

  #finishLong(type: string, bytes: Buffer, size: number): void {
    this.#long = undefined;
    const zero = bytes.indexOf(0);
    if (type === 'L') this.#longName = zero < 0 ? bytes : bytes.subarray(0, zero);
    else if (type === 'K') this.#longLink = zero < 0 ? bytes : bytes.subarray(0, zero);
    else {
      const records = parsePax(bytes);
      // Global records are checked, but say nothing: image builders do not write them, and readers differ on them.
      if (type === 'x') {
        this.#pax = new Map(records);
        this.#paxPieces = records
          .filter(([key]) => key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes')
          .map(([, value]) => value.toString('latin1'));
      }
    }
    this.#pad(size);
  }

  /** As in Go, a record without a value says nothing. */
  #paxText(key: string): string | undefined {
    const value = this.#pax?.get(key);
    if (value?.length === 0) return undefined;
    if (value?.includes(0)) throw layerInvalid(`the record ${shown(key)} of a PAX header has a NUL in it`);
    return value === undefined ? undefined : textOfBytes(value);
  }

  #paxNumber(key: string, otherwise: number, max: number, what: string): number {
    const text = this.#paxText(key);
    const value = text === undefined ? otherwise : /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= 0 && value <= max)) throw layerInvalid(`the ${key} of ${what} is no proper number`);
    return value;
  }

  #startEntry(block: Buffer, flag: string, headerSize: number, shortName: Buffer): void {
    const posix = block.toString('latin1', 257, 263) === 'ustar\0';
    const prefix = posix ? tarText(block, 345, 155) : Buffer.alloc(0);
    const ustarName = prefix.length > 0 ? Buffer.concat([prefix, Buffer.of(0x2f), shortName]) : shortName;
    const name = this.#paxText('GNU.sparse.name') ?? this.#paxText('path') ?? textOfBytes(this.#longName ?? ustarName);
    const what = shown(name);
    let type = TYPES[flag];
    if (flag === 'S')
      throw layerInvalid(`${what} is sparse in GNU's old form, which other builders do not unpack either`);
    if (!type) throw layerInvalid(`${what} has the unknown type ${JSON.stringify(flag)}`);
    if (type === 'file' && flag === '\0' && name.endsWith('/')) type = 'directory';
    const size = this.#paxNumber('size', headerSize, Number.MAX_SAFE_INTEGER, what);
    const link = this.#paxText('linkpath') ?? textOfBytes(this.#longLink ?? tarText(block, 157, 100));
    const device = type === 'char' || type === 'block';
    this.#draft = {
      name,
      type,
      mode: numberField(block, 100, 8, `the mode of ${what}`) & 0o7777,
      uid: this.#paxNumber('uid', numberField(block, 108, 8, `the uid of ${what}`), MAX_ID, what),
      gid: this.#paxNumber('gid', numberField(block, 116, 8, `the gid of ${what}`), MAX_ID, what),
      size: type === 'file' ? size : 0,
      mtime: this.#mtime(numberField(block, 136, 12, `the time of ${what}`), what),
      link: type === 'symlink' || type === 'hardlink' ? link : '',
      device: device
        ? { major: this.#device(block, 329, 0xfff, what), minor: this.#device(block, 337, 0xfffff, what) }
        : undefined,
      xattrs: this.#xattrs(),
      stored: type === 'file' ? size : 0,
      segments: undefined,
    };
    this.#beginContent(this.#draft);
  }

  #device(block: Buffer, at: number, max: number, what: string): number {
    const value = numberField(block, at, 8, `the device number of ${what}`);
    if (value < 0 || value > max) throw layerInvalid(`the device number of ${what} is out of range`);
    return value;
  }

  #mtime(header: number, what: string): number {
    const text = this.#paxText('mtime');
    const value =
      text === undefined ? header : /^-?[0-9]{1,12}(\.[0-9]*)?$/.test(text) ? Math.floor(Number(text)) : NaN;
    if (!(Math.abs(value) < 1e12)) throw layerInvalid(`the time of ${what} in its header is out of range`);
    return value;
  }

  #xattrs(): Record<string, string> | undefined {
    let xattrs: Record<string, string> | undefined;
    for (const [key, value] of this.#pax ?? []) {
      if (!key.startsWith('SCHILY.xattr.')) continue;
      const name = key.slice('SCHILY.xattr.'.length);
      // With a null prototype `__proto__` is a name like any other.
      xattrs ??= Object.create(null) as Record<string, string>;
      xattrs[name] = value.toString('latin1');
    }
    return xattrs;
  }

  /** Finds out about sparse files, then goes on to the content. */
  #beginContent(draft: Draft): void {
    const pax = this.#pax ? new Map([...this.#pax].map(([key, value]) => [key, value.toString('latin1')])) : NO_RECORDS;
    const pieces = this.#paxPieces;
    this.#longName = this.#longLink = this.#pax = undefined;
    this.#paxPieces = [];
    const what = shown(draft.name);
    const realSize = (key: string): number => {
      const text = pax.get(key) ?? '';
      if (!/^[0-9]{1,16}$/.test(text)) throw layerInvalid(`the size of the sparse file ${what} is no proper number`);
      return Number(text);
    };
    if (draft.type === 'file' && pax.get('GNU.sparse.major') === '1') {
      draft.size = realSize('GNU.sparse.realsize');
      this.#map = new SparseMapReader(what);
      this.#state = 'pax-map';
    } else if (draft.type === 'file' && (pieces.length > 0 || pax.has('GNU.sparse.map'))) {
      draft.size = realSize(pax.has('GNU.sparse.size') ? 'GNU.sparse.size' : 'GNU.sparse.realsize');
      this.#setSegments(draft, paxSparseNumbers(pax, pieces, what));
      this.#startContent(draft);
    } else this.#startContent(draft);
  }

  #setSegments(draft: Draft, numbers: readonly number[]): void {
    const what = shown(draft.name);
    if (draft.size < 0) throw layerInvalid(`the size of the sparse file ${what} is negative`);
    draft.segments = checkedSegments(numbers, draft.size, what);
    const stored = draft.segments.reduce((sum, [, length]) => sum + length, 0);
    if (stored !== draft.stored) throw layerInvalid(`the map of the sparse file ${what} does not fit its content`);
    this.#holes += draft.size - stored;
    if (this.#holes > MAX_HOLES) throw layerInvalid(`the sparse file ${what} is too large`);
  }

  #takePaxMap(block: Buffer): void {
    const draft = this.#draft;
    if (!draft || !this.#map) return;
    draft.stored -= BLOCK;
    if (draft.stored < 0)
      throw layerInvalid(`the map of the sparse file ${shown(draft.name)} does not fit its content`);
    const numbers = this.#map.block(block);
    if (!numbers) return;
    this.#map = undefined;
    this.#setSegments(draft, numbers);
    this.#startContent(draft);
  }

  #startContent(draft: Draft): void {
    this.#offset = this.#position;
    this.#content = draft.type === 'file' ? new ContentHash(draft.size, draft.segments) : undefined;
    this.#state = 'content';
    this.#skip = paddingOf(draft.stored);
    if (draft.stored === 0) this.#finishEntry(draft);
  }

  #finishEntry(draft: Draft): void {
    this.#state = this.#skip > 0 ? 'padding' : 'header';
    const { name, type, mode, uid, gid, size, mtime, link, device, xattrs, segments } = draft;
    const digest = this.#content?.finish();
    this.#draft = this.#content = undefined;
    const offset = this.#offset;
    this.#onEntry({
      name,
      type,
      mode,
      uid,
      gid,
      size,
      mtime,
      link: link === '' && type !== 'symlink' && type !== 'hardlink' ? undefined : link,
      device,
      xattrs,
      offset,
      digest,
      segments,
    });
  }
}
