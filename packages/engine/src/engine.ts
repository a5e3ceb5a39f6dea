import { runBuild } from './build-call.js';
import { startContainer } from './container.js';
import { diagnose } from './doctor.js';
import { callDockerfile } from './dockerfile-call.js';
import { explainStored } from './explain.js';
import { inspectImage, listImages, pullImage, removeImage, tagImage } from './images.js';
import { measureStore, pruneStore } from './prune.js';
import { pushStored } from './push-image.js';
import { createResources } from './resources.js';
import { runImage } from './run-image.js';
import type { Engine, EngineOptions } from './types.js';

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
    call: (method, build) => callDockerfile(method, build, resources, env),
    pull: (name, transfer) => using('pull', () => pullImage(resources, name, transfer), transfer?.signal),
    push: (name, transfer) => using('push', () => pushStored(resources, name, transfer), transfer?.signal),
    images: () => listImages(resources),
    inspect: (name) => inspectImage(resources, name),
    tag: (source, target) => using('tag', () => tagImage(resources, source, target)),
    remove: (name) => removeImage(resources, name),
    start: async (run) => {
      // Its layers are mounted until it ends, whatever becomes of the image's name.
      const use = await (await resources.store()).use('run', run.signal);
      try {
        const container = await startContainer(resources, run);
        const release = (): Promise<void> => use.release();
        container.exited.then(release, release).catch(() => undefined);
        return container;
      } catch (error) {
        await use.release();
        throw error;
      }
    },
    run: (run) => using('run', () => runImage(resources, run), run.signal),
    prune: (prune) => pruneStore(resources, prune),
    explain: (name) => explainStored(resources, name),
    diskUsage: () => measureStore(resources),
    doctor: (doctor) => diagnose(resources, doctor?.fix ?? false),
    close: () => resources.close(),
  };
  return Promise.resolve(engine);
}
