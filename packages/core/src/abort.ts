import { setMaxListeners } from 'node:events';
import { StrakeError } from './errors.js';

/** The error that a cancelled call rejects with. */
export function cancelled(signal?: AbortSignal): Error {
  return signal?.reason instanceof Error && signal.reason.name !== 'AbortError'
    ? signal.reason
    : new StrakeError({ code: 'CANCELLED', message: 'cancelled' });
}

/** Throws where SIGNAL is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(signal);
}

/** Runs LISTENER when SIGNAL aborts (at once where it has). Returns the function that takes the listener away again. */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (!signal) return () => undefined;
  if (signal.aborted) {
    listener();
    return () => undefined;
  }
  // One signal ends a whole build: Node would warn of a leak from the eleventh listener on.
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}

/** PROMISE, or a rejection as soon as SIGNAL aborts. The work itself is not stopped by this. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  throwIfAborted(signal);
  let off: () => void = () => undefined;
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_resolve, reject) => {
        off = onAbort(signal, () => reject(cancelled(signal)));
      }),
    ]);
  } finally {
    off();
  }
}
