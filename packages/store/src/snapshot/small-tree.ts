import { lstatSync, readdirSync } from 'node:fs';

import { FEW_BYTES, FEW_ENTRIES } from '../small.js';

/** Whether a tree that nobody writes to has few entries of few bytes in all; looks at no more than that many. */
export function isSmallTree(path: string): boolean {
  let entries = 0;
  let bytes = 0;
  const pending = [Buffer.from(path)];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    const found = readdirSync(folder, { withFileTypes: true, encoding: 'buffer' });
    entries += found.length;
    if (entries > FEW_ENTRIES) return false;
    for (const entry of found) {
      if (!entry.isDirectory() && !entry.isFile()) continue;
      const at = Buffer.concat([folder, SLASH, entry.name]);
      if (entry.isDirectory()) pending.push(at);
      else bytes += lstatSync(at).size;
    }
    if (bytes > FEW_BYTES) return false;
  }
  return true;
}

const SLASH = Buffer.from('/');
