import { createHash } from 'node:crypto';

import type { Digest } from './digest.js';

/** The digest of BYTES (text counts as UTF-8). */
export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** An incremental sha256 that also counts bytes. */
export class Hasher {
  readonly #hash = createHash('sha256');
  #size = 0;

  update(bytes: Uint8Array): this {
    this.#hash.update(bytes);
    this.#size += bytes.length;
    return this;
  }

  /** Bytes seen so far. */
  get size(): number {
    return this.#size;
  }

  /** Ends the computation. May be called once. */
  digest(): Digest {
    return `sha256:${this.#hash.digest('hex')}`;
  }
}
