import { onAbort, cancelled } from './abort.js';

/** Lets at most a number of tasks run at once; the others wait in order. */
export class Limiter {
  readonly #waiting: (() => void)[] = [];
  readonly #limit: number;
  #running = 0;

  constructor(limit: number) {
    this.#limit = Math.max(1, limit);
  }

  /** Runs TASK as soon as there is room. Rejects without running it where SIGNAL aborts while it waits. */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#running >= this.#limit) {
      await new Promise<void>((resolve, reject) => {
        const start = (): void => {
          off();
          resolve();
        };
        const off = onAbort(signal, () => {
          const at = this.#waiting.indexOf(start);
          if (at >= 0) this.#waiting.splice(at, 1);
          reject(cancelled(signal));
        });
        if (!signal?.aborted) this.#waiting.push(start);
      });
    } else {
      this.#running++;
    }
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}
