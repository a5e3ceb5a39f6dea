import fs from 'node:fs';
import { join } from 'node:path';

import { builderError } from '../errors.js';
import { fsPath } from '../tree/paths.js';
import type { SourceEntry, SourceTree } from '../tree/source-tree.js';
import { EntryList, type SelectedSource } from './selection.js';

/** Less than this is not asked about. */
const MUCH = 4 * 2 ** 30;
/** So many bytes in holes take no room in the store, whose tars have them too; more would be read for hours. */
const HOLES = 256 * 2 ** 30;
const UNIT = 512;

const shown = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

/** Bytes of a new file that are holes, as its blocks on the disk tell. */
function holesOf(tree: SourceTree, entry: SourceEntry): number {
  if (entry.type !== 'file' || entry.size < UNIT) return 0;
  const number = tree.numberOf?.(entry);
  if (number === undefined || tree.unlearned?.([number]).count !== 1) return 0;
  const content = tree.source(entry);
  if (content.kind !== 'file') return 0;
  const facts = fs.lstatSync(fsPath(join(content.root, content.path)), { throwIfNoEntry: false });
  return facts ? Math.max(0, entry.size - facts.blocks * UNIT) : 0;
}

/**
 * Refuses what the disk at ROOT cannot hold before anything of it is read: bytes of files that are new to the builder. Holes of
 * sparse files become holes of the store's, and count from 256 GiB on.
 * @throws StrakeError `DISK_FULL`
 */
export function checkRoom(sources: readonly SelectedSource[], root: string): void {
  for (const { tree, entry, below } of sources) {
    const own = tree.numberOf?.(entry);
    const list = below instanceof EntryList ? below : undefined;
    // A digest stands for those of all files: none of them is new.
    if (own === undefined || !tree.unlearned || list?.digest) continue;
    const { bytes } = tree.unlearned(list?.fresh(entry) ?? [own]);
    if (bytes < MUCH) continue;
    const { blocks, bavail, bsize } = fs.statfsSync(root);
    const free = blocks === 0 ? Infinity : bavail * bsize;
    if (bytes <= free) continue;
    let largest = entry;
    let holes = holesOf(tree, entry);
    for (const { entry: one } of below) {
      holes += holesOf(tree, one);
      if (one.type === 'file' && one.size > largest.size) largest = one;
    }
    if (bytes - Math.min(holes, HOLES) <= free) continue;
    throw builderError(
      'DISK_FULL',
      `"${entry.path || '.'}" has ${shown(bytes)}, and the disk of the store has ${shown(free)} free: no space left for it`,
      {
        hint:
          `The largest file is ${largest.path}, with ${shown(largest.size)}; the holes of a sparse one count from 256 GiB on. Name in .dockerignore ` +
          'what does not belong into the image, free some space, or keep the store elsewhere with --root.',
      },
    );
  }
}
