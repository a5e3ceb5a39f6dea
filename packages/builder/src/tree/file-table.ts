import { bytesOfText, textOfBytes, viewOfBytes, type Digest } from '@strake/core';

import { Field, Flag, HEADER, MAGIC, RECORD } from './file-table-format.js';
import { isRacy } from './file-times.js';
import { hashOf } from './path-hash.js';
import { RememberedSelections, type SelectionMemory } from './remembered-selections.js';
import type { FileStamp } from './stat.js';

const PER_PAGE = 4096;
const PATH_BITS = 20;
const PATH_PAGE = 1 << PATH_BITS;
/** How many saves an entry survives that nobody asked for. Builds of several Dockerfiles may take turns on one context. */
const MAX_UNSEEN = 16;
const SECOND = 1000;
/** How far ahead of the last record found the next one is looked for: folders and files lie between each other. */
const AHEAD = 8;
const CHUNK = 1 << 20;

/** What became of a record of the file. */
const Fate = { unseen: 0, asked: 1, replaced: 2 } as const;

/**
 * The files of a context as columns: a row for each path, of 80 bytes and its name; what earlier builds learned of them is there
 * at once, as their file is used as it is. A row stands for one state of a file: with other facts it gets a new one.
 */
export class FileTable {
  readonly #loaded: Buffer;
  readonly #loadedView: DataView;
  /** Rows of the file; those that follow are in pages. */
  readonly #base: number;
  readonly #fates: Uint8Array;
  readonly #selections: RememberedSelections;
  readonly #pages: Buffer[] = [];
  readonly #views: DataView[] = [];
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
    const view = bytes && viewOfBytes(bytes);
    const count = view && view.byteLength >= HEADER ? view.getUint32(8, true) : 0;
    const end = view && count > 0 ? HEADER + count * RECORD + view.getFloat64(12, true) : Infinity;
    const whole = bytes && bytes.toString('latin1', 0, 8) === MAGIC && bytes.length >= end;
    this.#loaded = whole ? bytes : Buffer.alloc(0);
    this.#loadedView = viewOfBytes(this.#loaded);
    const selections = whole ? end : 0;
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

  /** The same, for its numbers. */
  #view(row: number): DataView {
    return row < this.#base ? this.#loadedView : (this.#views[Math.floor((row - this.#base) / PER_PAGE)] as DataView);
  }

  #at(row: number): number {
    return row < this.#base ? HEADER + row * RECORD : ((row - this.#base) % PER_PAGE) * RECORD;
  }

  #flags(row: number): number {
    return this.#view(row).getUint16(this.#at(row) + Field.flags, true);
  }

  #setFlag(row: number, flag: number): void {
    this.#changed = true;
    this.#view(row).setUint16(this.#at(row) + Field.flags, this.#flags(row) | flag, true);
  }

  path(row: number): string {
    const bytes = this.#pathBytes(row);
    return this.#flags(row) & Flag.ascii ? bytes.toString('latin1') : textOfBytes(bytes);
  }

  #pathBytes(row: number): Buffer {
    const record = this.#view(row);
    const at = this.#at(row);
    const place = record.getUint32(at + Field.path, true);
    const length = record.getUint16(at + Field.pathLength, true);
    if (row < this.#base) {
      const start = HEADER + this.#base * RECORD + place;
      return this.#loaded.subarray(start, start + length);
    }
    const start = place % PATH_PAGE;
    return (this.#paths[place >>> PATH_BITS] as Buffer).subarray(start, start + length);
  }

  #pathLength(row: number): number {
    return this.#view(row).getUint16(this.#at(row) + Field.pathLength, true);
  }

  #isPath(row: number, path: string): boolean {
    return this.#pathLength(row) >= path.length && this.path(row) === path;
  }

  size(row: number): number {
    return this.#view(row).getFloat64(this.#at(row) + Field.size, true);
  }

  mode(row: number): number {
    return this.#view(row).getUint32(this.#at(row) + Field.mode, true);
  }

  /** The whole second of the modification time. */
  seconds(row: number): number {
    const milliseconds = this.#view(row).getFloat64(this.#at(row) + Field.mtime, true);
    return Math.floor(milliseconds / SECOND) - (this.#flags(row) & Flag.earlier ? 1 : 0);
  }

  /** Says that the modification time lies right before the second that its rounded number shows. */
  setEarlier(row: number): void {
    this.#setFlag(row, Flag.earlier);
  }

  digest(row: number): Digest | undefined {
    if (!(this.#flags(row) & Flag.digest)) return undefined;
    const at = this.#at(row) + Field.digest;
    return `sha256:${this.#page(row).toString('hex', at, at + 32)}`;
  }

  hasDigest(row: number): boolean {
    return (this.#flags(row) & Flag.digest) !== 0;
  }

  /** DIGEST: the 32 bytes of a sha256. */
  setDigest(row: number, digest: Uint8Array): void {
    this.#page(row).set(digest, this.#at(row) + Field.digest);
    this.#setFlag(row, Flag.digest);
  }

  /** What is remembered of what was selected under NAME, in rows of this table; all files of what will be have digests. */
  selections(name: string): SelectionMemory {
    return this.#selections.of(name, () => (this.#changed = true));
  }

  /** Where the path of a row of the file lies, ended by NUL; undefined for rows of this build. */
  nativeName(row: number): { readonly bytes: Buffer; readonly at: number } | undefined {
    if (row >= this.#base) return undefined;
    const at = HEADER + this.#base * RECORD + this.#loadedView.getUint32(this.#at(row) + Field.path, true);
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
    const view = this.#view(row);
    const at = this.#at(row);
    return (
      !this.#isReplaced(row) &&
      view.getFloat64(at + Field.size, true) === size &&
      view.getFloat64(at + Field.mtime, true) === mtime &&
      view.getFloat64(at + Field.ctime, true) === ctime &&
      view.getFloat64(at + Field.inode, true) === inode &&
      view.getUint32(at + Field.mode, true) === mode
    );
  }

  #add(path: string, { size, mtime, ctime, inode, mode }: FileStamp, replaced: number): number {
    this.#changed = true;
    const row = this.#count++;
    if ((row - this.#base) % PER_PAGE === 0) {
      const page = Buffer.alloc(PER_PAGE * RECORD);
      this.#pages.push(page);
      this.#views.push(viewOfBytes(page));
    }
    const view = this.#view(row);
    const at = this.#at(row);
    view.setFloat64(at + Field.size, size, true);
    view.setFloat64(at + Field.mtime, mtime, true);
    view.setFloat64(at + Field.ctime, ctime, true);
    view.setFloat64(at + Field.inode, inode, true);
    view.setUint32(at + Field.mode, mode, true);
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
    view.setUint32(at + Field.path, (this.#paths.length - 1) * PATH_PAGE + this.#pathUsed, true);
    view.setUint16(at + Field.pathLength, used, true);
    if (ascii) view.setUint16(at + Field.flags, Flag.ascii, true);
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
    const view = this.#view(row);
    const at = this.#at(row);
    return isRacy(view.getFloat64(at + Field.mtime, true), view.getFloat64(at + Field.ctime, true), this.#opened);
  }

  /** Rows that go into the file: what was asked for in that order, then what nobody asked for, for some time. */
  *#kept(): Generator<number> {
    for (const row of this.#asked) {
      if (!this.#isReplaced(row) && (row < this.#base || !this.#isRacy(row))) yield row;
    }
    for (let row = 0; row < this.#base; row++) {
      if (this.#fates[row] !== Fate.unseen) continue;
      if (this.#view(row).getUint16(this.#at(row) + Field.unseen, true) < MAX_UNSEEN) yield row;
    }
  }

  /** The bytes of the file for the next build, in pieces. */
  *chunks(): Generator<Uint8Array> {
    const places = new Int32Array(this.#count).fill(-1);
    let count = 0;
    let names = 0;
    for (const row of this.#kept()) {
      places[row] = count++;
      names += this.#pathLength(row) + 1;
    }
    const header = Buffer.alloc(HEADER);
    header.write(MAGIC, 0, 'latin1');
    viewOfBytes(header).setUint32(8, count, true);
    viewOfBytes(header).setFloat64(12, names, true);
    yield header;
    let chunk = Buffer.allocUnsafe(CHUNK);
    let view = viewOfBytes(chunk);
    let used = 0;
    let place = 0;
    for (const row of this.#kept()) {
      if (used + RECORD > CHUNK) {
        yield chunk.subarray(0, used);
        chunk = Buffer.allocUnsafe(CHUNK);
        view = viewOfBytes(chunk);
        used = 0;
      }
      const at = this.#at(row);
      this.#page(row).copy(chunk, used, at, at + RECORD);
      const isUnseen = row < this.#base && this.#fates[row] === Fate.unseen;
      view.setUint16(used + Field.unseen, isUnseen ? view.getUint16(used + Field.unseen, true) + 1 : 0, true);
      view.setUint32(used + Field.path, place, true);
      place += this.#pathLength(row) + 1;
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
