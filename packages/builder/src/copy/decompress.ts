import { ZstdFrames, type ByteStream } from '@strake/core';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import type { XzReadableStream } from 'xz-decompress';

import { bunzip2 } from './bzip2.js';

/** Compressions that ADD unpacks, told by the first bytes. */
export type ArchiveCompression = 'none' | 'gzip' | 'bzip2' | 'xz' | 'zstd';

const MAGICS: readonly (readonly [ArchiveCompression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/** The compression that a file's first bytes speak of. */
export function detectCompression(head: Uint8Array): ArchiveCompression {
  return MAGICS.find(([, magic]) => magic.every((byte, i) => head[i] === byte))?.[0] ?? 'none';
}

/** Joins the chunks already read from a stream and its rest. */
export async function* prepend(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (head.length > 0) yield head;
    for (;;) {
      const next = await rest.next();
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await rest.return?.();
  }
}

/** The decompressed bytes of a stream. Damaged input makes the iteration throw. */
export async function decompress(stream: ByteStream, compression: ArchiveCompression): Promise<ByteStream> {
  switch (compression) {
    case 'none':
      return stream;
    case 'gzip':
      return gunzip(stream);
    case 'bzip2':
      return bunzip2(stream);
    case 'xz': {
      // A CommonJS module, whatever its types say: Node shows its names on the default export only.
      const imported: {
        XzReadableStream: typeof XzReadableStream;
        default?: { XzReadableStream: typeof XzReadableStream };
      } = await import('xz-decompress');
      const Decompressor = imported.default?.XzReadableStream ?? imported.XzReadableStream;
      const web = Readable.toWeb(Readable.from(stream, { objectMode: false }));
      return new Decompressor(web as ReadableStream<Uint8Array>);
    }
    case 'zstd':
      return zstd(stream);
  }
}

/** The plain bytes of a gzip stream. A failure of STREAM comes out as it is; damage is an error of zlib (`Z_…`). */
export async function* gunzip(stream: ByteStream): AsyncGenerator<Uint8Array> {
  const unzip = zlib.createGunzip({ chunkSize: 1 << 18 });
  // A failure of the stream destroys `unzip` with it, so that it comes out below.
  const fed = pipeline(stream, unzip).catch(() => undefined);
  try {
    yield* unzip as ByteStream;
  } finally {
    unzip.destroy();
    await fed;
  }
}

/** A zstd block of 128 KiB may be stored in few bytes: so many at most come out of one piece of input. */
const ZSTD_PIECE = 512;

/** zstd's own decoder refuses larger windows too, unless told otherwise (`--long=27`). */
const LARGEST_WINDOW = 1 << 27;

/** Node 20 has no zstd of its own. */
async function* zstd(stream: ByteStream): AsyncGenerator<Uint8Array> {
  const { Decompress } = await import('fzstd');
  const ready: Uint8Array[] = [];
  const decoder = new Decompress((chunk) => {
    ready.push(chunk);
  });
  const frames = new ZstdFrames(LARGEST_WINDOW);
  for await (const chunk of stream) {
    if (!frames.accepts(chunk)) throw new Error('its zstd window is too large');
    // A small piece of input at a time: what it is unpacked to has to be held.
    for (let at = 0; at < chunk.length; at += ZSTD_PIECE) {
      decoder.push(chunk.subarray(at, at + ZSTD_PIECE));
      yield* ready.splice(0);
    }
  }
  decoder.push(new Uint8Array(0), true);
  yield* ready.splice(0);
}
