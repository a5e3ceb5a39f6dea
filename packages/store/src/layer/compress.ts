import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import * as zlib from 'node:zlib';

import { MediaType, throwIfAborted, type Descriptor } from '@strake/core';

import { compressionUnsupported } from '../errors.js';
import type { BlobStore } from '../types.js';

/** Blocks are compressed apart from each other, so that all cores have work; gzip's window carries over from the one before. */
const BLOCK = 1 << 20;
const WINDOW = 32 * 1024;
const GZIP_LEVEL = 4;
const ZSTD_LEVEL = 3;
/** Blocks whose first bytes shrink to no less than this part are stored: compressing noise takes the longest. */
const SAMPLE = 32 * 1024;
const WORTH = 0.96;

const deflateRaw = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.deflateRaw);

/** Media types of layers that are compressed so. */
export function compressedType(compression: 'gzip' | 'zstd'): RegExp {
  return compression === 'gzip' ? /[+.]gzip$/ : /\+zstd$/;
}

interface Block {
  readonly bytes: Buffer;
  /** The end of the block before. */
  readonly window: Buffer | undefined;
  readonly last: boolean;
}

async function deflateBlock({ bytes, window, last }: Block, level: number): Promise<Buffer> {
  const finishFlush = last ? zlib.constants.Z_FINISH : zlib.constants.Z_SYNC_FLUSH;
  const sample = bytes.subarray(0, SAMPLE);
  const noise =
    level > 0 &&
    sample.length === SAMPLE &&
    (await deflateRaw(sample, { level: 1 })).length > SAMPLE * WORTH &&
    (await deflateRaw(bytes.subarray(bytes.length - SAMPLE), { level: 1 })).length > SAMPLE * WORTH;
  const used = noise ? 0 : level;
  return deflateRaw(bytes, { level: used, finishFlush, ...(window && used > 0 ? { dictionary: window } : {}) });
}

async function* blocksOf(path: string, signal: AbortSignal | undefined): AsyncGenerator<Block> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    let window: Buffer | undefined;
    for (let at = 0; at < size || at === 0; at += BLOCK) {
      throwIfAborted(signal);
      const bytes = Buffer.allocUnsafeSlow(Math.min(BLOCK, size - at));
      for (let read = 0; read < bytes.length;) {
        const { bytesRead } = await file.read(bytes, read, bytes.length - read, at + read);
        if (bytesRead === 0) throw new Error(`${path} is shorter than it was`);
        read += bytesRead;
      }
      yield { bytes, window, last: at + BLOCK >= size };
      window = bytes.subarray(-WINDOW);
    }
  } finally {
    await file.close();
  }
}

/** MAP over ITEMS with some running ahead; results in order. */
async function* inOrder<T, R>(items: AsyncIterable<T>, ahead: number, map: (item: T) => Promise<R>): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  try {
    for await (const item of items) {
      const result = map(item);
      // Awaited in order below; a failure until then is not unhandled.
      result.catch(() => undefined);
      running.push(result);
      if (running.length > ahead) yield await (running.shift() as Promise<R>);
    }
    while (running.length > 0) yield await (running.shift() as Promise<R>);
  } finally {
    await Promise.allSettled(running);
  }
}

async function* gzip(path: string, level: number, ahead: number, signal?: AbortSignal): AsyncGenerator<Buffer> {
  // No name, no time, "unknown" system (RFC 1952): the same bytes everywhere.
  yield Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
  let crc = 0;
  let size = 0;
  const summed = (async function* (): AsyncGenerator<Block> {
    for await (const block of blocksOf(path, signal)) {
      crc = zlib.crc32(block.bytes, crc);
      size = (size + block.bytes.length) % 2 ** 32;
      yield block;
    }
  })();
  yield* inOrder(summed, ahead, (block) => deflateBlock(block, level));
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(size, 4);
  yield trailer;
}

type ZstdCompress = (
  bytes: Uint8Array,
  options: { readonly params: Readonly<Record<number, number>> },
  callback: (error: Error | null, result: Buffer) => void,
) => void;

/** Frames one after the other, each with its checksum (RFC 8878 lets decoders take any number). */
async function* zstd(path: string, level: number, ahead: number, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const { zstdCompress, constants } = zlib as unknown as {
    readonly zstdCompress?: ZstdCompress;
    readonly constants: Readonly<Record<string, number>>;
  };
  if (!zstdCompress) throw compressionUnsupported('zstd');
  const params = { [constants['ZSTD_c_compressionLevel'] ?? 100]: level, [constants['ZSTD_c_checksumFlag'] ?? 201]: 1 };
  const compress = promisify(zstdCompress);
  yield* inOrder(blocksOf(path, signal), ahead, ({ bytes }) => compress(bytes, { params }));
}

/**
 * Compresses the tar at PATH into a blob. The same tar and level give the same bytes, whatever the number of cores.
 * @throws StrakeError `COMPRESSION_UNSUPPORTED`, `DISK_FULL`
 */
export async function compressLayer(
  blobs: BlobStore,
  path: string,
  compression: 'gzip' | 'zstd',
  level: number | undefined,
  signal?: AbortSignal,
): Promise<Descriptor> {
  const ahead = availableParallelism() + 1;
  const stream =
    compression === 'gzip'
      ? gzip(path, level ?? GZIP_LEVEL, ahead, signal)
      : zstd(path, level ?? ZSTD_LEVEL, ahead, signal);
  const { digest, size } = await blobs.put(stream, {}, signal);
  const mediaType = compression === 'gzip' ? MediaType.ociLayerGzip : MediaType.ociLayerZstd;
  return { mediaType, digest, size };
}
