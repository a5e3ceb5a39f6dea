import fs from 'node:fs';
import path from 'node:path';

import { errnoOf } from '@strake/core';

/** Milliseconds after which an empty cgroup of ours is a leftover of a builder that was killed. */
const LEFT_OVER = 10_000;

/** Removes an empty cgroup. A process in it that is only just ending keeps it: `removeLeftCgroups` removes it later. */
export function removeCgroup(folder: string): void {
  try {
    fs.rmdirSync(folder);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
}

/** The same, with those in it. */
export function removeCgroups(folder: string): void {
  for (const inside of foldersIn(folder)) removeCgroups(inside);
  removeCgroup(folder);
}

/** Removes the empty cgroups in FOLDER whose names begin with PREFIX, where they are old enough that nobody is about to join them. */
export function removeLeftCgroups(folder: string, prefix: string): void {
  for (const left of foldersIn(folder)) {
    if (!path.basename(left).startsWith(prefix)) continue;
    const made = fs.statSync(left, { throwIfNoEntry: false })?.mtimeMs;
    if (made !== undefined && Date.now() - made > LEFT_OVER) removeCgroup(left);
  }
}

/** The cgroups in one; none where it is gone. */
export function foldersIn(folder: string): readonly string[] {
  try {
    const entries = fs.readdirSync(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => path.join(folder, entry.name));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
