import type { WatchEvent } from '@strake/engine';

/** Milliseconds of rest before garbage is collected: no save waits for that. */
const REST = 3000;

/**
 * Gives memory back while a watch has nothing to do: V8 collects when it needs room, which may be in hours, and until then what the last
 * builds have left stays.
 */
export class IdleMemory {
  readonly #rest: number;
  readonly #collect: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;

  /** REST: milliseconds. */
  constructor(rest: number = REST, collect: () => Promise<void> = collectGarbage) {
    this.#rest = rest;
    this.#collect = collect;
  }

  /** Takes note of what the watch does. */
  event({ type }: WatchEvent): void {
    if (type !== 'building' && type !== 'watching') return;
    this.end();
    if (type === 'watching') this.#timer = setTimeout(() => void this.#collect(), this.#rest).unref();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** A full collection, by what `--expose-gc` gives. The inspector's protocol can do it, too, and was seen to lock up. */
export async function collectGarbage(): Promise<void> {
  const [v8, vm] = await Promise.all([import('node:v8'), import('node:vm')]);
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as NodeJS.GCFunction;
  v8.setFlagsFromString('--no-expose-gc');
  collect();
}
