import type { Digest } from '@strake/core';

/** An index that nothing has asked for in so many uses of the store goes: builds of a watch make a new one at each save. */
const KEPT_USES = 2;
/** Bytes in memory at most, where nothing else is said. */
const LIMIT = 96 * 2 ** 20;

interface Kept<Index> {
  readonly index: Index;
  /** The use that asked for it last. */
  use: number;
}

/**
 * Indexes in memory, LIMIT bytes of them; those used last stay, and of these what lately was in use. The one used last stays however
 * large it is.
 */
export class IndexCache<Index extends { readonly size: number }> {
  readonly #limit: number;
  /** In the order of their last use. */
  readonly #indexes = new Map<Digest, Kept<Index>>();
  #size = 0;
  #use = 0;

  constructor(limit: number = LIMIT) {
    this.#limit = limit;
  }

  /** Bytes in memory. */
  get size(): number {
    return this.#size;
  }

  get(diffId: Digest): Index | undefined {
    const kept = this.#indexes.get(diffId);
    if (!kept) return undefined;
    kept.use = this.#use;
    this.#indexes.delete(diffId);
    this.#indexes.set(diffId, kept);
    return kept.index;
  }

  /** INDEX is of a layer that is not there yet. */
  add(diffId: Digest, index: Index): void {
    this.#indexes.set(diffId, { index, use: this.#use });
    this.#size += index.size;
    for (const oldest of this.#indexes.keys()) {
      if (this.#size <= this.#limit || oldest === diffId) break;
      this.#remove(oldest);
    }
  }

  /** A build, or another use of the store, begins. */
  nextUse(): void {
    this.#use++;
    for (const [diffId, { use }] of this.#indexes) {
      if (use >= this.#use - KEPT_USES) break;
      this.#remove(diffId);
    }
  }

  #remove(diffId: Digest): void {
    this.#size -= this.#indexes.get(diffId)?.index.size ?? 0;
    this.#indexes.delete(diffId);
  }
}
