import { closeSync, openSync, readSync } from 'node:fs';
import * as zlib from 'node:zlib';

import { compressionUnsupported } from '../errors.js';
import type { CompressedPart, CompressJob } from '../worker-protocol.js';
import { deflateBlock } from './deflate-block.js';

/** What deflate can refer back to. */
const WINDOW = 32 * 1024;

type ZstdCompress = (bytes: Uint8Array, options: { readonly params: Readonly<Record<number, number>> }) => Buffer;

/** A frame with its checksum. */
function zstdFrame(bytes: Uint8Array, level: number): Uint8Array<ArrayBuffer> {
  // Node 20 has none.
  const { zstdCompressSync, constants } = zlib as unknown as {
    readonly zstdCompressSync?: ZstdCompress;
    readonly constants: Readonly<Record<string, number>>;
  };
  if (!zstdCompressSync) throw compressionUnsupported('zstd');
  const params = { [constants['ZSTD_c_compressionLevel'] ?? 100]: level, [constants['ZSTD_c_checksumFlag'] ?? 201]: 1 };
  return new Uint8Array(zstdCompressSync(bytes, { params }));
}

function readRange(path: string, start: number, end: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(end - start);
  const fd = openSync(path, 'r');
  try {
    for (let at = 0; at < bytes.length;) {
      const read = readSync(fd, bytes, at, bytes.length - at, start + at);
      if (read === 0) throw new Error(`${path} is shorter than it was`);
      at += read;
    }
  } finally {
    closeSync(fd);
  }
  return bytes;
}

/** Compresses a part of a file, synchronously: for worker threads. @throws StrakeError `COMPRESSION_UNSUPPORTED` */
export function compressPart({ path, start, end, last, compression, level }: CompressJob): CompressedPart {
  if (compression === 'zstd') return { bytes: zstdFrame(readRange(path, start, end), level), crc32: 0 };
  const before = Math.min(start, WINDOW);
  const bytes = readRange(path, start - before, end);
  return { bytes: deflateBlock(bytes, before, level, last), crc32: zlib.crc32(bytes.subarray(before)) };
}
