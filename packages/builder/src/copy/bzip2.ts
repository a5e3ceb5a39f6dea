import type { ByteStream } from '@strake/core';
import type { BitReader } from 'unbzip2-stream/lib/bit_iterator.js';

/** More than any block that bzip2 writes takes, in bytes: with so much at hand a block can be decoded. */
const BLOCK = (1 << 20) + (1 << 16);

/**
 * The plain bytes of a bzip2 stream of any number of members. A block at a time is held: what it is unpacked to, 46 MB at most, in
 * bytes (the package's own stream holds all that one piece of input makes, as an array of numbers). Damage makes the iteration
 * throw, behind all blocks before it.
 */
export async function* bunzip2(stream: ByteStream): AsyncGenerator<Uint8Array> {
  const { default: decoder } = await import('unbzip2-stream/lib/bzip2.js');
  const { default: bitReader } = await import('unbzip2-stream/lib/bit_iterator.js');
  const waiting: Uint8Array[] = [];
  let given = 0;
  let bits: BitReader | undefined;
  /** In units of 100,000 bytes; 0 before a member. */
  let blockSize = 0;
  let checksum = 0;
  const next = (): Uint8Array => {
    const chunk = waiting.shift();
    if (!chunk) throw new Error('the bzip2 stream is cut short');
    return chunk;
  };
  const step = (reader: BitReader): Uint8Array => {
    if (blockSize === 0) {
      blockSize = decoder.header(reader);
      checksum = 0;
      return new Uint8Array(0);
    }
    let block = new Uint8Array(1 << 20);
    let size = 0;
    const take = (byte: number): void => {
      if (size === block.length) {
        const larger = new Uint8Array(size * 2);
        larger.set(block);
        block = larger;
      }
      block[size++] = byte;
    };
    const capacity = 100_000 * blockSize;
    const result = decoder.decompress(reader, take, new Int32Array(capacity), capacity, checksum);
    if (result === null) blockSize = 0;
    else checksum = result;
    return block.subarray(0, size);
  };
  for await (const chunk of stream) {
    if (chunk.length === 0) continue;
    waiting.push(chunk);
    given += chunk.length;
    bits ??= bitReader(next);
    while (given - bits.bytesRead >= BLOCK) yield step(bits);
  }
  while (bits && given > bits.bytesRead) yield step(bits);
  if (blockSize !== 0 || !bits) throw new Error('the bzip2 stream is cut short');
}
