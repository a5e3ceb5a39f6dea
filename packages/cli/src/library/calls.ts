import { cancelled, onAbort, StrakeError } from '@strake/core';

/** The calls that an engine is in the middle of: closing it ends them all. */
export class Calls {
  readonly #running = new Map<AbortController, Promise<unknown>>();
  #closed = false;

  /**
   * Runs WORK with a signal that aborts when SIGNAL does, or when the engine is closed.
   * @throws StrakeError `ENGINE_CLOSED` after that
   */
  async run<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#closed) {
      throw new StrakeError({
        code: 'ENGINE_CLOSED',
        message: 'the engine was closed',
        hint: 'Make another one with createEngine().',
      });
    }
    // Not AbortSignal.any: what lives as long as the engine would keep something of every call.
    const controller = new AbortController();
    const off = onAbort(signal, () => controller.abort(cancelled(signal)));
    const running = work(controller.signal);
    this.#running.set(controller, running);
    try {
      return await running;
    } finally {
      off();
      this.#running.delete(controller);
    }
  }

  /** Ends all that runs, and waits until it has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    const reason = new StrakeError({ code: 'CANCELLED', message: 'cancelled: the engine was closed' });
    for (const controller of this.#running.keys()) controller.abort(reason);
    await Promise.allSettled(this.#running.values());
  }
}
