import { ZstdFrames, type ByteStream } from '@strake/core';
import type { XzReadableStream } from 'xz-decompress';

import { bunzip2 } from './bzip2.js';
import { gunzip } from './gunzip.js';

/** Compressions that ADD unpacks, told by the first bytes. */
export type ArchiveCompression = 'none' | 'gzip' | 'bzip2' | 'xz' | 'zstd';

const MAGICS: readonly (readonly [ArchiveCompression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/** The last three bytes of the magic of a zstd frame that holds none of the data. */
const SKIPPABLE = Buffer.of(0x2a, 0x4d, 0x18);

/** The compression that a file's first bytes speak of. */
export function detectCompression(head: Uint8Array): ArchiveCompression {
  const found = MAGICS.find(([, magic]) => magic.every((byte, i) => head[i] === byte));
  if (found) return found[0];
  // A frame that is to be passed over may be the first: `pzstd` writes such.
  const [low = 0, ...rest] = head.subarray(0, 4);
  return head.length >= 8 && (low & 0xf0) === 0x50 && Buffer.from(rest).equals(SKIPPABLE) ? 'zstd' : 'none';
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

/**
 * The decompressed bytes of a stream. Damaged input makes the iteration throw, behind what could be unpacked before the damage: rubbish
 * behind a compressed tar then hides nothing of it.
 */
export async function decompress(stream: ByteStream, compression: ArchiveCompression): Promise<ByteStream> {
  switch (compression) {
    case 'none':
      return stream;
    case 'gzip':
      return gunzip(stream);
    case 'bzip2':
      return bunzip2(stream);
    case 'xz':
      return unxz(stream);
    case 'zstd':
      return zstd(stream);
  }
}

async function* unxz(stream: ByteStream): AsyncGenerator<Uint8Array> {
  // A CommonJS module, whatever its types say: Node shows its names on the default export only.
  const imported: {
    XzReadableStream: typeof XzReadableStream;
    default?: { XzReadableStream: typeof XzReadableStream };
  } = await import('xz-decompress');
  const Decompressor = imported.default?.XzReadableStream ?? imported.XzReadableStream;
  const reader = new Decompressor(webStream(xzPieces(stream))).getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    // It fails where the decoder has come to its end, and what it made has not been taken.
    await reader.cancel().catch(() => undefined);
  }
}

/** As a web stream, of which nothing is read ahead; Node's own conversion fails where it is given up early. */
function webStream(pieces: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await pieces.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        await pieces.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * Cut behind whatever could be a stream's end (its footer ends in `YZ`): what the decoder has made of a piece is lost where it finds
 * damage in the same piece.
 */
async function* xzPieces(stream: ByteStream): AsyncGenerator<Uint8Array> {
  let last: number | undefined;
  for await (const chunk of stream) {
    let from = 0;
    for (let z = chunk.indexOf(0x5a); z >= 0; z = chunk.indexOf(0x5a, z + 1)) {
      if ((z > 0 ? chunk[z - 1] : last) !== 0x59) continue;
      yield chunk.subarray(from, z + 1);
      from = z + 1;
    }
    if (from < chunk.length) yield chunk.subarray(from);
    last = chunk.at(-1) ?? last;
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
      let damage: unknown;
      try {
        decoder.push(chunk.subarray(at, at + ZSTD_PIECE));
      } catch (error) {
        damage = error;
      }
      yield* ready.splice(0);
      if (damage !== undefined) throw damage as Error;
    }
  }
  decoder.push(new Uint8Array(0), true);
  yield* ready.splice(0);
}
