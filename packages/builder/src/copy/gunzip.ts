import type { ByteStream } from '@strake/core';
import zlib from 'node:zlib';

/** Bytes of input at a time: what they are unpacked to, some thousand times as much at the most, has to be held. */
const PIECE = 1 << 15;
const HAS_CHECKSUM = 2;
const HAS_EXTRA = 4;
const HAS_NAME = 8;
const HAS_COMMENT = 16;

/**
 * The plain bytes of a gzip stream of any number of members (RFC 1952). All that could be unpacked comes out before the iteration
 * throws: rubbish may follow what a reader wants. (Node's own stream throws away what the piece made that damage is in.) A failure
 * of STREAM comes out as it is; damage is an error with a code as zlib's (`Z_…`). Zeros behind a member are padding.
 */
export async function* gunzip(stream: ByteStream): AsyncGenerator<Uint8Array> {
  const input = new Input(stream);
  try {
    do {
      await passHeader(input);
      yield* member(input);
    } while ((await input.peek()) ?? 0);
  } finally {
    await input.close();
  }
}

async function passHeader(input: Input): Promise<void> {
  const head = await input.take(10);
  if (head[0] !== 0x1f || head[1] !== 0x8b || head[2] !== 8) throw damage('incorrect header check');
  const flags = head[3] ?? 0;
  if (flags & HAS_EXTRA) {
    const [low = 0, high = 0] = await input.take(2);
    await input.take(low + 256 * high);
  }
  for (const text of [HAS_NAME, HAS_COMMENT]) if (flags & text) while ((await input.take(1))[0] !== 0);
  if (flags & HAS_CHECKSUM) await input.take(2);
}

async function* member(input: Input): AsyncGenerator<Uint8Array> {
  const inflate = zlib.createInflateRaw({ chunkSize: 1 << 18 });
  const ready: Uint8Array[] = [];
  inflate.on('data', (chunk: Uint8Array) => ready.push(chunk));
  let checksum = 0;
  let size = 0;
  try {
    for (let ended = false; !ended;) {
      const piece = await input.some(PIECE);
      const before = inflate.bytesWritten;
      ended = await new Promise<boolean>((resolve, reject) => {
        inflate.once('end', () => {
          resolve(true);
        });
        inflate.once('error', reject);
        inflate.write(piece, (error) => {
          if (!error) resolve(false);
        });
      });
      inflate.removeAllListeners('end').removeAllListeners('error');
      input.pass(inflate.bytesWritten - before);
      for (const chunk of ready.splice(0)) {
        checksum = zlib.crc32(chunk, checksum);
        size = (size + chunk.length) % 2 ** 32;
        yield chunk;
      }
    }
  } finally {
    inflate.removeAllListeners().on('error', () => undefined);
    inflate.destroy();
  }
  const trailer = Buffer.from(await input.take(8));
  if (trailer.readUInt32LE() !== checksum) throw damage('incorrect data check');
  if (trailer.readUInt32LE(4) !== size) throw damage('incorrect length check');
}

function damage(message: string, code = 'Z_DATA_ERROR'): Error {
  return Object.assign(new Error(message), { code });
}

/** Bytes of a stream, taken as they are asked for. */
class Input {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(stream: ByteStream) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  /** The next byte, which stays; undefined at the end. */
  async peek(): Promise<number | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done) return undefined;
      this.#rest = next.value;
    }
    return this.#rest[0];
  }

  /** From one to MOST bytes, which stay until they are passed. */
  async some(most: number): Promise<Uint8Array> {
    if ((await this.peek()) === undefined) throw damage('unexpected end of file', 'Z_BUF_ERROR');
    return this.#rest.subarray(0, most);
  }

  pass(count: number): void {
    this.#rest = this.#rest.subarray(count);
  }

  async take(count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count;) {
      const part = await this.some(count - at);
      bytes.set(part, at);
      at += part.length;
      this.pass(part.length);
    }
    return bytes;
  }
}
