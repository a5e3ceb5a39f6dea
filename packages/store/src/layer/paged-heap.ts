const PAGE_BITS = 20;
const PAGE = 1 << PAGE_BITS;

/** Bytes that are only added to, in pages: it grows without copying. Addresses are 32-bit numbers. */
export class PagedHeap {
  readonly #pages: Buffer[] = [];
  #page = 0;
  #used = PAGE;

  /** Bytes taken from memory. */
  get size(): number {
    return this.#pages.length * PAGE;
  }

  /** Adds BYTES and returns their address. */
  add(bytes: Uint8Array): number {
    if (bytes.length === 0) return 0;
    if (this.#used + bytes.length > PAGE) {
      this.#page = this.#pages.length;
      this.#used = 0;
      const pages = Math.max(1, Math.ceil(bytes.length / PAGE));
      const block = Buffer.allocUnsafeSlow(pages * PAGE);
      for (let i = 0; i < pages; i++) this.#pages.push(i === 0 ? block : block.subarray(i * PAGE));
    }
    const at = this.#used;
    this.pageOf(this.#page * PAGE).set(bytes, at);
    this.#used += bytes.length;
    return this.#page * PAGE + at;
  }

  /** The page that ADDRESS lies in; the bytes start at {@link PagedHeap.offsetOf}. */
  pageOf(address: number): Buffer {
    const page = this.#pages[address >>> PAGE_BITS];
    if (!page) throw new RangeError(`no page for ${address}`);
    return page;
  }

  offsetOf(address: number): number {
    return address & (PAGE - 1);
  }

  slice(address: number, length: number): Buffer {
    if (length === 0) return Buffer.alloc(0);
    const at = this.offsetOf(address);
    return this.pageOf(address).subarray(at, at + length);
  }
}

/** Compares A[aStart, aEnd) with B[bStart, bEnd) by bytes. */
export function compareBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const length = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < length; i++) {
    const difference = (a[aStart + i] as number) - (b[bStart + i] as number);
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}
