import { mkdir, readlink, rename, rm, unlink } from 'node:fs/promises';

import { abortable } from '@strake/core';

import { randomName, syncFolder, unlessMissing } from '../files.js';
import { TRASH } from '../holders.js';
import { blobPath, layerPath } from '../layout.js';
import { NEAR_TREE } from '../snapshot/idle-trees.js';
import type { FileStore } from '../store.js';
import { namesIn } from './disk.js';
import { REMOVED_MOUNT } from './removed-mount.js';
import type { CacheItem, Inventory } from './types.js';

/** What was taken out of the store and is yet to be deleted. */
export interface Trash {
  /** Folders that this process may delete. */
  readonly own: readonly string[];
  /** Trees in which files may belong to others. */
  readonly trees: readonly string[];
}

/**
 * Takes the links to a layer's unpacked trees away; its trees, which by other links nobody can go on with then. A tree that is another
 * layer's stays.
 */
async function unlinkTrees(store: FileStore, folder: string): Promise<string[]> {
  const trees: string[] = [];
  for (const name of await namesIn(folder)) {
    if (!name.startsWith('tree-')) continue;
    const target = await unlessMissing(readlink(`${folder}/${name}`), ['ENOENT', 'EINVAL']);
    await unlink(`${folder}/${name}`);
    if (target === undefined || name.startsWith(NEAR_TREE)) continue;
    const tree = `${store.layout.snapshots}/${target.slice(target.lastIndexOf('/') + 1)}`;
    for (const suffix of ['scan', 'touched']) await rm(`${tree}.${suffix}`, { force: true });
    trees.push(tree);
  }
  return trees;
}

/**
 * Takes garbage and given up folders out of the store, by renames only. Nobody else uses it meanwhile. Wherever this is
 * interrupted, what is left is garbage again, a tree without a link or a temporary file, which the next process removes.
 */
export async function takeOut(
  store: FileStore,
  { garbage, leased }: Pick<Inventory, 'garbage' | 'leased'>,
  folders: readonly CacheItem[],
  allTrees: boolean,
): Promise<Trash> {
  const { layout } = store;
  // What was forgotten stays forgotten also through a power cut: a name promises its image.
  await syncFolder(layout.refs);
  const bin = store.own.temporaryPath(TRASH);
  await mkdir(bin, { mode: 0o700 });
  const trees: string[] = [];
  let count = 0;
  const drop = async (path: string): Promise<void> => {
    await unlessMissing(rename(path, `${bin}/${count++}`));
  };
  for (const digest of garbage) {
    const folder = layerPath(layout, digest);
    trees.push(...(await unlinkTrees(store, folder)));
    await drop(folder);
    await drop(blobPath(layout, digest));
  }
  if (allTrees) {
    for (const name of await namesIn(layout.layers)) {
      if (leased.has(`sha256:${name}`)) continue;
      trees.push(...(await unlinkTrees(store, `${layout.layers}/${name}`)));
    }
  }
  for (const { id, type } of folders) {
    const path = `${layout.root}/${id}`;
    if (type === 'source.local') await drop(path);
    if (type !== 'exec.cachemount') continue;
    const name = `${layout.mounts}/${REMOVED_MOUNT}${randomName(16)}`;
    for (const suffix of ['.ready', '.id']) await rm(`${path}${suffix}`, { force: true });
    // Within its folder: a folder of another owner cannot be moved out of it.
    await unlessMissing(rename(path, name));
    trees.push(name);
  }
  return { own: [bin], trees };
}

/** Deletes what was taken out. REMOVETREE deletes what this process has no right to. Where SIGNAL aborts, the next process does the rest. */
export async function emptyTrash(
  store: FileStore,
  trash: Trash,
  removeTree: (path: string) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  for (const path of trash.own) await abortable(store.pool.run({ kind: 'remove', path }), signal);
  for (const path of trash.trees) await abortable(removeTree(path), signal);
}
