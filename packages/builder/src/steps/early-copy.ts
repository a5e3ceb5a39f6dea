import { throwIfAborted, type Digest } from '@strake/core';
import type { LayerInfo, TreeView } from '@strake/store';

import type { CopyFacts } from '../copy/plan.js';
import { copyEntries } from '../copy/plan.js';
import { checkRoom } from '../copy/room.js';
import { EntryList, type SelectedSource } from '../copy/selection.js';
import { TargetTree } from '../copy/target-tree.js';
import type { ChainResult } from '../result.js';
import type { BuilderServices } from '../services.js';
import { chainView } from '../tree/chain-view.js';
import type { SourceTree } from '../tree/source-tree.js';
import { layerEntries } from './plan-on.js';

/** Of fewer bytes and files the digests are learned first: what is spared is not worth a thread. */
const MUCH = 4 << 20;
const OPENING = 16 << 10;
/** Where so many files have much that is unknown, the others are not waited for. */
const SAMPLE = 1024;
/** Bytes of a sha256. */
const DIGEST = 32;
/** Before so many bytes are read, all of them are to have room. */
const ROOM_FOR_ALL = 1 << 30;

/** A layer whose files were read into it while their digests were learned for its step's key. */
export interface EarlyLayer {
  /** The layers that it was planned on. */
  readonly below: readonly Digest[];
  /** Waits for what is left to be written of it. */
  install(): Promise<LayerInfo>;
  drop(): Promise<void>;
}

/** Whether most of a source is to be read for the first time, so that it pays to copy what is read. Walks no more of it than that takes. */
export function isUnknown({ tree, entry, below }: SelectedSource): boolean {
  const own = tree.numberOf?.(entry);
  const list = below instanceof EntryList ? below : undefined;
  if (own === undefined || (!list && entry.type !== 'file')) return false;
  if (!list) return areUnknown(tree, [own]);
  // What an earlier build has learned is known, but for what changed since.
  if (list.isWalked && list.length > SAMPLE && list.renewal(entry)) return false;
  const sample = list.firstNumbers(SAMPLE);
  return sample !== undefined && (areUnknown(tree, sample) || areUnknown(tree, list.numbers ?? []));
}

function areUnknown(tree: SourceTree, numbers: Iterable<number>): boolean {
  const { files, count, bytes } = tree.unlearned?.(numbers) ?? { files: 0, count: 0, bytes: 0 };
  return bytes + count * OPENING > MUCH && count * 2 > files;
}

/**
 * Writes the layer of a COPY, BELOW known, and takes over the digests of what it reads: each file is opened and read once, while
 * those behind it are still being found. TIME: see `CopyStep.epoch`. Undefined where something is not as it should be: it shows
 * again, and is told of, when the digests are learned.
 */
export async function copyEarly(
  source: SelectedSource,
  below: ChainResult,
  destination: string,
  factsOn: (view: TreeView) => Promise<CopyFacts>,
  time: number | undefined,
  { store, now, onCleanup }: BuilderServices,
  signal: AbortSignal,
): Promise<EarlyLayer | undefined> {
  const { tree } = source;
  try {
    const view = await chainView(below, store, signal);
    const target = new TargetTree(view, Math.floor(now() / 1000));
    const taken: number[] = [];
    let unchecked = 0;
    const entries = copyEntries(target, source, destination, await factsOn(view), (entry) => {
      taken.push(tree.numberOf?.(entry) as number);
      unchecked += entry.size;
      if (unchecked < ROOM_FOR_ALL) return;
      checkRoom([source], store.root);
      unchecked = -Infinity;
    });
    let learned = 0;
    const learn = (digests: Uint8Array): void => {
      for (let at = 0; at < digests.length; at += DIGEST) {
        tree.setLearned?.(taken[learned++] as number, digests.subarray(at, at + DIGEST));
      }
    };
    const staged = store.layers.stage(layerEntries(below, entries, view, time ?? target.now, true), learn, signal);
    let over = false;
    const drop = async (): Promise<void> => {
      if (!over) await staged.drop();
      over = true;
    };
    onCleanup(drop);
    await staged.read;
    return {
      below: view.chain,
      install: async () => {
        const layer = await staged.install();
        over = true;
        return layer;
      },
      drop,
    };
  } catch {
    throwIfAborted(signal);
    return undefined;
  }
}
