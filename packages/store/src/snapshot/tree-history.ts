import { readFileSync, writeFileSync } from 'node:fs';

import { isDigest, type Digest } from '@strake/core';

import { countRecords } from '../layer/layer-index.js';
import type { LayerFiles } from './unpack.js';

/** What happened to a tree when it got its topmost layer, or one below that. */
export interface TreeChange {
  /**
   * Where something happened. A folder that was one before ends with `/`; all else stands also for what is or was below it. Absent:
   * wherever the layer's index has a record.
   */
  readonly paths?: readonly string[] | undefined;
  /** How many paths had to be looked at. */
  readonly count: number;
}

/** How a tree came to be what it is, beside it as `snapshots/<id>.touched`. */
export interface TreeHistory {
  /** The layers that it shows, lowest first, but for the topmost. */
  readonly below: readonly Digest[];
  /** Of the layers at the top, the topmost last. */
  readonly changes: readonly TreeChange[];
}

/** How many layers are known, and how many paths in all: the file is read for each step that finds no tree of its own. */
const LAYERS = 16;
export const MOST_PATHS = 20_000;

/** What is known of a tree that was unpacked. */
export function unpackedHistory(chain: readonly LayerFiles[]): TreeHistory {
  const below = chain.slice(0, -1).map(({ diffId }) => diffId);
  return { below, changes: chain.slice(-LAYERS).map(({ index }) => ({ count: countRecords(index) })) };
}

/** A tree on which a layer has come: BEFORE is the one that it was, CHAIN that one's layers. */
export function withChange(chain: readonly Digest[], before: TreeHistory, change: TreeChange): TreeHistory {
  const changes: TreeChange[] = [];
  let paths = 0;
  for (const one of [...before.changes, change].slice(-LAYERS).reverse()) {
    paths += one.paths?.length ?? 0;
    if (paths > MOST_PATHS) break;
    changes.unshift(one);
  }
  return { below: chain, changes };
}

/** The layers above the SHARED lowest of which only the index tells what they have changed. */
export function untoldLayers({ below, changes }: TreeHistory, shared: number): Digest[] {
  const first = below.length + 1 - changes.length;
  return below.filter((_, at) => at >= shared && changes[at - first]?.paths === undefined);
}

/** Reads what {@link writeHistory} wrote; undefined where there is nothing that can be used. CHAIN: the layers that the tree is known to show. */
export function readHistory(path: string, chain?: readonly Digest[]): TreeHistory | undefined {
  let value: Partial<TreeHistory> | undefined;
  try {
    value = JSON.parse(readFileSync(path, 'utf8')) as typeof value;
  } catch {
    return undefined;
  }
  const { below, changes } = value ?? {};
  if (!Array.isArray(below) || !below.every(isDigest) || !Array.isArray(changes)) return undefined;
  if (chain && below.join() !== chain.slice(0, -1).join()) return undefined;
  return { below, changes: changes as TreeChange[] };
}

export function writeHistory(path: string, history: TreeHistory): void {
  writeFileSync(path, JSON.stringify(history), { mode: 0o600 });
}
