import fs from 'node:fs';

import { openAt2, OpenFlag, ResolveFlag } from '@strake/sys';

/**
 * A handle (O_PATH, to be closed) of what lies at PATH below the folder SOURCE. Steps have written there: links, also absolute ones
 * and `..`, are resolved with SOURCE as the root.
 * @throws SystemCallError
 */
export function openInside(source: string, path: string): number {
  const folder = fs.openSync(source, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    return openAt2(folder, path, OpenFlag.path, ResolveFlag.inRoot | ResolveFlag.noMagicLinks);
  } finally {
    fs.closeSync(folder);
  }
}
