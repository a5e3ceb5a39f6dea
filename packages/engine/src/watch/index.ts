import type { WatchOptions } from './types.js';

/**
 * Builds, watches exactly what the build read, and builds again at each save, until the signal aborts; resolves when everything
 * that it started has ended. Failures of builds are events.
 * @throws StrakeError `WATCH_UNSUPPORTED` where the context is no folder of this machine
 */
export async function watch(options: WatchOptions): Promise<void> {
  const { watchBuild } = await import('./watch.js');
  await watchBuild(options);
}
