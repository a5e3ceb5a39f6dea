import { lstat, readFile } from 'node:fs/promises';

import { isDigest, type Digest } from '@strake/core';

import { unlessMissing } from '../files.js';
import { leasedDigests } from '../holders.js';
import type { FileStore } from '../store.js';
import { diskUsage, listBlobs, listLayers, namesIn } from './disk.js';
import { digestsIn, imageContent } from './documents.js';
import type { CacheItem, HeldImage, Inventory } from './types.js';

/** A solver's record, as far as collection looks at it. */
interface StepRecord {
  readonly identity?: unknown;
  readonly name?: unknown;
  readonly created?: unknown;
  readonly parts?: { readonly inputs?: unknown } | undefined;
  readonly result?: unknown;
}

/** Looks at everything in a store. With `measure: false` folders that may be large are not measured: their size is 0. */
export async function takeInventory(
  store: FileStore,
  options: { readonly measure?: boolean } = {},
): Promise<Inventory> {
  const measure = options.measure ?? true;
  const { sizes, formsOf, trees } = await measureData(store);
  const images = await heldImages(store, sizes, formsOf);
  const named = new Set(images.flatMap(({ holds }) => holds));
  const steps = await recordItems(store, sizes, formsOf, named);
  const items = [...steps, ...(await mountItems(store, measure)), ...(await contextItems(store))];
  const leased = new Set(withForms(leasedDigests(store.layout), formsOf));
  const held = new Set([...named, ...leased, ...items.flatMap(({ holds }) => holds)]);
  return { images, items, sizes, leased, garbage: [...sizes.keys()].filter((digest) => !held.has(digest)), trees };
}

/** Sizes of layers and blobs. A compressed form counts by itself; whoever holds the layer holds its forms. */
async function measureData(store: FileStore): Promise<{
  sizes: Map<Digest, number>;
  formsOf: Map<Digest, readonly Digest[]>;
  trees: Inventory['trees'];
}> {
  // Layers first: a form is a blob before it is noted.
  const layers = await listLayers(store.layout);
  const sizes = await listBlobs(store.layout);
  const formsOf = new Map<Digest, readonly Digest[]>();
  const trees = { count: 0, size: 0 };
  for (const { diffId, forms, trees: links, size } of layers) {
    const tar = sizes.get(diffId) ?? 0;
    // An unpacked tree takes about what its tar does; walking it would cost more than the answer is worth.
    sizes.set(diffId, tar * (1 + links.length) + size);
    formsOf.set(diffId, forms);
    trees.count += links.length;
    trees.size += tar * links.length;
  }
  return { sizes, formsOf, trees };
}

function withForms(digests: Iterable<Digest>, formsOf: ReadonlyMap<Digest, readonly Digest[]>): Digest[] {
  const all = new Set<Digest>();
  for (const digest of digests) for (const one of [digest, ...(formsOf.get(digest) ?? [])]) all.add(one);
  return [...all];
}

function total(digests: Iterable<Digest>, sizes: ReadonlyMap<Digest, number>): number {
  let sum = 0;
  for (const digest of digests) sum += sizes.get(digest) ?? 0;
  return sum;
}

async function heldImages(
  store: FileStore,
  sizes: ReadonlyMap<Digest, number>,
  formsOf: ReadonlyMap<Digest, readonly Digest[]>,
): Promise<HeldImage[]> {
  const found = [];
  const holders = new Map<Digest, number>();
  for (const { name, target, updated, pulled } of await store.references.list()) {
    const content = await imageContent(store.blobs, target.digest);
    const holds = withForms(content.holds, formsOf);
    for (const one of holds) holders.set(one, (holders.get(one) ?? 0) + 1);
    found.push({ name, updated, pulled: pulled ?? false, chains: content.chains, holds });
  }
  return found.map((image) => ({
    ...image,
    size: total(image.holds, sizes),
    unique: total(
      image.holds.filter((one) => holders.get(one) === 1),
      sizes,
    ),
  }));
}

async function recordItems(
  store: FileStore,
  sizes: ReadonlyMap<Digest, number>,
  formsOf: ReadonlyMap<Digest, readonly Digest[]>,
  named: ReadonlySet<Digest>,
): Promise<CacheItem[]> {
  const items: { item: CacheItem; inputs: unknown; identity: unknown }[] = [];
  for await (const { key, used, record } of store.records.list()) {
    const { identity, name, created, parts, result } = (record ?? {}) as StepRecord;
    const isStep = identity !== undefined && result !== undefined;
    const holds = withForms(digestsIn(isStep ? result : record), formsOf).filter((digest) => sizes.has(digest));
    items.push({
      inputs: parts?.inputs,
      identity,
      item: {
        id: key,
        type: isStep ? 'regular' : 'internal',
        description: typeof name === 'string' ? name : 'remembered facts',
        created: typeof created === 'number' ? created : used,
        used,
        size: total(holds, sizes),
        holds,
        shared: holds.length > 0 && holds.every((digest) => named.has(digest)),
      },
    });
  }
  // What was built on a step is not found without it: then the step was as good as used.
  const byIdentity = new Map(items.flatMap((one) => (isDigest(one.identity) ? [[one.identity, one] as const] : [])));
  items.sort((a, b) => b.item.used - a.item.used);
  const raise = (one: (typeof items)[number], used: number): void => {
    for (const input of Array.isArray(one.inputs) ? one.inputs : []) {
      const parent = isDigest(input) ? byIdentity.get(input) : undefined;
      if (!parent || parent.item.used >= used) continue;
      parent.item = { ...parent.item, used };
      raise(parent, used);
    }
  };
  for (const one of items) raise(one, one.item.used);
  return items.map(({ item }) => item);
}

async function mountItems(store: FileStore, measure: boolean): Promise<CacheItem[]> {
  const { mounts } = store.layout;
  const items: CacheItem[] = [];
  for (const name of await namesIn(mounts)) {
    if (!/^[0-9a-f]{40}$/.test(name)) continue;
    const path = `${mounts}/${name}`;
    const facts = await unlessMissing(lstat(path));
    if (!facts) continue;
    const id = await unlessMissing(readFile(`${path}.id`, 'utf8'));
    const noted = await unlessMissing(lstat(`${path}.id`));
    items.push({
      id: `mounts/${name}`,
      type: 'exec.cachemount',
      description: `cache mount ${id ?? name}`,
      created: facts.birthtimeMs,
      used: Math.max(facts.mtimeMs, noted?.mtimeMs ?? 0),
      size: measure ? await diskUsage(path) : 0,
      holds: [],
      shared: false,
    });
  }
  return items;
}

async function contextItems(store: FileStore): Promise<CacheItem[]> {
  const { contexts } = store.layout;
  const items: CacheItem[] = [];
  for (const name of await namesIn(contexts)) {
    const facts = await unlessMissing(lstat(`${contexts}/${name}`));
    if (!facts?.isFile()) continue;
    items.push({
      id: `contexts/${name}`,
      type: 'source.local',
      description: 'digests of the files of a context',
      created: facts.birthtimeMs,
      used: facts.mtimeMs,
      size: facts.size,
      holds: [],
      shared: false,
    });
  }
  return items;
}
