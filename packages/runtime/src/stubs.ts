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
  for (const stub of [...stubs].reverse()) {
    let parent: number | undefined;
    try {
      const place = walkRoot(root, path.dirname(stub.path));
      parent = place.fd;
      if (place.path === path.dirname(stub.path)) removeStub(`/proc/self/fd/${parent}`, stub);
    } catch (error) {
      if (!CHANGED.has(errnoOf(error) ?? '')) throw error;
    } finally {
      if (parent !== undefined) closeDescriptor(parent);
    }
  }
}

function removeStub(parent: string, stub: Stub): void {
  const made = `${parent}/${path.basename(stub.path)}`;
  const facts = fs.lstatSync(made, { bigint: true });
  if (facts.ino !== stub.inode) return;
  const around = fs.statSync(parent, { bigint: true });
  if (stub.kind === 'folder') {
    if (!facts.isDirectory()) return;
    fs.rmdirSync(made);
  } else {
    if (!facts.isFile() || facts.size !== 0n || facts.nlink !== 1n) return;
    fs.unlinkSync(made);
  }
  const time = around.mtimeNs === stub.parentTimes.after ? stub.parentTimes.before : around.mtimeNs;
  fs.utimesSync(parent, new Date(Number(around.atimeMs)), seconds(time));
}

/** Node takes times in seconds as doubles; microseconds survive that. */
function seconds(nanoseconds: bigint): number {
  return Number(nanoseconds / 1000n) / 1e6;
}
