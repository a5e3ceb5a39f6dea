import { errnoOf, textOfBytes } from '@strake/core';
import fs from 'node:fs';
import { join } from 'node:path';

import { builderError } from '../errors.js';
import { fsPath, sortNames } from './paths.js';
import { readLink } from './stat.js';

/** A file or folder of a context that cannot be read. */
export function unreadable(path: string, cause: unknown): Error {
  return builderError('CONTEXT_UNREADABLE', `cannot read "${path}" of the context: ${errnoOf(cause) ?? 'error'}`, {
    cause,
    hint: 'Give yourself the right to read it, or name it in .dockerignore.',
  });
}

/** A file of a context that something puts another one in the place of. */
export function replaced(path: string, cause?: unknown): Error {
  return builderError('CONTEXT_UNREADABLE', `"${path}" of the context was replaced while it was read`, {
    cause,
    hint: 'Build again when nothing changes the files.',
  });
}

/** A file of a context that holds more than it said: one that is being written to, or one of /proc, which has no end that it knows. */
export function grown(path: string): Error {
  return builderError('CONTEXT_UNREADABLE', `"${path}" of the context grew while it was read`, {
    hint: 'Build again when nothing changes the files, or name it in .dockerignore.',
  });
}

/** Reads what comes next of the file at PATH. @throws StrakeError `CONTEXT_UNREADABLE` */
export function readSome(fd: number, buffer: Buffer, path: string): number {
  try {
    return fs.readSync(fd, buffer, 0, buffer.length, null);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** What went wrong with PATH after it was there. */
export function lookFailure(path: string, cause: unknown): Error {
  const gone = ['ENOENT', 'ENOTDIR', 'EINVAL', 'ELOOP'].includes(errnoOf(cause) ?? '');
  return gone ? replaced(path, cause) : unreadable(path, cause);
}

/**
 * Opens a file below ROOT without following a link in any component: what was opened must be where it was looked for.
 * @throws StrakeError `CONTEXT_UNREADABLE`
 */
export function openFile(root: string, path: string): number {
  const full = join(root, path);
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  let fd: number;
  try {
    fd = fs.openSync(fsPath(full), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    throw unreadable(path, error);
  }
  if (readLink(`/proc/self/fd/${fd}`) !== full || !fs.fstatSync(fd).isFile()) {
    fs.closeSync(fd);
    throw replaced(path);
  }
  return fd;
}

/** The names in a folder below ROOT, sorted by bytes; none where it is gone. @throws StrakeError `CONTEXT_UNREADABLE` */
export function readFolder(root: string, path: string): string[] {
  try {
    // latin1: names arrive byte by byte, those of ASCII as they are.
    const names = fs.readdirSync(fsPath(join(root, path)), 'latin1');
    return sortNames(names.map((name) => (/[^ -~]/.test(name) ? textOfBytes(Buffer.from(name, 'latin1')) : name)));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw unreadable(path === '' ? '.' : path, error);
  }
}

/** What lstat(2) says of PATH, which is at FULL; undefined where nothing is. @throws StrakeError `CONTEXT_UNREADABLE` */
export function statOf(path: string, full: string | Buffer): fs.Stats | undefined {
  try {
    return fs.lstatSync(full, { throwIfNoEntry: false });
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'ENAMETOOLONG') return undefined;
    throw unreadable(path, error);
  }
}
