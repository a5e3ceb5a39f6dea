import type { Descriptor } from '@strake/core';
import { createEngine as createInner, type Engine as Inner } from '@strake/engine';

import { engineBuildOptions, type BuildOptions } from './build-options.js';
import { startBuild, type Build } from './build.js';
import { Calls } from './calls.js';
import type {
  BuildExplanation,
  DiskUsage,
  DoctorReport,
  EngineOptions,
  ImageDetails,
  ImageSummary,
  Plan,
  PruneOptions,
  PruneResult,
  RunImageOptions,
  TransferImageOptions,
} from './types.js';

/**
 * Builds and handles images on one store. Any number of calls may run at once; builds share their steps: those that are identical
 * run once. Methods reject with {@link StrakeError} for what a user can meet, and with `ENGINE_CLOSED` after `close`.
 */
export interface Engine {
  /** Begins to build. Arguments that make no sense, too, are told by `result`. */
  build(options: BuildOptions): Build;
  /**
   * What a build with these options would do, and why: the graph, which steps would run, which are cached. Nothing is run, no
   * process is started; of the network only base images are asked for, and a remote context is fetched.
   */
  plan(options: BuildOptions): Promise<Plan>;
  /** Runs an image in a container of its own, which is gone afterwards; resolves to its exit code. Abort ends all its processes. */
  run(options: RunImageOptions): Promise<number>;
  /** Fetches an image into the local store. */
  pull(
    name: string,
    options?: TransferImageOptions & { readonly platform?: string | undefined },
  ): Promise<ImageSummary>;
  /** Sends an image of the local store to the registry that its name says. */
  push(name: string, options?: TransferImageOptions): Promise<Descriptor>;
  /** The images of the local store. */
  images(): Promise<readonly ImageSummary[]>;
  /** By name, or by a prefix of the manifest's or config's digest. */
  inspect(name: string): Promise<ImageDetails>;
  /** Gives an image of the local store another name. */
  tag(source: string, target: string): Promise<void>;
  /** Removes a name; the data goes with garbage collection. */
  remove(name: string): Promise<void>;
  /** Removes build cache and what nothing refers to; never what a named image holds or a running build uses. */
  prune(options?: PruneOptions): Promise<PruneResult>;
  /** What takes the space of the store. */
  diskUsage(): Promise<DiskUsage>;
  /** Why the steps of the last build, or of the one that made an image, ran. */
  explain(name?: string): Promise<BuildExplanation>;
  /** What this machine can do; with `fix` what a crash left behind is removed. */
  doctor(options?: { readonly fix?: boolean }): Promise<DoctorReport>;
  /** Ends everything, running builds and containers too: they reject with `CANCELLED`. Nothing of the engine lives on afterwards. */
  close(): Promise<void>;
}

/** An engine over one store. Nothing is started or opened before a call needs it. */
export function createEngine(options: EngineOptions = {}): Engine {
  const { env = process.env, ...settings } = options;
  const calls = new Calls();
  let made: Promise<Inner> | undefined;
  const call = <T>(
    signal: AbortSignal | undefined,
    work: (engine: Inner, signal: AbortSignal) => Promise<T>,
  ): Promise<T> => calls.run(signal, async (s) => work(await (made ??= createInner(settings, env)), s));
  const close = async (): Promise<void> => {
    await calls.close();
    await (await made)?.close();
  };
  let closing: Promise<void> | undefined;
  return {
    build: (given) => {
      const cwd = process.cwd();
      return startBuild(
        () => engineBuildOptions(given, cwd),
        (build) => call(build.signal, (engine, signal) => engine.build({ ...build, signal, measure: true })),
      );
    },
    plan: async (given) => {
      const plan = engineBuildOptions(given, process.cwd());
      return call(plan.signal, (engine, signal) => engine.plan({ ...plan, signal }));
    },
    run: (run) => call(run.signal, (engine, signal) => engine.run({ ...run, signal })),
    pull: (name, transfer) => call(transfer?.signal, (engine, signal) => engine.pull(name, { ...transfer, signal })),
    push: (name, transfer) => call(transfer?.signal, (engine, signal) => engine.push(name, { ...transfer, signal })),
    images: () => call(undefined, (engine) => engine.images()),
    inspect: (name) => call(undefined, (engine) => engine.inspect(name)),
    tag: (source, target) => call(undefined, (engine) => engine.tag(source, target)),
    remove: (name) => call(undefined, (engine) => engine.remove(name)),
    prune: (prune) => call(prune?.signal, (engine, signal) => engine.prune({ ...prune, signal })),
    diskUsage: () => call(undefined, (engine) => engine.diskUsage()),
    explain: (name) => call(undefined, (engine) => engine.explain(name)),
    doctor: (doctor) => call(undefined, (engine) => engine.doctor(doctor)),
    close: () => (closing ??= close()),
  };
}

/** One build with an engine of its own, which is closed when it has ended. */
export function build(options: BuildOptions & EngineOptions): Build {
  const { root, isolation, snapshotter, insecureRegistries, maxParallelism, env, ...given } = options;
  const engine = createEngine({ root, isolation, snapshotter, insecureRegistries, maxParallelism, env });
  const { events, result } = engine.build(given);
  const closed = result.finally(() => engine.close());
  closed.catch(() => undefined);
  return { events, result: closed };
}
