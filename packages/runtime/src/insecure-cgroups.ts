import fs from 'node:fs';
import path from 'node:path';

import { errnoOf } from '@strake/core';

import { joinCgroups } from './cgroup-join.js';
import { cgroupFiles, hierarchies, type CgroupFiles } from './cgroup-places.js';
import { removeCgroups, removeLeftCgroups } from './cgroup-removal.js';

/** The cgroups of one insecure step, which may make others in them. */
export interface InsecureCgroups {
  /** The beginning of a command that joins them, and so leaves this process's guard, and becomes the program that follows. */
  readonly launcher: readonly string[];
  /** Takes them away with all that the step has made in them. To be called when all its processes have ended. */
  remove(): void;
}

const PREFIX = 'strake-insecure-';
let count = 0;

/**
 * Makes a cgroup for an insecure step in each hierarchy of this process, on which nothing is laid. Where none can be made, the step has
 * the cgroup that this process had at first. FOLDER and NAME: as of `createStepLimiter`.
 */
export function openInsecureCgroups(options: {
  readonly folder: number | string;
  readonly name: string;
  readonly files?: CgroupFiles | undefined;
  /** Where it must be moved to at least: out of its guard. */
  readonly own: string;
}): InsecureCgroups {
  const name = `${PREFIX}${options.name}-${++count}`;
  const made: string[] = [];
  for (const { controllers, own } of hierarchies(options.files ?? cgroupFiles(options.folder))) {
    // Nobody can join a new one before it has processors; and runc, which is to make none, fails over one that it does not see.
    if (controllers.includes('cpuset')) continue;
    const parent = isIn(own, options.own) ? options.own : own;
    const folder = path.join(parent, name);
    try {
      // Empty ones only: what others' steps have made in theirs is not ours to remove.
      removeLeftCgroups(parent, PREFIX);
      fs.mkdirSync(folder);
      made.push(folder);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
    }
  }
  const leaves = made.some((folder) => path.dirname(folder) === options.own);
  return { launcher: joinCgroups(leaves ? made : [options.own, ...made]), remove: () => made.forEach(removeCgroups) };
}

function isIn(folder: string, other: string): boolean {
  return folder === other || folder.startsWith(`${other}/`);
}
