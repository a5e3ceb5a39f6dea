import { createEngine, watch as watchInner, type WatchEvent, type WatchRun } from '@strake/engine';

import { engineBuildOptions, invalid, type BuildOptions } from './build-options.js';
import type { EngineOptions } from './types.js';

/** What {@link watch} takes: a build, of a folder of this machine, and what to do with each result. */
export interface WatchOptions extends BuildOptions, EngineOptions {
  /** Ends the watch with all that it started. */
  readonly signal: AbortSignal;
  /** Told of what happens. Must not throw. */
  readonly onEvent: (event: WatchEvent) => void;
  /** Runs the image: a container of each result takes the place of the one before. */
  readonly run?: WatchRun | undefined;
  /** A shell line that runs on this machine after each result. */
  readonly exec?: string | undefined;
  /** Milliseconds without a further save before a result is used. Building begins with the first save. Default 30. */
  readonly debounce?: number | undefined;
}

/**
 * Builds, watches exactly what the build read, and builds again at each save, until the signal aborts; resolves when everything
 * that it started has ended. A build that fails is an event.
 * @throws StrakeError `WATCH_UNSUPPORTED` where the context is no folder of this machine, `ARGUMENT_INVALID`
 */
export async function watch(options: WatchOptions): Promise<void> {
  const { root, isolation, snapshotter, insecureRegistries, maxParallelism, env, ...rest } = options;
  const { signal, onEvent, run, exec, debounce, ...build } = rest;
  if (!(signal instanceof AbortSignal)) throw invalid('watch needs a signal: aborting it is how a watch ends');
  if (typeof onEvent !== 'function') throw invalid('watch needs onEvent, a function');
  const settings = { root, isolation, snapshotter, insecureRegistries, maxParallelism };
  const engine = await createEngine(settings, env ?? process.env);
  try {
    const given = engineBuildOptions(build, process.cwd());
    await watchInner({ engine, build: given, signal, onEvent, run, exec, debounce });
  } finally {
    await engine.close();
  }
}
