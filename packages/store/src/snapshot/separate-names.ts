import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  lchownSync,
  renameSync,
  utimesSync,
  type Stats,
} from 'node:fs';
import { dirname } from 'node:path';

import { getXattr, listXattrs, setXattr } from '@strake/sys';

import { fsPath, sysPath } from './paths.js';

/**
 * Makes NAMES of a file a file of their own, apart from its other names: a copy with its owner, mode, attributes and time to the
 * second. Nobody works in the tree. What is no file, or sparse, stays.
 */
export function separateNames(names: readonly string[]): void {
  const [first = ''] = names;
  const stats = lstatSync(fsPath(first));
  // A copy of a sparse file could fill the disk.
  if (!stats.isFile() || stats.blocks * 512 < stats.size) return;
  inPlace(first, (temporary) => {
    copyFileSync(fsPath(first), fsPath(temporary), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    copyFacts(first, temporary, stats);
  });
  for (const name of names.slice(1)) inPlace(name, (temporary) => linkSync(fsPath(first), fsPath(temporary)));
}

/** Puts what MAKE makes in NAME's place; the folder keeps its time. */
function inPlace(name: string, make: (temporary: string) => void): void {
  const folder = dirname(name);
  const { atime, mtime } = lstatSync(fsPath(folder));
  const temporary = `${folder}/.strake-${randomUUID()}`;
  make(temporary);
  renameSync(fsPath(temporary), fsPath(name));
  utimesSync(fsPath(folder), atime, mtime);
}

/** Owner first: a change of it takes set-id bits and capabilities away. */
function copyFacts(from: string, to: string, { uid, gid, mode, mtimeMs }: Stats): void {
  lchownSync(fsPath(to), uid, gid);
  chmodSync(fsPath(to), mode & 0o7777);
  for (const name of listXattrs(sysPath(from))) {
    const value = getXattr(sysPath(from), name);
    if (value) setXattr(sysPath(to), name, value);
  }
  const time = Math.floor(mtimeMs / 1000);
  utimesSync(fsPath(to), time, time);
}
