import { bytesOfText, textOfBytes, type Digest } from '@strake/core';

import { isRacy } from './file-times.js';
import { hashOf } from './path-hash.js';
import { RememberedSelections, type SelectionMemory } from './remembered-selections.js';
import type { FileStamp } from './stat.js';

/*
 * The file: a header (magic 8, count u32, bytes of the paths f64), records of fixed size, the paths, each ended by NUL, in the order
 * in which they were last asked for (a scan asks in the same order again, which makes finding them free), and what was selected.
 */
const MAGIC = 'strkdig5';
const HEADER = 20;
/** Offsets in a record. */
const SIZE = 0;
const MTIME = 8;
const CTIME = 16;
const INODE = 24;
const MODE = 32;
const UNSEEN = 36;
const FLAGS = 38;
const DIGEST = 40;
const PATH = 72;
const PATH_LENGTH = 76;
const RECORD = 80;
const PER_PAGE = 4096;
const PATH_BITS = 20;
const PATH_PAGE = 1 << PATH_BITS;
/** How many saves an entry survives that nobody asked for. Builds of several Dockerfiles may take turns on one context. */
const MAX_UNSEEN = 16;
const SECOND = 1000;
/** How far ahead of the last record found the next one is looked for: folders and files lie between each other. */
const AHEAD = 8;
const CHUNK = 1 << 20;

const Flag = { digest: 1, plain: 2, earlier: 4, ascii: 8, extras: 16 } as const;
/** What became of a record of the file. */
const Fate = { unseen: 0, asked: 1, replaced: 2 } as const;

/**
 * The files of a context as columns: a row for each path, of 80 bytes and its name; what earlier builds learned of them is there
 * at once, as their file is used as it is. A row stands for one state of a file: with other facts it gets a new one.
 */
export class FileTable {
  readonly #loaded: Buffer;
  /** Rows of the file; those that follow are in pages. */
  readonly #base: number;
  readonly #fates: Uint8Array;
  readonly #selections: RememberedSelections;
  readonly #pages: Buffer[] = [];
  readonly #paths: Buffer[] = [];
  readonly #opened: number;
  readonly #asked: number[] = [];
  /** Rows of this build that others have taken the place of. */
  readonly #replaced = new Set<number>();
  #pathUsed = PATH_PAGE;
  #count: number;
  #cursor = 0;
  #slots: Int32Array | undefined;
  #changed = false;

  /**
   * BYTES: the file as an earlier build left it; nothing where there is none. A damaged one counts as none. OPENED: when the first
   * file was looked at, in milliseconds since 1970.
   */
  constructor(bytes?: Buffer, opened: number = Date.now()) {
    this.#opened = opened;
    const count = bytes && bytes.length >= HEADER ? bytes.readUInt32LE(8) : 0;
    const whole =
      bytes &&
      count > 0 &&
      bytes.toString('latin1', 0, 8) === MAGIC &&
      bytes.length >= HEADER + count * RECORD + bytes.readDoubleLE(12);
    this.#loaded = whole ? bytes : Buffer.alloc(0);
    const selections = whole ? HEADER + count * RECORD + bytes.readDoubleLE(12) : 0;
    this.#selections = new RememberedSelections(this.#loaded.subarray(selections), whole ? count : 0);
    this.#base = whole ? count : 0;
    this.#count = this.#base;
    this.#fates = new Uint8Array(this.#base);
  }

  /** Whether there is something to be saved. */
  get changed(): boolean {
    return this.#changed;
  }

  /** Whether most rows are of states that are gone, as after hours of changes told to one process. Its file holds none of them. */
  get isWorn(): boolean {
    return this.#replaced.size > Math.max(2 * PER_PAGE, this.#count - this.#replaced.size);
  }

  #page(row: number): Buffer {
    return row < this.#base ? this.#loaded : (this.#pages[Math.floor((row - this.#base) / PER_PAGE)] as Buffer);
  }

  #at(row: number): number {
    return row < this.#base ? HEADER + row * RECORD : ((row - this.#base) % PER_PAGE) * RECORD;
  }

  #flags(row: number): number {
    return this.#page(row).readUInt16LE(this.#at(row) + FLAGS);
  }

  #setFlag(row: number, flag: number): void {
    this.#changed = true;
    this.#page(row).writeUInt16LE(this.#flags(row) | flag, this.#at(row) + FLAGS);
  }

  path(row: number): string {
    const bytes = this.#pathBytes(row);
    return this.#flags(row) & Flag.ascii ? bytes.toString('latin1') : textOfBytes(bytes);
  }

  #pathBytes(row: number): Buffer {
    const record = this.#page(row);
    const at = this.#at(row);
    const place = record.readUInt32LE(at + PATH);
    const length = record.readUInt16LE(at + PATH_LENGTH);
    if (row < this.#base) {
      const start = HEADER + this.#base * RECORD + place;
      return this.#loaded.subarray(start, start + length);
    }
    const start = place % PATH_PAGE;
    return (this.#paths[place >>> PATH_BITS] as Buffer).subarray(start, start + length);
  }

  #isPath(row: number, path: string): boolean {
    const length = this.#page(row).readUInt16LE(this.#at(row) + PATH_LENGTH);
    return length >= path.length && this.path(row) === path;
  }

  size(row: number): number {
    return this.#page(row).readDoubleLE(this.#at(row) + SIZE);
  }

  mode(row: number): number {
    return this.#page(row).readUInt32LE(this.#at(row) + MODE);
  }

  /** The whole second of the modification time. */
  seconds(row: number): number {
    const milliseconds = this.#page(row).readDoubleLE(this.#at(row) + MTIME);
    return Math.floor(milliseconds / SECOND) - (this.#flags(row) & Flag.earlier ? 1 : 0);
  }

  /** Says that the modification time lies right before the second that its rounded number shows. */
  setEarlier(row: number): void {
    this.#setFlag(row, Flag.earlier);
  }

  digest(row: number): Digest | undefined {
    if (!(this.#flags(row) & Flag.digest)) return undefined;
    const at = this.#at(row) + DIGEST;
    return `sha256:${this.#page(row).toString('hex', at, at + 32)}`;
  }

  hasDigest(row: number): boolean {
    return (this.#flags(row) & Flag.digest) !== 0;
  }

  /** DIGEST: the 32 bytes of a sha256. */
  setDigest(row: number, digest: Uint8Array): void {
    this.#page(row).set(digest, this.#at(row) + DIGEST);
    this.#setFlag(row, Flag.digest);
  }

  /** What is remembered of what was selected under NAME, in rows of this table; all files of what will be have digests. */
  selections(name: string): SelectionMemory {
    return this.#selections.of(name, () => (this.#changed = true));
  }

  /** Where the path of a row of the file lies, ended by NUL; undefined for rows of this build. */
  nativeName(row: number): { readonly bytes: Buffer; readonly at: number } | undefined {
    if (row >= this.#base) return undefined;
    const at = HEADER + this.#base * RECORD + this.#loaded.readUInt32LE(this.#at(row) + PATH);
    return { bytes: this.#loaded, at };
  }

  /** Says that the path of a row is asked for next. */
  seek(row: number): void {
    this.#cursor = row;
  }

  /** Takes a row as asked for, whose facts were found to be what they were. */
  confirm(row: number): void {
    if (row < this.#base && this.#fates[row] === Fate.unseen) {
      this.#fates[row] = Fate.asked;
      this.#asked.push(row);
    }
  }

  /** Whether a path has more than its facts: a link's target, attributes, further names. */
  hasExtras(row: number): boolean {
    return (this.#flags(row) & Flag.extras) !== 0;
  }

  setExtras(row: number): void {
    if (!this.hasExtras(row)) this.#setFlag(row, Flag.extras);
  }

  /** Whether the path, of any type, is known to have no extended attribute that goes into an image. */
  isPlain(row: number): boolean {
    return (this.#flags(row) & Flag.plain) !== 0;
  }

  setPlain(row: number): void {
    this.#setFlag(row, Flag.plain);
  }

  /** A row's file is known to have been written to, whatever its facts: it gets a new row. */
  forget(row: number): void {
    this.#changed = true;
    if (row < this.#base) this.#fates[row] = Fate.replaced;
    else this.#replaced.add(row);
  }

  /** The row of PATH with these facts; a new one, without digest, where there is none. */
  row(path: string, stamp: FileStamp): { readonly row: number; readonly fresh: boolean } {
    const known = this.#find(path);
    if (known >= 0 && this.isState(known, stamp)) {
      this.confirm(known);
      return { row: known, fresh: false };
    }
    return { row: this.#add(path, stamp, known), fresh: true };
  }

  /** Whether STAMP are the facts of a row. */
  isState(row: number, { size, mtime, ctime, inode, mode }: FileStamp): boolean {
    const page = this.#page(row);
    const at = this.#at(row);
    return (
      !this.#isReplaced(row) &&
      page.readDoubleLE(at + SIZE) === size &&
      page.readDoubleLE(at + MTIME) === mtime &&
      page.readDoubleLE(at + CTIME) === ctime &&
      page.readDoubleLE(at + INODE) === inode &&
      page.readUInt32LE(at + MODE) === mode
    );
  }

  #add(path: string, { size, mtime, ctime, inode, mode }: FileStamp, replaced: number): number {
    this.#changed = true;
    const row = this.#count++;
    if ((row - this.#base) % PER_PAGE === 0) this.#pages.push(Buffer.alloc(PER_PAGE * RECORD));
    const page = this.#page(row);
    const at = this.#at(row);
    page.writeDoubleLE(size, at + SIZE);
    page.writeDoubleLE(mtime, at + MTIME);
    page.writeDoubleLE(ctime, at + CTIME);
    page.writeDoubleLE(inode, at + INODE);
    page.writeUInt32LE(mode, at + MODE);
    const length = Buffer.byteLength(path);
    const ascii = length === path.length;
    const bytes = ascii ? undefined : bytesOfText(path);
    const used = bytes?.length ?? length;
    if (this.#paths.length === 0 || this.#pathUsed + used > PATH_PAGE) {
      this.#paths.push(Buffer.allocUnsafeSlow(PATH_PAGE));
      this.#pathUsed = 0;
    }
    const paths = this.#paths.at(-1) as Buffer;
    if (bytes) paths.set(bytes, this.#pathUsed);
    else paths.write(path, this.#pathUsed, 'latin1');
    page.writeUInt32LE((this.#paths.length - 1) * PATH_PAGE + this.#pathUsed, at + PATH);
    page.writeUInt16LE(used, at + PATH_LENGTH);
    if (ascii) page.writeUInt16LE(Flag.ascii, at + FLAGS);
    this.#pathUsed += used;
    this.#asked.push(row);
    if (replaced < 0) {
      if (this.#slots) this.#insert(path, row);
      return row;
    }
    this.forget(replaced);
    this.#moveSlot(path, replaced, row);
    return row;
  }

  /** The row of PATH, -1 where there is none. */
  #find(path: string): number {
    for (let row = this.#cursor; row < this.#cursor + AHEAD && row < this.#base; row++) {
      if (!this.#isPath(row, path)) continue;
      if (this.#fates[row] === Fate.replaced) break;
      this.#cursor = row + 1;
      return row;
    }
    const slots = this.#slots ?? this.#hashAll();
    for (let slot = hashOf(path) % slots.length; ; slot = (slot + 1) % slots.length) {
      const row = (slots[slot] as number) - 1;
      if (row < 0) return -1;
      if (!this.#isPath(row, path)) continue;
      if (row < this.#base) this.#cursor = row + 1;
      return row;
    }
  }

  /** Puts all rows into a table with room for as many again. */
  #hashAll(): Int32Array {
    const slots = new Int32Array(Math.max(1024, this.#count * 4));
    this.#slots = slots;
    for (let row = 0; row < this.#count; row++) {
      if (!this.#isReplaced(row)) this.#insert(this.path(row), row);
    }
    return slots;
  }

  #isReplaced(row: number): boolean {
    return row < this.#base ? this.#fates[row] === Fate.replaced : this.#replaced.has(row);
  }

  #insert(path: string, row: number): void {
    const slots = this.#slots as Int32Array;
    let slot = hashOf(path) % slots.length;
    while (slots[slot] !== 0) slot = (slot + 1) % slots.length;
    slots[slot] = row + 1;
    if (this.#count * 2 > slots.length) this.#hashAll();
  }

  /** Lets the slot of PATH lead to ROW instead of REPLACED. */
  #moveSlot(path: string, replaced: number, row: number): void {
    const slots = this.#slots;
    if (!slots) return;
    let slot = hashOf(path) % slots.length;
    while (slots[slot] !== replaced + 1) slot = (slot + 1) % slots.length;
    slots[slot] = row + 1;
  }

  #isRacy(row: number): boolean {
    const page = this.#page(row);
    const at = this.#at(row);
    return isRacy(page.readDoubleLE(at + MTIME), page.readDoubleLE(at + CTIME), this.#opened);
  }

  /** Rows that go into the file: what was asked for in that order, then what nobody asked for, for some time. */
  *#kept(): Generator<number> {
    for (const row of this.#asked) {
      if (!this.#isReplaced(row) && (row < this.#base || !this.#isRacy(row))) yield row;
    }
    for (let row = 0; row < this.#base; row++) {
      if (this.#fates[row] !== Fate.unseen) continue;
      if (this.#page(row).readUInt16LE(this.#at(row) + UNSEEN) < MAX_UNSEEN) yield row;
    }
  }

  /** The bytes of the file for the next build, in pieces. */
  *chunks(): Generator<Uint8Array> {
    const places = new Int32Array(this.#count).fill(-1);
    let count = 0;
    let names = 0;
    for (const row of this.#kept()) {
      places[row] = count++;
      names += this.#page(row).readUInt16LE(this.#at(row) + PATH_LENGTH) + 1;
    }
    const header = Buffer.alloc(HEADER);
    header.write(MAGIC, 0, 'latin1');
    header.writeUInt32LE(count, 8);
    header.writeDoubleLE(names, 12);
    yield header;
    let chunk = Buffer.allocUnsafe(CHUNK);
    let used = 0;
    let place = 0;
    for (const row of this.#kept()) {
      if (used + RECORD > CHUNK) {
        yield chunk.subarray(0, used);
        chunk = Buffer.allocUnsafe(CHUNK);
        used = 0;
      }
      const page = this.#page(row);
      const at = this.#at(row);
      page.copy(chunk, used, at, at + RECORD);
      const unseen = row < this.#base && this.#fates[row] === Fate.unseen ? page.readUInt16LE(at + UNSEEN) + 1 : 0;
      chunk.writeUInt16LE(unseen, used + UNSEEN);
      chunk.writeUInt32LE(place, used + PATH);
      place += page.readUInt16LE(at + PATH_LENGTH) + 1;
      used += RECORD;
    }
    for (const row of this.#kept()) {
      const bytes = this.#pathBytes(row);
      if (used + bytes.length + 1 > CHUNK) {
        yield chunk.subarray(0, used);
        chunk = Buffer.allocUnsafe(CHUNK);
        used = 0;
      }
      chunk.set(bytes, used);
      used += bytes.length;
      chunk[used++] = 0;
    }
    yield chunk.subarray(0, used);
    yield this.#selections.bytes(places);
  }
}
