import type { Digest } from '@strake/core';

import type { LayerIndex } from './layer-index.js';

/** Indexes in memory, LIMIT bytes of them; those used last stay. The one used last stays however large it is. */
export class IndexCache {
  readonly #limit: number;
  /** In the order of their last use. */
  readonly #indexes = new Map<Digest, LayerIndex>();
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(diffId: Digest): LayerIndex | undefined {
    const index = this.#indexes.get(diffId);
    if (index) {
      this.#indexes.delete(diffId);
      this.#indexes.set(diffId, index);
    }
    return index;
  }

  /** INDEX is of a layer that is not there yet. */
  add(diffId: Digest, index: LayerIndex): void {
    this.#indexes.set(diffId, index);
    this.#size += index.size;
    for (const [oldest, { size }] of this.#indexes) {
      if (this.#size <= this.#limit || oldest === diffId) break;
      this.#indexes.delete(oldest);
      this.#size -= size;
    }
  }
}
