import { errnoOf } from '@strake/core';

import { builderError } from '../errors.js';

const REASONS: Readonly<Record<string, readonly [reason: string, hint?: string]>> = {
  EACCES: ['permission denied'],
  EDQUOT: ['the quota is used up'],
  EEXIST: ['a file is in its place', 'Name a folder.'],
  EISDIR: ['it is a folder'],
  ENOENT: ['no such file or folder', 'The folder that it shall lie in does not exist.'],
  ENOSPC: ['no space left on the disk', 'Nothing of it was kept there.'],
  ENOTDIR: ['a part of the path is not a folder'],
  ENXIO: ['nobody reads from it', 'It is a pipe or a socket: start its reader first, or name a file.'],
  EPIPE: ['its reader has ended'],
  EROFS: ['the file system is read-only'],
};

/** ERROR, where the system gave it, as one that says where the output could not be written and why. */
export function outputFailure(dest: string, error: unknown): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const [reason, hint] = REASONS[errno] ?? [errno];
  const code = errno === 'ENOSPC' || errno === 'EDQUOT' ? 'DISK_FULL' : 'OUTPUT_INVALID';
  return builderError(code, `cannot write "${dest}": ${reason}`, { cause: error, hint });
}
