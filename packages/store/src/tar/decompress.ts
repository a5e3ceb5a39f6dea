import { PassThrough, pipeline, type Readable } from 'node:stream';
import * as zlib from 'node:zlib';

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

async function* unzstd(file: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const { Decompress } = await import('fzstd');
  const out: Buffer[] = [];
  const stream = new Decompress((chunk) => {
    // The decoder uses its buffer again.
    out.push(Buffer.from(chunk));
  });
  const feed = (chunk: Uint8Array, last: boolean): void => {
    try {
      stream.push(chunk, last);
    } catch (error) {
      throw layerInvalid(`its zstd compression is broken: ${error instanceof Error ? error.message : ''}`, error);
    }
  };
  for await (const chunk of file) {
    // A run-length block makes 128 KiB of four bytes: little goes in at once, so that little comes out.
    for (let at = 0; at < chunk.length; at += 4096) {
      feed(chunk.subarray(at, at + 4096), false);
      yield* out.splice(0);
    }
  }
  feed(new Uint8Array(0), true);
  yield* out;
}

type ZstdFactory = (options?: { readonly chunkSize?: number }) => NodeJS.ReadWriteStream;

/** The bytes of FILE without their compression, as they come. Errors are zlib's (`Z_…`) or StrakeError `LAYER_INVALID`. */
export async function* decompressed(file: Readable, mediaType: string): AsyncGenerator<Buffer> {
  const input = file[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    const first = await input.next();
    const head: Buffer = first.done ? Buffer.alloc(0) : first.value;
    const compression = compressionOf(head);
    if (compression === 'none' && /\+(gzip|zstd)$|\.gzip$/.test(mediaType) && head.length > 0) {
      throw layerInvalid(`its bytes are not compressed as its media type ${mediaType} says`);
    }
    const all = (async function* (): AsyncGenerator<Buffer> {
      if (!first.done) yield head;
      for (;;) {
        const next = await input.next();
        if (next.done) return;
        yield next.value;
      }
    })();
    if (compression === 'none') return yield* all;
    if (compression === 'zstd' && zstdWindow(head) > 2 ** MAX_ZSTD_WINDOW_LOG) {
      throw layerInvalid('its zstd window is too large');
    }
    const native = (zlib as { readonly createZstdDecompress?: ZstdFactory }).createZstdDecompress;
    if (compression === 'zstd' && !native) return yield* unzstd(all);
    const decoder = compression === 'gzip' ? zlib.createGunzip({ chunkSize: CHUNK }) : native?.({ chunkSize: CHUNK });
    if (!decoder) return;
    const output = new PassThrough({ highWaterMark: CHUNK });
    // The error arrives through OUTPUT, which pipeline destroys with it.
    pipeline(all, decoder, output, () => undefined);
    yield* output as AsyncIterable<Buffer>;
  } finally {
    file.destroy();
  }
}
