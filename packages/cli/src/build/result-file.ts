import { randomBytes } from 'node:crypto';
import { accessSync, constants, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileUnwritable } from '../errors.js';

/** Whether TARGET is there and no regular file: it is written to as it is, and never removed. */
function isSpecial(target: string): boolean {
  return statSync(target, { throwIfNoEntry: false })?.isFile() === false;
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
    if (isSpecial(target)) accessSync(target, constants.W_OK);
    else {
      accessSync(path.dirname(target), constants.W_OK | constants.X_OK);
      if (stale) rmSync(target, { force: true });
    }
  } catch (error) {
    throw fileUnwritable(file, error);
  }
}

/**
 * Writes a file that `--iidfile` or `--metadata-file` asked for, whole or not at all. Something that is not a regular file
 * (`/dev/stdout`) is written to as it is.
 * @throws StrakeError `FILE_UNWRITABLE`
 */
export function writeResultFile(file: string, text: string, cwd: string): void {
  const target = path.resolve(cwd, file);
  const special = isSpecial(target);
  const written = special ? target : `${target}.${randomBytes(6).toString('hex')}`;
  try {
    writeFileSync(written, text, { flag: special ? 'w' : 'wx' });
    if (!special) renameSync(written, target);
  } catch (error) {
    if (!special) rmSync(written, { force: true });
    throw fileUnwritable(file, error);
  }
}
