import { createHash, hash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';

import { errnoOf, isStrakeError, type Digest } from '@strake/core';

import { SourceOpener } from './layer/source-opener.js';
import type { DigestedFiles, Job } from './worker-protocol.js';
import type { SizedPath } from './types.js';

const CHUNK = 256 * 1024;
/** A piece of work for one worker: bytes to read, and what opening a file costs in bytes. */
const PIECE = 16 << 20;
const OPENING = 16 << 10;

/** The sha256 of files below ROOT, in hex; '' for those that are gone or no files. @throws StrakeError `SOURCE_DENIED` */
export function digestFilesNow(root: string, paths: readonly string[], aborted: () => boolean): string[] {
  const opener = new SourceOpener();
  const buffer = Buffer.allocUnsafeSlow(CHUNK);
  try {
    return paths.map((path) => {
      if (aborted()) throw new Error('aborted');
      try {
        return digestFile(opener.open(root, path), buffer, aborted);
      } catch (error) {
        if (isStrakeError(error, 'SOURCE_CHANGED') || ['EISDIR', 'EAGAIN'].includes(errnoOf(error) ?? '')) return '';
        throw error;
      }
    });
  } finally {
    opener.close();
  }
}

function digestFile(fd: number, buffer: Buffer, aborted: () => boolean): string {
  try {
    let got = readSync(fd, buffer, 0, CHUNK, null);
    // Files are told in the order in which they were looked at: most are small, and whole in the first piece.
    let used = got;
    while (got > 0 && used < CHUNK) used += got = readSync(fd, buffer, used, CHUNK - used, null);
    if (got === 0) return hash('sha256', buffer.subarray(0, used), 'hex');
    const digest = createHash('sha256').update(buffer);
    while ((got = readSync(fd, buffer, 0, CHUNK, null)) > 0) {
      if (aborted()) throw new Error('aborted');
      digest.update(buffer.subarray(0, got));
    }
    return digest.digest('hex');
  } finally {
    closeSync(fd);
  }
}

/** Cuts FILES into pieces, has RUN digest them and puts the answers together. */
export async function digestInPieces(
  root: string,
  files: readonly SizedPath[],
  run: (job: Extract<Job, { kind: 'digest' }>) => Promise<DigestedFiles | undefined>,
): Promise<(Digest | undefined)[]> {
  const pieces: SizedPath[][] = [];
  let cost = Infinity;
  for (const file of files) {
    if (cost > PIECE) {
      pieces.push([]);
      cost = 0;
    }
    pieces.at(-1)?.push(file);
    cost += file.size + OPENING;
  }
  const answers = await Promise.all(
    pieces.map(async (piece) => {
      const done = await run({ kind: 'digest', root, paths: piece.map(({ path }) => path).join('\0') });
      if (!done) throw new Error('the job digested nothing');
      return done.digests.split('\0');
    }),
  );
  return answers.flat().map((hex): Digest | undefined => (hex === '' ? undefined : `sha256:${hex}`));
}
