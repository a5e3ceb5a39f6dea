import { callLibcLater } from './libc.js';

/** Milliseconds of rest before memory is given back: nothing waits for that. */
const REST = 3000;
/** Milliseconds after which it is given back where there never is such a rest. */
const LATEST = 60_000;

let collector: NodeJS.GCFunction | undefined;

async function loadCollector(): Promise<NodeJS.GCFunction> {
  const [v8, vm] = await Promise.all([import('node:v8'), import('node:vm')]);
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as NodeJS.GCFunction;
  v8.setFlagsFromString('--no-expose-gc');
  return collect;
}

/**
 * Gives memory back that this thread has and does not use. V8 collects garbage when it needs room; this is a full collection, by what
 * `--expose-gc` gives (the inspector's protocol can do it, too, and was seen to lock up). The C library keeps what it had to give out
 * once: threads that come and go, and buffers of all sizes, leave its arenas full of holes, hundreds of megabytes in an hour.
 * malloc_trim(3), on another thread, gives them back; nothing where the library has no such call, as musl's. Never fails:
 * where something of that cannot be had, memory is only not given back.
 */
export async function giveBackMemory(): Promise<void> {
  try {
    collector ??= await loadCollector();
    collector();
    await callLibcLater('int malloc_trim(size_t pad)', 0);
  } catch {
    // As said above.
  }
}

/** Has a thread that lives for hours give back what its work has left while there is none, and now and then where there always is. */
export class IdleMemory {
  readonly #rest: number;
  readonly #giveBack: () => Promise<void>;
  readonly #now: () => number;
  #given: number;
  #timer: NodeJS.Timeout | undefined;

  /** REST: milliseconds. NOW: milliseconds that only go forwards. */
  constructor(
    rest: number = REST,
    giveBack: () => Promise<void> = giveBackMemory,
    now: () => number = () => process.uptime() * 1000, // `performance` takes 3 ms to load
  ) {
    this.#rest = rest;
    this.#giveBack = giveBack;
    this.#now = now;
    this.#given = now();
  }

  /** Work has begun. */
  busy(): void {
    clearTimeout(this.#timer);
  }

  /** There is no more work for now. */
  idle(): void {
    clearTimeout(this.#timer);
    const rest = this.#now() - this.#given >= LATEST ? 0 : this.#rest;
    this.#timer = setTimeout(() => {
      this.#given = this.#now();
      void this.#giveBack();
    }, rest).unref();
  }
}
