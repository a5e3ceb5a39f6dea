import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';

import type { Digest } from '@strake/core';

import { fsPath } from './paths.js';

const CHUNK = 256 * 1024;

/** The sha256 of a file that nobody writes to. */
export function digestOfFile(path: string): Digest {
  const fd = openSync(fsPath(path), 'r');
  try {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(CHUNK);
    for (;;) {
      const got = readSync(fd, buffer, 0, CHUNK, null);
      if (got === 0) return `sha256:${hash.digest('hex')}`;
      hash.update(buffer.subarray(0, got));
    }
  } finally {
    closeSync(fd);
  }
}
