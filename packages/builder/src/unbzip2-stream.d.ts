declare module 'unbzip2-stream/lib/bit_iterator.js' {
  /** Reads so many bits; null: goes on to the next whole byte. */
  export interface BitReader {
    (count: number | null): number;
    /** Bytes of which at least a bit was read. */
    readonly bytesRead: number;
  }
  /** Reads bits from pieces that NEXT gives. */
  export default function bitIterator(next: () => Uint8Array): BitReader;
}

declare module 'unbzip2-stream/lib/bzip2.js' {
  import type { BitReader } from 'unbzip2-stream/lib/bit_iterator.js';
  const decoder: {
    /** Reads a member's header; returns its block size in 100,000 bytes. */
    header(bits: BitReader): number;
    /** Decodes a block; returns the member's checksum so far, null at its end. */
    decompress(
      bits: BitReader,
      take: (byte: number) => void,
      buffer: Int32Array,
      capacity: number,
      checksum: number,
    ): number | null;
  };
  export default decoder;
}
