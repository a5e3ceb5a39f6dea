import { lstatSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';

import { errnoOf } from '@strake/core';

/** Paths longer than this are cut: below PATH_MAX (4096) with room for a name. */
const LONG = 3000;

/** A folder below PATH that is about as deep as a path can be, as bytes (names may be any). */
function deepFolder(path: Buffer): Buffer | undefined {
  for (const name of readdirSync(path, { encoding: 'buffer' })) {
    const child = Buffer.concat([path, Buffer.from('/'), name]);
    if (!lstatSync(child).isDirectory()) continue;
    const found = child.length > LONG ? child : deepFolder(child);
    if (found) return found;
  }
  return undefined;
}

/** Removes a tree, however deep, with all that this process has the right to remove. Links are not followed. */
export function removeTreeNow(path: string): void {
  for (;;) {
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 2 });
      return;
    } catch (error) {
      if (errnoOf(error) !== 'ENAMETOOLONG') throw error;
    }
    const deep = deepFolder(Buffer.from(path));
    if (!deep) throw new Error(`${path} cannot be removed: too deep`);
    // Cut off and put beside the rest, where its paths are short.
    renameSync(deep, `${mkdtempSync(`${path}/deep-`)}/d`);
  }
}
