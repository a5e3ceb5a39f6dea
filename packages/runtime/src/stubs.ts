import fs from 'node:fs';
import path from 'node:path';

import { errnoOf } from '@strake/core';
import { closeDescriptor } from '@strake/sys';

import { walkRoot, type Stub } from './root-walk.js';

/** What a path may fail with where the step changed it; it is the step's then, and stays. */
const CHANGED = new Set(['ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST', 'ELOOP', 'EBUSY', 'EXDEV', 'EROFS']);

/**
 * Removes the mount points that were made in the root that ROOT is a descriptor of, where they are still what was made: empty,
 * the same file. Folders around them get their old time back where nothing else changed in them.
 * ROOT must be a view without the mounts on them.
 */
export function removeStubs(root: number, stubs: readonly Stub[]): void {
  const times = new Map<string, bigint>();
  for (const stub of [...stubs].reverse()) {
    const folder = path.dirname(stub.path);
    let parent: number | undefined;
    try {
      const place = walkRoot(root, folder);
      parent = place.fd;
      if (place.path !== folder) continue;
      const around = `/proc/self/fd/${parent}`;
      if (!times.has(folder)) times.set(folder, timeToRestore(around, folder, stubs));
      if (removeStub(`${around}/${path.basename(stub.path)}`, stub)) setTime(around, times.get(folder) ?? 0n);
    } catch (error) {
      if (!CHANGED.has(errnoOf(error) ?? '')) throw error;
    } finally {
      if (parent !== undefined) closeDescriptor(parent);
    }
  }
}

/** The time that a folder had before the first stub was made in it, if nothing changed it after the last; else its time now. */
function timeToRestore(around: string, folder: string, stubs: readonly Stub[]): bigint {
  const own = stubs.filter((stub) => path.dirname(stub.path) === folder);
  const now = fs.statSync(around, { bigint: true }).mtimeNs;
  return now === own.at(-1)?.parentTimes.after ? (own[0]?.parentTimes.before ?? now) : now;
}

function removeStub(made: string, stub: Stub): boolean {
  const facts = fs.lstatSync(made, { bigint: true });
  if (facts.ino !== stub.inode) return false;
  if (stub.kind === 'folder') {
    if (!facts.isDirectory()) return false;
    fs.rmdirSync(made);
  } else {
    if (!facts.isFile() || facts.size !== 0n || facts.nlink !== 1n) return false;
    fs.unlinkSync(made);
  }
  return true;
}

/** Node takes times in seconds as doubles; microseconds survive that, more or less. */
function setTime(file: string, nanoseconds: bigint): void {
  const now = fs.statSync(file);
  fs.utimesSync(file, now.atimeMs / 1000, Number(nanoseconds / 1000n) / 1e6);
}
