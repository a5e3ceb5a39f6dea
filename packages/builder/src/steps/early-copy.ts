import { throwIfAborted, type Digest } from '@strake/core';
import type { LayerInfo } from '@strake/store';

import type { CopyFacts } from '../copy/plan.js';
import { copyEntries } from '../copy/plan.js';
import { EntryList, type SelectedSource } from '../copy/selection.js';
import { TargetTree } from '../copy/target-tree.js';
import { usableChain, type ChainResult } from '../result.js';
import type { BuilderServices } from '../services.js';

/** Of fewer bytes and files the digests are learned first: what is spared is not worth a thread. */
const MUCH = 4 << 20;
const OPENING = 16 << 10;

/** A layer that was written while the digests for its step's key were learned. */
export interface EarlyLayer {
  /** The layers that it was planned on. */
  readonly below: readonly Digest[];
  install(): Promise<LayerInfo>;
  drop(): Promise<void>;
}

/** Whether most of a source is to be read for the first time, so that it pays to copy what is read. */
export function isUnknown({ tree, entry, below }: SelectedSource): boolean {
  const own = tree.numberOf?.(entry);
  const numbers = below instanceof EntryList ? below.numbers : undefined;
  if (own === undefined || !tree.unlearned || (!numbers && entry.type !== 'file')) return false;
  const { files, count, bytes } = tree.unlearned(numbers ?? [own]);
  return bytes + count * OPENING > MUCH && count * 2 > files;
}

/**
 * Writes the layer of a COPY, BELOW known, and takes over the digests of what it reads: each file is opened and read once. Undefined
 * where something is not as it should be: it shows again, and is told of, when the digests are learned.
 */
export async function copyEarly(
  source: SelectedSource,
  below: ChainResult,
  destination: string,
  factsOn: (below: readonly Digest[]) => Promise<CopyFacts>,
  { store, now, onCleanup }: BuilderServices,
  signal: AbortSignal,
): Promise<EarlyLayer | undefined> {
  const { tree } = source;
  try {
    const chain = await usableChain(below, signal);
    const target = new TargetTree(await store.layers.view(chain), Math.floor(now() / 1000));
    const taken: number[] = [];
    const entries = copyEntries(target, source, destination, await factsOn(chain), (entry) => {
      taken.push(tree.numberOf?.(entry) as number);
    });
    const staged = await store.layers.stage(entries, signal);
    let over = false;
    const drop = async (): Promise<void> => {
      if (!over) await staged.drop();
      over = true;
    };
    onCleanup(drop);
    taken.forEach((number, i) => tree.setLearned?.(number, staged.digests.subarray(i * 32, (i + 1) * 32)));
    return {
      below: chain,
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
