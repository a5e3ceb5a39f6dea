import { readlink, rm, stat, symlink } from 'node:fs/promises';

import { errnoOf, type Digest } from '@strake/core';

import { unlessMissing } from '../files.js';
import { countRecords } from '../layer/layer-index.js';
import { readHistory, type TreeHistory } from './tree-history.js';
import type { Trees } from './trees.js';

/** Links to trees that can be made those of a chain: those of its own come first. */
const NEAR = 'u';

/** How names of these links begin in a layer's folder: a tree has several, and one of its own. */
export const NEAR_TREE: string = `tree-${NEAR}-`;

/** A tree that was left, and is now the taker's. */
export interface TakenTree {
  readonly id: string;
  /** What it has to be turned from, and how many of the lowest layers stay, where it is that of another chain. */
  readonly turn?: { readonly history: TreeHistory; readonly shared: number };
}

/** Whole trees that steps have left, for whoever goes on with them: whoever notes one as his own has it. */
export class IdleTrees {
  readonly #trees: Trees;

  /** TREES: of the kind that the links are to tell. */
  constructor(trees: Trees) {
    this.#trees = trees;
  }

  /** Takes a tree that shows CHAIN, or can be made to with less work than unpacking it. */
  async take(chain: readonly Digest[]): Promise<TakenTree | undefined> {
    const top = chain.at(-1);
    if (top === undefined) return undefined;
    const own = await this.#claim(this.#trees.linkOf(top, chain));
    return own === undefined ? this.#takeNear(chain) : { id: own };
  }

  async #takeNear(chain: readonly Digest[]): Promise<TakenTree | undefined> {
    const counts = chain.map((diffId) => countRecords(this.#trees.filesOf(diffId).index));
    const all = sum(counts);
    for (let shared = chain.length; shared > 0; shared--) {
      const lowest = chain.slice(0, shared);
      const added = sum(counts.slice(shared));
      for (const kind of [undefined, NEAR]) {
        const link = this.#trees.linkOf(lowest.at(-1) as Digest, lowest, kind);
        const path = this.#trees.linked(link);
        const history = path === undefined ? undefined : readHistory(`${path}.touched`);
        if (!history) continue;
        const undone = history.below.length + 1 - shared;
        if (undone < 0 || undone > history.changes.length) continue;
        const changed = sum(history.changes.slice(history.changes.length - undone).map(({ count }) => count));
        // Unpacking looks at nothing first, and a file that is removed is work too.
        if ((changed + added) * 2 >= all) continue;
        const id = await this.#claim(link);
        if (id !== undefined) return { id, turn: { history, shared } };
      }
    }
    return undefined;
  }

  /** Takes the tree that a link leads to, where it is there and nobody's: its id. */
  async #claim(link: string): Promise<string | undefined> {
    const target = await unlessMissing(readlink(link));
    if (target === undefined) return undefined;
    const id = target.slice(target.lastIndexOf('/') + 1);
    // The note comes first: without link and note the tree would be taken for a leftover.
    if (!this.#trees.note(id)) return undefined;
    await rm(link, { force: true });
    const path = this.#trees.pathOf(id);
    if ((await unlessMissing(stat(path))) && (await unlessMissing(stat(`${path}.scan`)))) return id;
    await this.#trees.remove(id);
    return undefined;
  }

  /** Leaves the tree of a chain to whoever goes on with it. False where one has been left already. */
  async offer(chain: readonly Digest[], id: string): Promise<boolean> {
    if (!(await this.#lead(chain, id))) return false;
    const known = readHistory(`${this.#trees.pathOf(id)}.touched`)?.changes.length ?? 0;
    for (let length = Math.max(1, chain.length - known); length < chain.length; length++) {
      await this.#lead(chain.slice(0, length), id, NEAR);
    }
    await rm(`${this.#trees.pathOf(id)}.note`, { force: true });
    return true;
  }

  /** Makes a chain's link lead to a tree. False where it leads to another one. */
  async #lead(chain: readonly Digest[], id: string, kind?: string): Promise<boolean> {
    const link = this.#trees.linkOf(chain.at(-1) as Digest, chain, kind);
    try {
      await symlink(`../../snapshots/${id}`, link);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      if (this.#trees.linked(link)) return false;
      await this.#trees.point(link, id);
    }
    return true;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
