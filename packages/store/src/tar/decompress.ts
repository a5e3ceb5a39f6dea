import { PassThrough, pipeline, type Readable } from 'node:stream';
import * as zlib from 'node:zlib';

import { ZstdFrames } from '@strake/core';

import { layerInvalid } from '../errors.js';

const CHUNK = 256 * 1024;
/** zstd's own decoder refuses larger windows too, unless told otherwise (`--long=27`). */
const MAX_ZSTD_WINDOW_LOG = 27;

/** How a layer blob is compressed. */
export type Compression = 'none' | 'gzip' | 'zstd';

/** By its first bytes: media types lie. */
export function compressionOf(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return 'zstd';
  return 'none';
}

/** Bytes of the window that a zstd frame asks for (RFC 8878, 3.1.1.1). */
export function zstdWindow(head: Uint8Array): number {
  const descriptor = head[4] ?? 0;
  if (descriptor & 0x20) return 0;
  const window = head[5] ?? 0;
  const base = 2 ** (10 + (window >> 3));
  return base + (base / 8) * (window & 7);
}

/** For Node without zstd of its own. TAKE gets its bytes at once: what was made of one piece need not be kept. */
async function unzstd(file: AsyncIterable<Buffer>, take: (chunk: Buffer) => void): Promise<void> {
  const { Decompress } = await import('fzstd');
  let refusal: unknown;
  const stream = new Decompress((chunk) => {
    try {
      take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    } catch (error) {
      refusal = error;
      throw error;
    }
  });
  const feed = (chunk: Uint8Array, last: boolean): void => {
    try {
      stream.push(chunk, last);
    } catch (error) {
      if (refusal !== undefined) throw refusal instanceof Error ? refusal : error;
      throw layerInvalid(`its zstd compression is broken: ${error instanceof Error ? error.message : ''}`, error);
    }
  };
  const frames = new ZstdFrames(2 ** MAX_ZSTD_WINDOW_LOG);
  for await (const chunk of file) {
    if (!frames.accepts(chunk)) throw layerInvalid('its zstd window is too large');
    feed(chunk, false);
  }
  feed(new Uint8Array(0), true);
}

type ZstdFactory = (options?: { readonly chunkSize?: number }) => NodeJS.ReadWriteStream;

async function* withFirst(first: Buffer | undefined, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (first) yield first;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

/**
 * Gives the bytes of FILE without their compression to TAKE, which may use each piece only until it returns.
 * Errors are TAKE's, zlib's (`Z_…`) or StrakeError `LAYER_INVALID`.
 */
export async function decompress(file: Readable, mediaType: string, take: (chunk: Buffer) => void): Promise<void> {
  const input = file[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    const next = await input.next();
    const first = next.done ? undefined : next.value;
    const head = first ?? Buffer.alloc(0);
    const compression = compressionOf(head);
    if (compression === 'none' && /\+(gzip|zstd)$|\.gzip$/.test(mediaType) && head.length > 0) {
      throw layerInvalid(`its bytes are not compressed as its media type ${mediaType} says`);
    }
    const all = withFirst(first, input);
    if (compression === 'zstd' && zstdWindow(head) > 2 ** MAX_ZSTD_WINDOW_LOG) {
      throw layerInvalid('its zstd window is too large');
    }
    const native = (zlib as { readonly createZstdDecompress?: ZstdFactory }).createZstdDecompress;
    if (compression === 'zstd' && !native) {
      await unzstd(all, take);
      return;
    }
    let bytes: AsyncIterable<Buffer> = all;
    if (compression !== 'none') {
      const decoder = compression === 'gzip' ? zlib.createGunzip({ chunkSize: CHUNK }) : native?.({ chunkSize: CHUNK });
      const output = new PassThrough({ highWaterMark: CHUNK });
      // The error arrives through OUTPUT, which pipeline destroys with it.
      if (decoder) pipeline(all, decoder, output, () => undefined);
      bytes = output;
    }
    for await (const chunk of bytes) take(chunk);
  } finally {
    file.destroy();
  }
}
