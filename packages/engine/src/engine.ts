import { runBuild } from './build-call.js';
import { createResources } from './resources.js';
import type { Engine, EngineOptions, RunningContainer } from './types.js';

// Builds only are there from the start: a cached one takes hardly longer than the rest of this package takes to load.
const images = async () => import('./images.js');

/**
 * An engine over one store. Nothing is started or opened before a call needs it.
 * @param env where settings and credentials are looked up; default: this process's environment
 */
export function createEngine(options: EngineOptions = {}, env: NodeJS.ProcessEnv = process.env): Promise<Engine> {
  const resources = createResources(options, env);
  /** WORK, with everything in the store kept where it is meanwhile. */
  const using = async <T>(what: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
    const use = await (await resources.store()).use(what, signal);
    try {
      return await work();
    } finally {
      await use.release();
    }
  };
  const engine: Engine = {
    build: (build) => runBuild(build, resources, options, env),
    plan: (build) =>
      using(
        'plan',
        async () => (await import('./plan-call.js')).planBuild(build, resources, options, env),
        build.signal,
      ),
    call: async (method, build) => (await import('./dockerfile-call.js')).callDockerfile(method, build, resources, env),
    pull: (name, transfer) =>
      using('pull', async () => (await images()).pullImage(resources, name, transfer), transfer?.signal),
    push: (name, transfer) =>
      using(
        'push',
        async () => (await import('./export-stored.js')).pushStored(resources, name, transfer),
        transfer?.signal,
      ),
    save: (name, save) =>
      using('save', async () => (await import('./export-stored.js')).saveStored(resources, name, save), save.signal),
    load: (archive, load) =>
      using('load', async () => (await import('./load-images.js')).loadImages(resources, archive, load), load?.signal),
    images: async () => (await images()).listImages(resources),
    inspect: async (name) => (await images()).inspectImage(resources, name),
    tag: (source, target) => using('tag', async () => (await images()).tagImage(resources, source, target)),
    remove: async (name) => (await images()).removeImage(resources, name),
    start: async (run) => {
      const start = async (): Promise<RunningContainer> =>
        (await import('./container.js')).startContainer(resources, run);
      return using('run', start, run.signal);
    },
    run: (run) => using('run', async () => (await import('./run-image.js')).runImage(resources, run), run.signal),
    prune: async (prune) => (await import('./prune.js')).pruneStore(resources, prune),
    explain: async (name) => (await import('./explain.js')).explainStored(resources, name),
    diskUsage: async () => (await import('./prune.js')).measureStore(resources),
    doctor: async (doctor) => (await import('./doctor.js')).diagnose(resources, doctor?.fix ?? false),
    close: () => resources.close(),
  };
  return Promise.resolve(engine);
}
