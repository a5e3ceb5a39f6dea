import { stat } from 'node:fs/promises';

import { throwIfAborted } from '@strake/core';

import { FEW_BYTES } from '../small.js';
import type { CompressedPart } from '../worker-protocol.js';
import type { WorkerPool } from '../worker-pool.js';
import { joinCrc32 } from './crc32.js';

/** Parts are compressed apart from each other, so that all cores have work; gzip's window carries over from the one before. */
const PART = 1 << 20;
/**
 * gzip at 3 is a sixth faster than at 4 and 2 % larger on what programs consist of, three times faster on what repeats itself
 * (`bench/compression.mjs`).
 */
const LEVELS = { gzip: 3, zstd: 3 } as const;

/** How a layer is compressed. */
export interface CompressOptions {
  readonly compression: 'gzip' | 'zstd';
  readonly level?: number | undefined;
}

/** Media types of layers that are compressed so. */
export function compressedType(compression: 'gzip' | 'zstd'): RegExp {
  return compression === 'gzip' ? /[+.]gzip$/ : /\+zstd$/;
}

interface Part {
  readonly size: number;
  readonly result: CompressedPart;
}

/** The parts of a file, compressed by worker threads a few ahead of what is taken; in order. */
async function* compressedParts(
  path: string,
  { compression, level = LEVELS[compression] }: CompressOptions,
  pool: WorkerPool,
  signal: AbortSignal | undefined,
): AsyncGenerator<Part> {
  const { size } = await stat(path);
  const small = size <= FEW_BYTES;
  const running: Promise<Part>[] = [];
  const compress = async (start: number): Promise<Part> => {
    const end = Math.min(size, start + PART);
    const job = { path, start, end, last: end === size, compression, level };
    const result = await pool.run({ kind: 'compress', job }, { signal, small });
    if (!result) throw new Error('the job compressed nothing');
    return { size: end - start, result };
  };
  try {
    for (let at = 0; at < size || at === 0; at += PART) {
      throwIfAborted(signal);
      const part = compress(at);
      // Awaited in order below; a failure until then is not unhandled.
      part.catch(() => undefined);
      running.push(part);
      if (running.length > pool.size) yield await (running.shift() as Promise<Part>);
    }
    while (running.length > 0) yield await (running.shift() as Promise<Part>);
  } finally {
    await Promise.allSettled(running);
  }
}

/**
 * The compressed form of the tar at PATH. The same tar and level give the same bytes, whatever the number of cores: one member
 * of gzip, or frames of zstd one after the other (RFC 8878 lets decoders take any number).
 * @throws StrakeError `COMPRESSION_UNSUPPORTED`
 */
export async function* compressed(
  path: string,
  options: CompressOptions,
  pool: WorkerPool,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const gzip = options.compression === 'gzip';
  // No name, no time, "unknown" system (RFC 1952): the same bytes everywhere.
  if (gzip) yield Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
  let crc = 0;
  let total = 0;
  for await (const { size, result } of compressedParts(path, options, pool, signal)) {
    crc = joinCrc32(crc, result.crc32, size);
    total = (total + size) % 2 ** 32;
    yield result.bytes;
  }
  if (!gzip) return;
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(total, 4);
  yield trailer;
}
