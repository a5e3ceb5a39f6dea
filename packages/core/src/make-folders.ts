import { mkdirSync, statSync } from 'node:fs';
import { lstat, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { errnoOf } from './errors.js';

/**
 * Makes a folder and those above it that are missing: the first one made, undefined where all are there. As mkdir(3) of Node with
 * `recursive`, which never ends where a file system has a folder and lets nobody make one in it (ENOENT, as /proc says).
 * @throws the system's error
 */
export async function makeFolders(path: string, mode?: number): Promise<string | undefined> {
  const missing = await makeOne(path, mode);
  if (missing === undefined) return path;
  if (missing === 'there') return undefined;
  const above = dirname(path);
  if (above === path) throw missing;
  // Where it is there by now somebody else has made it, or the one below must not be made.
  const first = (await isThere(above)) ? undefined : await makeFolders(above, mode);
  const still = await makeOne(path, mode);
  if (still instanceof Error) throw still;
  return first ?? (still === undefined ? path : undefined);
}

/** Undefined: made. An error: the folder above is missing. */
async function makeOne(path: string, mode: number | undefined): Promise<undefined | 'there' | Error> {
  try {
    await mkdir(path, mode);
    return undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return error as Error;
    // Of a folder on a file system that is read-only, or whose parent is another's, the kernel says that first.
    if ((await stat(path).catch(() => undefined))?.isDirectory()) return 'there';
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

/**
 * As {@link makeFolders}, at once. Node's own way, `recursive`, also says ENOENT whatever is wrong with the disk.
 * @throws the system's error
 */
export function makeFolderNow(path: string, mode = 0o777): void {
  try {
    makeOneNow(path, mode);
  } catch (error) {
    const above = dirname(path);
    if (errnoOf(error) !== 'ENOENT' || above === path) throw error;
    makeFolderNow(above, mode);
    makeOneNow(path, mode);
  }
}

function makeOneNow(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // As in makeOne: of a folder that is there the kernel may say something else first.
    if (errnoOf(error) === 'ENOENT' || !statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}
