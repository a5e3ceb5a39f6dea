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

/** The entries of a layer in the order of its tar, as index records in pages: 88 bytes and its name each. */
export class RawEntries {
  readonly heap: PagedHeap = new PagedHeap();
  readonly #pages: Buffer[] = [];
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
    if (number % PER_PAGE === 0) this.#pages.push(Buffer.allocUnsafeSlow(PER_PAGE * RECORD_SIZE));
    const page = this.pageOf(number);
    const at = this.offsetOf(number);
    const extra = entry.extra ? Buffer.from(JSON.stringify(entry.extra), 'utf8') : undefined;
    page.writeUInt32LE(this.heap.add(entry.key), at + Field.key);
    page.writeUInt16LE(entry.key.length, at + Field.keyLength);
    page[at + Field.type] = entry.type;
    page[at + Field.flags] = entry.flags;
    page.writeUInt32LE(entry.mode, at + Field.mode);
    page.writeUInt32LE(entry.uid, at + Field.uid);
    page.writeUInt32LE(entry.gid, at + Field.gid);
    page.writeUInt32LE(extra ? this.heap.add(extra) : 0, at + Field.extra);
    page.writeUInt32LE(extra?.length ?? 0, at + Field.extraLength);
    page.writeUInt32LE(NONE, at + Field.firstName);
    page.writeDoubleLE(entry.size, at + Field.size);
    page.writeDoubleLE(entry.mtime, at + Field.mtime);
    page.writeDoubleLE(entry.offset, at + Field.offset);
    page.set(entry.digest ?? EMPTY, at + Field.digest);
  }

  pageOf(number: number): Buffer {
    const page = this.#pages[Math.floor(number / PER_PAGE)];
    if (!page) throw new RangeError(`no entry ${number}`);
    return page;
  }

  offsetOf(number: number): number {
    return (number % PER_PAGE) * RECORD_SIZE;
  }

  record(number: number): Buffer {
    const at = this.offsetOf(number);
    return this.pageOf(number).subarray(at, at + RECORD_SIZE);
  }

  type(number: number): number {
    return this.pageOf(number)[this.offsetOf(number) + Field.type] ?? 0;
  }

  flags(number: number): number {
    return this.pageOf(number)[this.offsetOf(number) + Field.flags] ?? 0;
  }

  keyAddress(number: number): number {
    return this.pageOf(number).readUInt32LE(this.offsetOf(number) + Field.key);
  }

  keyLength(number: number): number {
    return this.pageOf(number).readUInt16LE(this.offsetOf(number) + Field.keyLength);
  }

  key(number: number): Buffer {
    return this.heap.slice(this.keyAddress(number), this.keyLength(number));
  }

  extra(number: number): Extra {
    const page = this.pageOf(number);
    const at = this.offsetOf(number);
    const length = page.readUInt32LE(at + Field.extraLength);
    if (length === 0) return {};
    const text = this.heap.slice(page.readUInt32LE(at + Field.extra), length).toString('utf8');
    return JSON.parse(text) as Extra;
  }

  /** The digests of all files from entry FIRST on, 32 bytes each. */
  fileDigests(first = 0): Uint8Array<ArrayBuffer> {
    const digests = new Uint8Array((this.#count - first) * 32);
    let used = 0;
    for (let number = first; number < this.#count; number++) {
      if (this.type(number) !== TypeCode.file) continue;
      const at = this.offsetOf(number) + Field.digest;
      digests.set(this.pageOf(number).subarray(at, at + 32), used);
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
