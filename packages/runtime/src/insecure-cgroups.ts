import fs from 'node:fs';
import path from 'node:path';

import { errnoOf } from '@strake/core';

import { joinCgroups } from './cgroup-join.js';
import { cgroupFiles, hierarchies, type CgroupFiles } from './cgroup-places.js';

/** The cgroups of one insecure step, which may make others in them. */
export interface InsecureCgroups {
  /** The beginning of a command that joins them, and so leaves this process's guard, and becomes the program that follows. */
  readonly launcher: readonly string[];
  /** Takes them away with all that the step has made in them. To be called when all its processes have ended. */
  remove(): void;
}

const PREFIX = 'strake-insecure-';
/** Milliseconds after which an empty cgroup of ours is a leftover of a builder that was killed. */
const LEFT_OVER = 10_000;
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
      removeLeftovers(parent);
      fs.mkdirSync(folder);
      made.push(folder);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
    }
  }
  const leaves = made.some((folder) => path.dirname(folder) === options.own);
  return { launcher: joinCgroups(leaves ? made : [options.own, ...made]), remove: () => made.forEach(removeWhole) };
}

function isIn(folder: string, other: string): boolean {
  return folder === other || folder.startsWith(`${other}/`);
}

function removeLeftovers(parent: string): void {
  for (const name of fs.readdirSync(parent)) {
    if (!name.startsWith(PREFIX)) continue;
    const left = path.join(parent, name);
    const made = fs.statSync(left, { throwIfNoEntry: false })?.mtimeMs;
    if (made !== undefined && Date.now() - made > LEFT_OVER && !hasProcesses(left)) removeWhole(left);
  }
}

function hasProcesses(folder: string): boolean {
  const procs = fs.readFileSync(path.join(folder, 'cgroup.procs'), 'utf8');
  return procs !== '' || foldersIn(folder).some(hasProcesses);
}

function removeWhole(folder: string): void {
  try {
    foldersIn(folder).forEach(removeWhole);
    fs.rmdirSync(folder);
  } catch (error) {
    // A process that is only just ending keeps it: the next insecure step removes it.
    if (errnoOf(error) === undefined) throw error;
  }
}

function foldersIn(folder: string): string[] {
  const entries = fs.readdirSync(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => path.join(folder, entry.name));
}
