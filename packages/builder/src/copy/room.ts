import fs from 'node:fs';

import { builderError } from '../errors.js';
import { EntryList, type SelectedSource } from './selection.js';

/** Less than this is not asked about. */
const MUCH = 4 * 2 ** 30;

const shown = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

/**
 * Refuses what the disk at ROOT cannot hold before anything of it is read: bytes of files that are new to the builder. A sparse
 * file counts with its zeros, which are in the layer that it becomes and on the disk of whoever unpacks that.
 * @throws StrakeError `DISK_FULL`
 */
export function checkRoom(sources: readonly SelectedSource[], root: string): void {
  for (const { tree, entry, below } of sources) {
    const own = tree.numberOf?.(entry);
    const list = below instanceof EntryList ? below : undefined;
    // A digest stands for those of all files: none of them is new.
    if (own === undefined || !tree.unlearned || list?.digest) continue;
    const { bytes } = tree.unlearned(list?.numbers ?? [own]);
    if (bytes < MUCH) continue;
    const { blocks, bavail, bsize } = fs.statfsSync(root);
    const free = blocks === 0 ? Infinity : bavail * bsize;
    if (bytes <= free) continue;
    let largest = entry;
    for (const one of below) if (one.entry.type === 'file' && one.entry.size > largest.size) largest = one.entry;
    throw builderError(
      'DISK_FULL',
      `"${entry.path || '.'}" has ${shown(bytes)}, and the disk of the store has ${shown(free)} free: no space left for it`,
      {
        hint:
          `The largest file is ${largest.path}, with ${shown(largest.size)}; a sparse one counts with its zeros. Name in .dockerignore ` +
          'what does not belong into the image, free some space, or keep the store elsewhere with --root.',
      },
    );
  }
}
