/** Layers that a look-up goes through at most. */
const MAX_LAYERS = 32;

/**
 * A map that begins with the content of another one, without copying it: what a stage inherits from the one below. The lower one must
 * not change any more. Copied whole once in a while, so that look-ups stay fast in chains of thousands of stages.
 */
export class LayeredMap<V> {
  readonly #below: LayeredMap<V> | undefined;
  readonly #own: Map<string, V>;
  readonly #layers: number;

  constructor(below?: LayeredMap<V>) {
    const flatten = below !== undefined && below.#layers >= MAX_LAYERS;
    this.#own = new Map<string, V>(flatten ? below.entries() : []);
    this.#below = flatten ? undefined : below;
    this.#layers = this.#below ? this.#below.#layers + 1 : 1;
  }

  get(key: string): V | undefined {
    for (let map = this as LayeredMap<V> | undefined; map; map = map.#below) {
      const value = map.#own.get(key);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  set(key: string, value: V): void {
    this.#own.set(key, value);
  }

  /** All entries, those of lower layers first; a key that is set in several comes several times, the valid value last. */
  *entries(): Generator<[string, V]> {
    if (this.#below) yield* this.#below.entries();
    yield* this.#own;
  }

  /** All keys, perhaps repeated. */
  *keys(): Generator<string> {
    for (const [key] of this.entries()) yield key;
  }
}
