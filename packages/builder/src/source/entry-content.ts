import { throwIfAborted } from '@strake/core';
import type { Segments } from '@strake/store';
import fs from 'node:fs';

import type { TarEntry } from './tar-entries.js';

/** Writes what an entry holds to an empty file. What lies between the pieces of a sparse one stays a hole. */
export async function writeContent(fd: number, { content, sparse }: TarEntry, signal: AbortSignal): Promise<void> {
  if (sparse) fs.ftruncateSync(fd, sparse.size);
  const write = sparse ? pieceWriter(fd, sparse.pieces) : (bytes: Uint8Array) => fs.writeSync(fd, bytes);
  for await (const chunk of content) {
    throwIfAborted(signal);
    for (let at = 0; at < chunk.length;) at += write(chunk.subarray(at));
  }
}

/** Writes the beginning of bytes to where those before them ended, in a piece or at the next one's start; returns how many. */
function pieceWriter(fd: number, pieces: Segments): (bytes: Uint8Array) => number {
  let piece = 0;
  let written = 0;
  return (bytes) => {
    const [place, length] = pieces[piece] as Segments[number];
    const count = fs.writeSync(fd, bytes, 0, Math.min(bytes.length, length - written), place + written);
    written += count;
    if (written === length) [piece, written] = [piece + 1, 0];
    return count;
  };
}
