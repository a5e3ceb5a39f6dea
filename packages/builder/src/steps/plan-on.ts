import type { Digest } from '@strake/core';
import type { LayerEntry, LayerOutline, OutlinePath, TreeView } from '@strake/store';

import { changingEntries, Undecided } from '../copy/changes.js';
import type { ReadText } from '../copy/owner.js';
import type { PlanBase } from '../copy/target-tree.js';
import type { ChainResult } from '../result.js';
import type { BuilderServices } from '../services.js';
import { chainView } from '../tree/chain-view.js';
import { joinTree, parentPath } from '../tree/paths.js';
import { textReader } from '../tree/text-reader.js';
import { windowsEntries } from '../tree/windows-layers.js';

/** What a layer is planned on. */
export interface Planned {
  readonly view: PlanBase;
  /** Reads a text of the tree; undefined on scratch. */
  readonly read: ReadText | undefined;
  /** Diff IDs of the layers below, where all of them are written. */
  readonly chain: readonly Digest[] | undefined;
}

/** The plan asks for what an outline does not tell. */
class OutOfSight extends Error {}

/**
 * Has a layer made by MAKE on what is BELOW. Where layers of that are still being written, on outlines of them, if PATHS are all that it
 * looks at; so that a COPY behind a RUN does not wait for the RUN's layer, nor the steps behind it. MAKE is called again on the written
 * layers where that was not enough.
 */
export async function planOn<T>(
  below: ChainResult,
  paths: () => readonly OutlinePath[] | undefined,
  { store }: BuilderServices,
  signal: AbortSignal,
  make: (on: Planned) => Promise<T>,
): Promise<T> {
  const outlined = await outlinedView(below, paths, store.layers, signal);
  if (outlined) {
    try {
      return await make(outlined);
    } catch (error) {
      if (!(error instanceof OutOfSight || error instanceof Undecided)) throw error;
    }
  }
  const view = await chainView(below, store, signal);
  const { chain } = view;
  return make({ view, read: chain.length > 0 ? textReader(view) : undefined, chain });
}

/**
 * The ENTRIES of a layer that were planned on VIEW, in the form that the layers BELOW have; NOW in seconds. EARLY: digests are not
 * known yet. @throws Undecided while they are asked for
 */
export function layerEntries(
  below: ChainResult,
  entries: Iterable<LayerEntry>,
  view: PlanBase,
  now: number,
  early = false,
): Iterable<LayerEntry> {
  return below.windows ? windowsEntries(entries, view, now) : changingEntries(entries, view, early);
}

async function outlinedView(
  { layers, windows }: ChainResult,
  paths: () => readonly OutlinePath[] | undefined,
  store: BuilderServices['store']['layers'],
  signal: AbortSignal,
): Promise<Planned | undefined> {
  if (windows || !layers.some((layer) => layer.outline)) return undefined;
  const wanted = paths();
  if (!wanted) return undefined;
  const chain: (Digest | LayerOutline)[] = [];
  for (const layer of layers) {
    const outline = await layer.outline?.(wanted, signal);
    // It may have been written meanwhile; else that is to be waited for.
    if (!outline && layer.outline) return undefined;
    if (!outline) await layer.usable(signal);
    chain.push(outline ?? (await layer.diffId()));
  }
  const view = new OutlinedView(await store.view(chain), wanted, chain);
  return { view, read: (path) => view.readText(path), chain: undefined };
}

/** A view that is right at some paths: of others it throws {@link OutOfSight}. */
class OutlinedView {
  readonly #view: TreeView;
  /** The paths, and those that lead there. */
  readonly #seen = new Set<string>(['']);
  readonly #deep = new Set<string>();
  readonly #outlined: ReadonlySet<string>;

  constructor(view: TreeView, paths: readonly OutlinePath[], chain: readonly (Digest | LayerOutline)[]) {
    this.#view = view;
    this.#outlined = new Set(chain.flatMap((one) => (typeof one === 'string' ? [] : [one.id])));
    for (const { path, deep } of paths) {
      if (deep) this.#deep.add(path);
      for (let at = path; at !== ''; at = parentPath(at)) this.#seen.add(at);
    }
  }

  lookup(path: string): ReturnType<TreeView['lookup']> {
    if (!this.#seen.has(path) && !this.#isBelow(path)) throw new OutOfSight(path);
    const entry = this.#view.lookup(path);
    // Outlines have no contents.
    return entry && this.#outlined.has(entry.layer) ? { ...entry, digest: undefined } : entry;
  }

  /** Of a path that is seen, but not all that is below. */
  list(path: string): ReturnType<TreeView['list']> {
    if (!this.#isBelow(path)) throw new OutOfSight(path);
    return this.#view.list(path);
  }

  #isBelow(path: string): boolean {
    for (let at = path; ; at = parentPath(at)) {
      if (this.#deep.has(at)) return true;
      if (at === '') return false;
    }
  }

  /** A text that no link leads to, of a layer that is written. */
  async readText(path: string): Promise<string | undefined> {
    let at = '';
    for (const part of path.split('/')) {
      at = joinTree(at, part);
      if (this.lookup(at)?.type === 'symlink') throw new OutOfSight(path);
    }
    const entry = this.lookup(path);
    if (entry && this.#outlined.has(entry.layer)) throw new OutOfSight(path);
    return textReader(this.#view)(path);
  }
}
