import { viewOfBytes } from '@strake/core';

import { layerInvalid } from '../errors.js';
import { Field, NONE, RECORD_SIZE, TypeCode, type Extra } from './index-format.js';
import { compareBytes, PagedHeap } from './paged-heap.js';

const PER_PAGE = 4096;
/** `names` in bytes. */
interface Limits {
  readonly entries: number;
  readonly names: number;
}

/** Of one layer: a hostile one must not take more memory than this. */
const LIMITS: Limits = { entries: 4_000_000, names: 512 * 1024 * 1024 };
const EMPTY = Buffer.alloc(32);

/** The facts of an entry as it is read from, or written to, a tar. */
export interface RawEntry {
  /** See `keyOf`. */
  readonly key: Uint8Array;
  /** A `TypeCode`. */
  readonly type: number;
  /** Of `Flag`. */
  readonly flags: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly offset: number;
  /** 32 bytes. */
  readonly digest?: Uint8Array | undefined;
  readonly extra?: Extra | undefined;
}

/** A 32-bit id. */
function idOf(value: number): number {
  if (value >>> 0 !== value) throw layerInvalid(`it has the owner ${value}`);
  return value;
}

/** The entries of a layer in the order of its tar, as index records in pages: 88 bytes and its name each. */
export class RawEntries {
  readonly heap: PagedHeap = new PagedHeap();
  readonly #pages: Buffer[] = [];
  readonly #views: DataView[] = [];
  readonly #limits: Limits;
  #count = 0;

  constructor(limits: Limits = LIMITS) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  /** Adds an entry; its number is the count so far. @throws StrakeError `LAYER_INVALID` beyond the limits */
  add(entry: RawEntry): void {
    const { entries, names } = this.#limits;
    if (this.#count >= entries) throw layerInvalid(`it has more than ${entries} entries`);
    if (this.heap.size > names) throw layerInvalid(`its names take more than ${names} bytes`);
    const number = this.#count++;
    if (number % PER_PAGE === 0) {
      const page = Buffer.allocUnsafeSlow(PER_PAGE * RECORD_SIZE);
      this.#pages.push(page);
      this.#views.push(viewOfBytes(page));
    }
    const page = this.#pageOf(number);
    const view = this.#viewOf(number);
    const at = this.#offsetOf(number);
    const extra = entry.extra ? Buffer.from(JSON.stringify(entry.extra), 'utf8') : undefined;
    view.setUint32(at + Field.key, this.heap.add(entry.key), true);
    view.setUint16(at + Field.keyLength, entry.key.length, true);
    page[at + Field.type] = entry.type;
    page[at + Field.flags] = entry.flags;
    view.setUint32(at + Field.mode, entry.mode, true);
    view.setUint32(at + Field.uid, idOf(entry.uid), true);
    view.setUint32(at + Field.gid, idOf(entry.gid), true);
    view.setUint32(at + Field.extra, extra ? this.heap.add(extra) : 0, true);
    view.setUint32(at + Field.extraLength, extra?.length ?? 0, true);
    view.setUint32(at + Field.firstName, NONE, true);
    view.setFloat64(at + Field.size, entry.size, true);
    view.setFloat64(at + Field.mtime, entry.mtime, true);
    view.setFloat64(at + Field.offset, entry.offset, true);
    page.set(entry.digest ?? EMPTY, at + Field.digest);
  }

  #pageOf(number: number): Buffer {
    const page = this.#pages[Math.floor(number / PER_PAGE)];
    if (!page) throw new RangeError(`no entry ${number}`);
    return page;
  }

  #viewOf(number: number): DataView {
    return this.#views[Math.floor(number / PER_PAGE)] as DataView;
  }

  #offsetOf(number: number): number {
    return (number % PER_PAGE) * RECORD_SIZE;
  }

  #u32(number: number, field: number): number {
    return this.#viewOf(number).getUint32(this.#offsetOf(number) + field, true);
  }

  record(number: number): Buffer {
    const at = this.#offsetOf(number);
    return this.#pageOf(number).subarray(at, at + RECORD_SIZE);
  }

  type(number: number): number {
    return this.#pageOf(number)[this.#offsetOf(number) + Field.type] ?? 0;
  }

  flags(number: number): number {
    return this.#pageOf(number)[this.#offsetOf(number) + Field.flags] ?? 0;
  }

  keyAddress(number: number): number {
    return this.#u32(number, Field.key);
  }

  keyLength(number: number): number {
    return this.#viewOf(number).getUint16(this.#offsetOf(number) + Field.keyLength, true);
  }

  key(number: number): Buffer {
    return this.heap.slice(this.keyAddress(number), this.keyLength(number));
  }

  extra(number: number): Extra {
    const bytes = this.extraBytes(number);
    return bytes ? (JSON.parse(bytes.toString('utf8')) as Extra) : {};
  }

  /** The JSON of an entry's extra; undefined where it has none. */
  extraBytes(number: number): Buffer | undefined {
    const length = this.extraLength(number);
    return length === 0 ? undefined : this.heap.slice(this.#u32(number, Field.extra), length);
  }

  extraLength(number: number): number {
    return this.#u32(number, Field.extraLength);
  }

  size(number: number): number {
    return this.#viewOf(number).getFloat64(this.#offsetOf(number) + Field.size, true);
  }

  /** Where the content starts in the tar. */
  offset(number: number): number {
    return this.#viewOf(number).getFloat64(this.#offsetOf(number) + Field.offset, true);
  }

  /** The digests of all files from entry FIRST on, 32 bytes each. */
  fileDigests(first = 0): Uint8Array<ArrayBuffer> {
    const digests = new Uint8Array((this.#count - first) * 32);
    let used = 0;
    for (let number = first; number < this.#count; number++) {
      if (this.type(number) !== TypeCode.file) continue;
      const at = this.#offsetOf(number) + Field.digest;
      digests.set(this.#pageOf(number).subarray(at, at + 32), used);
      used += 32;
    }
    return digests.subarray(0, used);
  }

  /** By key. */
  compare(a: number, b: number): number {
    return this.compareKey(a, this.key(b));
  }

  compareKey(number: number, key: Uint8Array): number {
    const address = this.keyAddress(number);
    const length = this.keyLength(number);
    if (length === 0) return -key.length;
    const start = this.heap.offsetOf(address);
    return compareBytes(this.heap.pageOf(address), start, start + length, key, 0, key.length);
  }

  /** The entries' numbers sorted by key, those of one key by number. */
  sorted(): Uint32Array {
    const order = new Uint32Array(this.#count);
    let inOrder = true;
    for (let i = 0; i < order.length; i++) {
      order[i] = i;
      if (inOrder && i > 0 && this.compare(i - 1, i) > 0) inOrder = false;
    }
    // Array's sort merges runs that are in order already: nearly all of a real layer.
    return inOrder ? order : Uint32Array.from(Array.from(order).sort((a, b) => this.compare(a, b) || a - b));
  }
}
