import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

function findRoot(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(folder, 'package-lock.json'))) folder = path.dirname(folder);
  return folder;
}

/** The folder of this repository. */
export const ROOT: string = findRoot();

/** The command as users call it. */
export const STRAKE: string = path.join(ROOT, 'node_modules/.bin/strake');
