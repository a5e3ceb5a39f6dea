import { readFile, rm, stat, statfs, utimes, writeFile } from 'node:fs/promises';

import { throwIfAborted } from '@strake/core';

import { freeBytes, unlessMissing } from '../files.js';
import type { FileStore } from '../store.js';
import { listBlobs } from './disk.js';
import type { UsageGate } from './gate.js';
import { takeInventory } from './inventory.js';
import { collectJournal } from './journal.js';
import { cacheSize, selectItems } from './select.js';
import { emptyTrash, takeOut } from './sweep.js';
import type { CacheItem, CacheSelection, CacheType, Collected, CollectionLimits, HeldImage } from './types.js';

/** Percent of the file system and bytes; BuildKit's defaults (its default garbage collection policy). */
const RESERVED = { percent: 10, bytes: 10e9 };
const MAX_USED = { percent: 60, bytes: 100e9 };
const FREE_PERCENT = 20;
const HOUR = 3_600_000;
/** What can be had again at little cost: unused for so long, it may take no more than so many bytes. */
const CHEAP = { age: 48 * HOUR, keep: 512e6 };
/** Unused for so long, other things go first. */
const OLD = 60 * 24 * HOUR;
/** Milliseconds between two automatic collections, */
const PAUSE = 10 * 60_000;
/** unless what is free, already too little, has shrunk since by this part of what is reserved for the cache. */
const SHRUNK = 1 / 10;

/** What a collection may take. */
export interface CollectOptions {
  readonly selections: readonly CacheSelection[];
  /** Names of images to be removed; undefined: none. */
  readonly images?: ((images: readonly HeldImage[]) => readonly HeldImage[]) | undefined;
  /** Also the unpacked trees of layers that stay. */
  readonly allTrees?: boolean | undefined;
  /** Deletes a folder in which files may belong to others. */
  readonly removeTree: (path: string) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/** The default limits, for the size of the file system that the store is on. */
export async function defaultLimits(root: string): Promise<CollectionLimits> {
  const { blocks, bsize } = await statfs(root);
  const size = blocks === 0 ? Infinity : blocks * bsize;
  return {
    reserved: Math.min((size * RESERVED.percent) / 100, RESERVED.bytes),
    maxUsed: Math.min((size * MAX_USED.percent) / 100, MAX_USED.bytes),
    minFree: blocks === 0 ? 0 : (size * FREE_PERCENT) / 100,
  };
}

/** Removes parts of the cache, names of images, and then what nothing refers to any more. */
export class Collector {
  readonly #store: FileStore;
  readonly #gate: UsageGate;

  constructor(store: FileStore, gate: UsageGate) {
    this.#store = store;
    this.#gate = gate;
  }

  get #pending(): string {
    return `${this.#store.layout.root}/collect-pending`;
  }

  get #stamp(): string {
    return `${this.#store.layout.root}/collected`;
  }

  /** Records go first and data last, so that at no time something is promised that is not there. */
  collect(options: CollectOptions): Promise<Collected> {
    const { signal } = options;
    return this.#gate.collecting(async () => {
      const inventory = await takeInventory(this.#store);
      const images = options.images?.(inventory.images) ?? [];
      const items = new Map<string, CacheItem>();
      for (const selection of options.selections) {
        const rest = { ...inventory, items: inventory.items.filter(({ id }) => !items.has(id)) };
        for (const item of selectItems(rest, selection)) items.set(item.id, item);
      }
      throwIfAborted(signal);
      const kept = inventory.images.filter((image) => !images.includes(image));
      for (const { name } of images) await this.#store.references.remove(name);
      for (const { id, type } of items.values()) {
        if (!isFolder(type)) await this.#store.records.remove(id as `sha256:${string}`);
      }
      // Written before the attempt: where this process dies, the next build's end does the rest.
      await writeFile(this.#pending, '', { mode: 0o600 });
      const swept = await this.#gate.alone(async () => {
        const now = await takeInventory(this.#store, { measure: false });
        const trash = await takeOut(this.#store, now, [...items.values()], options.allTrees ?? false);
        await rm(this.#pending, { force: true });
        return trash;
      });
      // Folders are removed only where nobody can be using them.
      const removed = [...items.values()].filter(({ type }) => swept !== undefined || !isFolder(type));
      const left = inventory.items.filter((item) => !removed.includes(item));
      const freed =
        sum(inventory.garbage.map((digest) => inventory.sizes.get(digest) ?? 0)) +
        cacheSize({ ...inventory, images: [] }, [...inventory.items, ...asItems(inventory.images)]) -
        cacheSize({ ...inventory, images: [] }, [...left, ...asItems(kept)]);
      if (swept) await emptyTrash(this.#store, swept, options.removeTree, signal);
      await collectJournal(this.#store.layout, Date.now());
      const names = images.map(({ name }) => name);
      return { removed, names, freed, deferred: !swept };
    }, signal);
  }

  /**
   * What a build does at its end: keeps the cache within LIMITS, at most every ten minutes where the disk is not filling up, and
   * finishes what another collection had to leave. Undefined where there was nothing to do, which takes a few system calls.
   */
  async keepWithin(
    limits: CollectionLimits,
    removeTree: (path: string) => Promise<void>,
    now: number,
    signal?: AbortSignal,
  ): Promise<Collected | undefined> {
    const pending = (await unlessMissing(statTime(this.#pending))) !== undefined;
    const last = await unlessMissing(statTime(this.#stamp));
    const isRecent = last !== undefined && now - last < PAUSE && now >= last;
    if (!pending && isRecent && !(await this.#isFillingUp(limits))) return undefined;
    await this.#leaveStamp(now);
    await collectJournal(this.#store.layout, now);
    const selections: CacheSelection[] = [];
    // Trees take about as much as the blobs.
    const most = 2 * sum((await listBlobs(this.#store.layout)).values());
    if (most > Math.min(limits.reserved, CHEAP.keep)) {
      const size = cacheSize(await takeInventory(this.#store));
      const missing = Math.max(0, limits.minFree - (await this.#free()));
      const keep = Math.max(limits.reserved, Math.min(limits.maxUsed, size - missing));
      if (size > CHEAP.keep) {
        selections.push({
          types: ['source.local', 'exec.cachemount'],
          before: now - CHEAP.age,
          keep: CHEAP.keep,
        });
      }
      if (size > keep) selections.push({ before: now - OLD, keep }, { keep });
    }
    if (!pending && selections.length === 0) return undefined;
    const collected = await this.collect({ selections, removeTree, signal });
    await this.#leaveStamp(now);
    return collected;
  }

  /** Notes the time of an automatic collection, and what it left free. */
  async #leaveStamp(now: number): Promise<void> {
    await writeFile(this.#stamp, String(await this.#free()), { mode: 0o600 });
    await utimes(this.#stamp, now / 1000, now / 1000);
  }

  /** As with builds that follow one another within seconds, each with a large layer. */
  async #isFillingUp({ minFree, reserved }: CollectionLimits): Promise<boolean> {
    const free = await this.#free();
    if (free >= minFree) return false;
    const then = Number((await unlessMissing(readFile(this.#stamp, 'utf8'))) ?? '');
    return then - free > reserved * SHRUNK;
  }

  async #free(): Promise<number> {
    return freeBytes(await statfs(this.#store.layout.root));
  }
}

/** Whether items of TYPE are folders or files, not records. */
function isFolder(type: CacheType): boolean {
  return type === 'source.local' || type === 'exec.cachemount';
}

async function statTime(path: string): Promise<number> {
  return (await stat(path)).mtimeMs;
}

function asItems(images: readonly HeldImage[]): CacheItem[] {
  return images.map(({ name, size, holds, updated }) => ({
    id: name,
    type: 'internal',
    description: name,
    created: updated,
    used: updated,
    size,
    holds,
    shared: false,
  }));
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const one of numbers) total += one;
  return total;
}
