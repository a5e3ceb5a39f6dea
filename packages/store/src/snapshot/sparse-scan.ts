import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';

import type { Segments } from '../entries.js';
import { fsPath } from './paths.js';

const CHUNK = 256 * 1024;
/** Holes are whole blocks of a file system. */
const UNIT = 4096;
/** Less than this in holes is not worth a format that not every program reads; neither are more pieces. */
const MIN_HOLES = 1 << 20;
const MAX_SEGMENTS = 10_000;

/**
 * The pieces of a file that are not zeros, and its sha256 (hex), read once; undefined where there is little to save.
 * (Node has no lseek(2) with SEEK_HOLE; reading a hole costs no disk, and the whole must be hashed anyway.)
 */
export function scanSparse(
  path: string,
  size: number,
  aborted: () => boolean,
): { segments: Segments; digest: string } | undefined {
  const fd = openSync(fsPath(path), 'r');
  try {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafeSlow(CHUNK);
    const zeros = Buffer.alloc(CHUNK);
    const segments: [number, number][] = [];
    let holes = 0;
    const piece = (at: number, length: number): void => {
      const last = segments.at(-1);
      if (last && last[0] + last[1] === at) last[1] += length;
      else segments.push([at, length]);
    };
    for (let at = 0; at < size;) {
      if (aborted()) throw new Error('aborted');
      let got = 0;
      for (let read = -1; read !== 0 && got < CHUNK; got += read)
        read = readSync(fd, buffer, got, CHUNK - got, at + got);
      if (got === 0) return undefined;
      const bytes = buffer.subarray(0, Math.min(got, size - at));
      hash.update(bytes);
      if (bytes.equals(zeros.subarray(0, bytes.length))) holes += bytes.length;
      else {
        for (let i = 0; i < bytes.length; i += UNIT) {
          const unit = bytes.subarray(i, i + UNIT);
          if (unit.equals(zeros.subarray(0, unit.length))) holes += unit.length;
          else piece(at + i, unit.length);
        }
      }
      if (segments.length > MAX_SEGMENTS) return undefined;
      at += bytes.length;
    }
    return holes < MIN_HOLES ? undefined : { segments, digest: hash.digest('hex') };
  } finally {
    closeSync(fd);
  }
}
