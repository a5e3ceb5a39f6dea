import { randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { errnoOf } from '@strake/core';
import { fileUnwritable } from '../errors.js';

/** Milliseconds to wait for the reader of a pipe. */
const PATIENCE = 5000;
const PAUSE = 2;

/** Whether TARGET is there and no regular file: it is written to as it is, and never removed. */
function isSpecial(target: string): boolean {
  return statSync(target, { throwIfNoEntry: false })?.isFile() === false;
}

function isPipe(target: string): boolean {
  return statSync(target, { throwIfNoEntry: false })?.isFIFO() === true;
}

/** Opens what is no file, without waiting for a pipe's reader: ENXIO where there is none, and for sockets. */
function openSpecial(target: string): number {
  return openSync(target, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
}

/**
 * Makes sure, before anything is built, that FILE can be written, and removes what an earlier build wrote where STALE: a failed
 * build leaves no id that is not its own, and no image whose id is missing.
 * @throws StrakeError `FILE_UNWRITABLE`
 */
export function prepareResultFile(file: string | undefined, stale: boolean, cwd: string): void {
  if (file === undefined) return;
  const target = path.resolve(cwd, file);
  try {
    if (isPipe(target))
      accessSync(target, constants.W_OK); // its reader would take a closing for the end
    else if (isSpecial(target)) {
      const fd = openSpecial(target);
      try {
        writeSync(fd, new Uint8Array(0)); // enough for /dev/full to refuse
      } finally {
        closeSync(fd);
      }
    } else {
      accessSync(path.dirname(target), constants.W_OK | constants.X_OK);
      if (stale) rmSync(target, { force: true });
    }
  } catch (error) {
    throw fileUnwritable(file, error);
  }
}

/**
 * Writes a file that `--iidfile` or `--metadata-file` asked for, whole or not at all. Something that is not a regular file
 * (`/dev/stdout`, a pipe) is written to as it is. MADE: what there is all the same where that fails.
 * @throws StrakeError `FILE_UNWRITABLE`
 */
export function writeResultFile(file: string, text: string, cwd: string, made?: string): void {
  const target = path.resolve(cwd, file);
  const special = isSpecial(target);
  const written = special ? target : `${target}.${randomBytes(6).toString('hex')}`;
  try {
    if (special) writeSpecial(target, Buffer.from(text));
    else {
      writeFileSync(written, text, { flag: 'wx' });
      renameSync(written, target);
    }
  } catch (error) {
    if (!special) rmSync(written, { force: true });
    throw fileUnwritable(file, error, made);
  }
}

function writeSpecial(target: string, bytes: Uint8Array): void {
  const fd = patiently(() => openSpecial(target), isPipe(target) ? 'ENXIO' : '');
  try {
    for (let at = 0; at < bytes.length;) at += patiently(() => writeSync(fd, bytes, at), 'EAGAIN');
  } finally {
    closeSync(fd);
  }
}

/** Calls again while the error is WAITING, which says that the other end is not ready. */
function patiently<T>(call: () => T, waiting: string): T {
  for (let waited = 0; ; waited += PAUSE) {
    try {
      return call();
    } catch (error) {
      if (errnoOf(error) !== waiting || waited > PATIENCE) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
    }
  }
}
