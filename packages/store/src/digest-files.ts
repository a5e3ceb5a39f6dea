import { createHash, hash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';

import { errnoOf, isStrakeError } from '@strake/core';

import { readFailure } from './errors.js';
import { SourceOpener } from './layer/source-opener.js';
import type { DigestedFiles, Job } from './worker-protocol.js';
import type { SizedPath } from './types.js';

const CHUNK = 256 * 1024;
/** A piece of work for one worker: bytes to read, and what opening a file costs in bytes. */
const PIECE = 16 << 20;
const OPENING = 16 << 10;

/**
 * The sha256 of files below ROOT, 32 bytes each; zeros for those that are gone or no files: no file has this digest.
 * @throws StrakeError `SOURCE_DENIED`
 */
export function digestFilesNow(root: string, paths: readonly string[], aborted: () => boolean): Uint8Array {
  const opener = new SourceOpener();
  const buffer = Buffer.allocUnsafeSlow(CHUNK);
  const digests = Buffer.alloc(paths.length * 32);
  try {
    for (const [i, path] of paths.entries()) {
      if (aborted()) throw new Error('aborted');
      try {
        digests.write(digestFile(opener.open(root, path), buffer, aborted), i * 32, 'hex');
      } catch (error) {
        if (!isStrakeError(error, 'SOURCE_CHANGED') && !['EISDIR', 'EAGAIN'].includes(errnoOf(error) ?? ''))
          throw readFailure(path, error);
      }
    }
    return digests;
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

/** Cuts FILES into pieces as they are needed, has RUN digest LANES of them at once, and tells what it found. */
export async function digestInPieces(
  root: string,
  files: Iterable<SizedPath>,
  found: (index: number, digest: Uint8Array | undefined) => void,
  run: (job: Extract<Job, { kind: 'digest' }>) => Promise<DigestedFiles | undefined>,
  lanes: number,
): Promise<void> {
  const source = files[Symbol.iterator]();
  let next = 0;
  let failed = false;
  const piece = (): { first: number; paths: string[] } => {
    const first = next;
    const paths: string[] = [];
    for (let cost = 0; cost < PIECE && !failed;) {
      const file = source.next();
      if (file.done) break;
      paths.push(file.value.path);
      cost += file.value.size + OPENING;
      next++;
    }
    return { first, paths };
  };
  const lane = async (): Promise<void> => {
    for (let { first, paths } = piece(); paths.length > 0; { first, paths } = piece()) {
      const done = await run({ kind: 'digest', root, paths: paths.join('\0') });
      if (!done) throw new Error('the job digested nothing');
      for (let i = 0; i < paths.length; i++) {
        const digest = done.digests.subarray(i * 32, (i + 1) * 32);
        found(first + i, digest.every((byte) => byte === 0) ? undefined : digest);
      }
    }
  };
  const stopping = async (): Promise<void> => {
    try {
      await lane();
    } finally {
      failed = true;
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: lanes }, stopping));
  for (const end of ends) if (end.status === 'rejected') throw end.reason as Error;
}
