import { giveBackMemory, type WatchEvent } from '@strake/engine';

/** Milliseconds of rest before memory is given back: no save waits for that. */
const REST = 3000;
/** Milliseconds after which it is given back where there never is such a rest. */
const LATEST = 60_000;

/** Has a watch give back what its last builds have left while it has nothing to do, and now and then where it always has. */
export class IdleMemory {
  readonly #rest: number;
  readonly #collect: () => Promise<void>;
  readonly #now: () => number;
  #collected: number;
  #timer: NodeJS.Timeout | undefined;

  /** REST: milliseconds. NOW: milliseconds that only go forwards. */
  constructor(
    rest: number = REST,
    collect: () => Promise<void> = giveBackMemory,
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
