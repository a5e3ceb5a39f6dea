import { StrakeError, type Digest, type ProgressSink } from '@strake/core';
import {
  cacheSize,
  type CacheSelection,
  type CacheType,
  type CollectionLimits,
  type HeldImage,
  type Store,
} from '@strake/store';

import type { Resources } from './resources.js';
import type { CacheEntry, DiskUsage, PruneOptions, PruneResult } from './types.js';

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const TYPES: readonly CacheType[] = ['regular', 'internal', 'source.local', 'exec.cachemount'];

/** Removes what a prune asks for. @throws StrakeError `FILTER_INVALID` */
export async function pruneStore(resources: Resources, options: PruneOptions = {}): Promise<PruneResult> {
  const store = await resources.store();
  const selection = selectionOf(options, Date.now());
  await store.removeLeftovers();
  const { removed, names, freed, deferred } = await store.collect({
    selections: [selection],
    images: options.images ? (images) => unusedImages(images, selection, options.all ?? false) : undefined,
    allTrees: options.all === true && (options.filters ?? []).length === 0 && options.keepStorage === undefined,
    removeTree: treeRemover(resources, store),
    signal: options.signal,
  });
  const removedItems = removed.map(entryOf).sort((a, b) => b.size - a.size || (a.id < b.id ? -1 : 1));
  return { removed: removedItems, names, freed, deferred };
}

/** What takes the space of the store, and why it is kept. */
export async function measureStore(resources: Resources): Promise<DiskUsage> {
  const store = await resources.store();
  const inventory = await store.inventory();
  const sizeOf = (digests: Iterable<Digest>): number =>
    [...digests].reduce((sum, digest) => sum + (inventory.sizes.get(digest) ?? 0), 0);
  return {
    images: inventory.images.map(({ name, size, unique, pulled, updated }) => ({
      name,
      size,
      unique,
      pulled,
      updated,
    })),
    imagesSize: sizeOf(new Set(inventory.images.flatMap(({ holds }) => holds))),
    cache: inventory.items.map(entryOf).sort((a, b) => b.used - a.used || (a.id < b.id ? -1 : 1)),
    cacheSize: cacheSize(inventory),
    unpacked: inventory.trees,
    notes: await store.measureNotes(),
    garbage: {
      count: inventory.garbage.length,
      size: sizeOf(inventory.garbage),
    },
    limits: await store.defaultLimits(),
  };
}

/** Deletes trees in which files may belong to others: for ordinary users that takes the agent. */
function treeRemover(resources: Resources, store: Store): (path: string) => Promise<void> {
  if (process.getuid?.() === 0) return (path) => store.removeTree(path);
  return async (path) => (await resources.agent()).removeTree(path);
}

/** What a build does at its end. A failure of it is none of the build. */
export async function collectAfterBuild(
  resources: Resources,
  env: NodeJS.ProcessEnv,
  emit: ProgressSink,
  signal?: AbortSignal,
): Promise<void> {
  if (env['STRAKE_GC'] === 'off') return;
  try {
    const store = await resources.store();
    const limits = limitsOf(await store.defaultLimits(), env);
    await store.keepWithin(limits, treeRemover(resources, store), Date.now(), signal);
  } catch (error) {
    if (signal?.aborted) return;
    if (!(error instanceof Error)) throw error;
    emit({ type: 'warning', message: `old build cache could not be removed: ${error.message}` });
  }
}

/** Limits with those that the environment sets; bytes. @throws StrakeError `SETTING_INVALID` */
function limitsOf(limits: CollectionLimits, env: NodeJS.ProcessEnv): CollectionLimits {
  const read = (name: string, byDefault: number): number => {
    const text = env[name];
    if (text === undefined || text === '') return byDefault;
    if (!/^\d{1,15}$/.test(text)) {
      throw new StrakeError({
        code: 'SETTING_INVALID',
        message: `${name}="${text}" is not a number of bytes`,
        hint: `Write it like ${name}=20000000000.`,
      });
    }
    return Number(text);
  };
  return {
    reserved: read('STRAKE_GC_RESERVED', limits.reserved),
    maxUsed: read('STRAKE_GC_MAX_USED', limits.maxUsed),
    minFree: read('STRAKE_GC_MIN_FREE', limits.minFree),
  };
}

function entryOf(item: CacheEntry): CacheEntry {
  const { id, type, description, created, used, size, shared } = item;
  return { id, type, description, created, used, size, shared };
}

/** Milliseconds of `24h`, `1h30m`, `7d`; of a bare number seconds. */
function durationOf(text: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  if (!/^(?:\d+(?:\.\d+)?[smhdw])+$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, number, unit] of text.matchAll(/([\d.]+)([smhdw])/g)) {
    seconds += Number(number) * (UNITS[unit ?? ''] ?? 0);
  }
  return seconds * 1000;
}

function selectionOf(options: PruneOptions, now: number): CacheSelection {
  let before: number | undefined;
  let shared: boolean | undefined;
  const types: CacheType[] = [];
  const ids: string[] = [];
  const descriptions: string[] = [];
  for (const filter of options.filters ?? []) {
    const [, key = '', value = ''] = /^([a-z-]+)={0,2}(.*)$/s.exec(filter) ?? [];
    switch (key) {
      case 'until':
      case 'unused-for': {
        const passed = durationOf(value);
        if (passed === undefined) throw filterInvalid(filter, 'Write it like until=24h or until=7d.');
        before = Math.min(before ?? Infinity, now - passed);
        break;
      }
      case 'type': {
        const type = TYPES.find((one) => one === value);
        if (!type) throw filterInvalid(filter, `Types are ${TYPES.join(', ')}.`);
        types.push(type);
        break;
      }
      case 'id':
        ids.push(value);
        break;
      case 'description':
        descriptions.push(value);
        break;
      case 'shared':
        shared = value !== 'false';
        break;
      case 'private':
        shared = value === 'false';
        break;
      default:
        throw filterInvalid(filter, 'Filters are until, unused-for, type, id, description, shared and private.');
    }
  }
  return {
    all: options.all,
    before,
    shared,
    types: types.length > 0 ? types : undefined,
    ids: ids.length > 0 ? ids : undefined,
    descriptions,
    keep: options.keepStorage,
  };
}

function filterInvalid(filter: string, hint: string): StrakeError {
  return new StrakeError({ code: 'FILTER_INVALID', message: `unknown filter "${filter}"`, hint });
}

/** Pulled images that no image built here stands on; with ALL every pulled one. */
function unusedImages(images: readonly HeldImage[], { before }: CacheSelection, all: boolean): HeldImage[] {
  const built = images.filter(({ pulled }) => !pulled).flatMap(({ chains }) => chains);
  const isBase = (chain: readonly string[]): boolean =>
    built.some((above) => chain.length > 0 && chain.every((diffId, i) => above[i] === diffId));
  return images.filter(
    ({ pulled, updated, chains }) =>
      pulled && (before === undefined || updated < before) && (all || !chains.some(isBase)),
  );
}
