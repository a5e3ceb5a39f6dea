import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';

import { hexOf, isDigest, type Digest } from '@strake/core';

import { readJson, unlessMissing } from '../files.js';
import type { StoreLayout } from '../layout.js';
import { NEAR_TREE } from '../snapshot/idle-trees.js';

/** What cannot be looked at: gone meanwhile, or another user's (steps of ordinary users have ids of their own). */
const UNSEEN = ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'];

/** Names in a folder; none where it is missing or closed. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await unlessMissing(readdir(folder), UNSEEN)) ?? [];
}

/** Bytes on disk of a file, or of a folder and all below. Links are not followed; what is closed to this process counts nothing. */
export async function diskUsage(path: string): Promise<number> {
  let total = 0;
  const seen = new Set<number>();
  const waiting = [path];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const facts: Stats | undefined = await unlessMissing(lstat(next), UNSEEN);
    if (!facts || (facts.nlink > 1 && !facts.isDirectory() && seen.has(facts.ino))) continue;
    if (facts.nlink > 1) seen.add(facts.ino);
    total += facts.blocks * 512;
    if (facts.isDirectory()) for (const name of await namesIn(next)) waiting.push(`${next}/${name}`);
  }
  return total;
}

/** A layer's folder. */
export interface LayerFolder {
  readonly diffId: Digest;
  /** Compressed forms. */
  readonly forms: readonly Digest[];
  /** Names of links to unpacked trees. */
  readonly trees: readonly string[];
  /** Bytes of facts and index. */
  readonly size: number;
}

function digestOfHex(name: string): Digest | undefined {
  const digest = `sha256:${name}`;
  return isDigest(digest) ? digest : undefined;
}

/** All blobs and their sizes. */
export async function listBlobs(layout: StoreLayout): Promise<Map<Digest, number>> {
  const sizes = new Map<Digest, number>();
  for (const name of await namesIn(layout.blobs)) {
    const digest = digestOfHex(name);
    const facts = digest && (await unlessMissing(lstat(`${layout.blobs}/${name}`)));
    if (digest && facts) sizes.set(digest, facts.size);
  }
  return sizes;
}

/** All folders of layers. */
export async function listLayers(layout: StoreLayout): Promise<LayerFolder[]> {
  const found: LayerFolder[] = [];
  for (const name of await namesIn(layout.layers)) {
    const diffId = digestOfHex(name);
    if (!diffId) continue;
    const folder = `${layout.layers}/${hexOf(diffId)}`;
    const forms: Digest[] = [];
    const trees: string[] = [];
    let size = 0;
    for (const file of await namesIn(folder)) {
      if (file.startsWith(NEAR_TREE)) continue;
      if (file.startsWith('tree-')) trees.push(file);
      else if (file.startsWith('blob-')) {
        const digest = ((await readJson(`${folder}/${file}`)) as { digest?: unknown } | undefined)?.digest;
        if (isDigest(digest)) forms.push(digest);
      } else size += (await unlessMissing(lstat(`${folder}/${file}`)))?.size ?? 0;
    }
    found.push({ diffId, forms, trees, size });
  }
  return found;
}
