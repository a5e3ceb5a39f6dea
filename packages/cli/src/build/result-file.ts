import { randomBytes } from 'node:crypto';
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileUnwritable } from '../errors.js';

/**
 * Writes a file that `--iidfile` or `--metadata-file` asked for, whole or not at all. Something that is not a regular file
 * (`/dev/stdout`) is written to as it is.
 * @throws StrakeError `FILE_UNWRITABLE`
 */
export function writeResultFile(file: string, text: string, cwd: string): void {
  const target = path.resolve(cwd, file);
  const special = statSync(target, { throwIfNoEntry: false })?.isFile() === false;
  const written = special ? target : `${target}.${randomBytes(6).toString('hex')}`;
  try {
    writeFileSync(written, text, { flag: special ? 'w' : 'wx' });
    if (!special) renameSync(written, target);
  } catch (error) {
    if (!special) rmSync(written, { force: true });
    throw fileUnwritable(file, error);
  }
}
