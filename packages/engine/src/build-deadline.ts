import { StrakeError } from '@strake/core';

/** A signal with a time limit; `done` takes the limit away. */
export interface Deadline {
  readonly signal: AbortSignal;
  done(): void;
}

/** SIGNAL, aborted as well when MILLISECONDS are over: with the StrakeError `BUILD_TIMEOUT`. */
export function buildDeadline(milliseconds: number | undefined, signal: AbortSignal): Deadline {
  if (milliseconds === undefined) return { signal, done: () => undefined };
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(
      new StrakeError({
        code: 'BUILD_TIMEOUT',
        message: `the build did not end within ${milliseconds / 1000} s`,
        hint: 'It was stopped. --timeout sets how long a build may take; what was finished is in the cache.',
      }),
    );
  }, milliseconds);
  return { signal: AbortSignal.any([signal, controller.signal]), done: () => clearTimeout(timer) };
}
