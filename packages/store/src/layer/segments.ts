import type { ByteStream } from '@strake/core';

import type { Segments } from '../entries.js';

const ZEROS = Buffer.alloc(64 * 1024);

function* zeros(length: number): Generator<Uint8Array> {
  for (let rest = length; rest > 0; rest -= ZEROS.length) yield rest < ZEROS.length ? ZEROS.subarray(0, rest) : ZEROS;
}

/** A sparse file of SIZE bytes as it is read. STORED gives the bytes of a piece: from a start among what is stored. */
export async function* readSegments(
  segments: Segments,
  size: number,
  stored: (start: number, length: number) => ByteStream,
): AsyncGenerator<Uint8Array> {
  let end = 0;
  let start = 0;
  for (const [at, length] of segments) {
    yield* zeros(at - end);
    yield* stored(start, length);
    start += length;
    end = at + length;
  }
  yield* zeros(size - end);
}
