import { trimMemory, type WatchEvent } from '@strake/engine';

/** Milliseconds of rest before garbage is collected: no save waits for that. */
const REST = 3000;
/** Milliseconds after which it is collected where there never is such a rest. */
const LATEST = 60_000;

/**
 * Gives memory back while a watch has nothing to do: V8 collects when it needs room, which may be in hours, and until then what the last
 * builds have left stays; the C library keeps what it had to give out once.
 */
export class IdleMemory {
  readonly #rest: number;
  readonly #collect: () => Promise<void>;
  readonly #now: () => number;
  #collected: number;
  #timer: NodeJS.Timeout | undefined;

  /** REST: milliseconds. NOW: milliseconds that only go forwards. */
  constructor(
    rest: number = REST,
    collect: () => Promise<void> = collectGarbage,
    now: () => number = () => performance.now(),
  ) {
    this.#rest = rest;
    this.#collect = collect;
    this.#now = now;
    this.#collected = now();
  }

  /** Takes note of what the watch does. */
  event({ type }: WatchEvent): void {
    if (type !== 'building' && type !== 'watching') return;
    this.end();
    if (type !== 'watching') return;
    const rest = this.#now() - this.#collected >= LATEST ? 0 : this.#rest;
    this.#timer = setTimeout(() => {
      this.#collected = this.#now();
      void this.#collect();
    }, rest).unref();
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
  await trimMemory();
}
