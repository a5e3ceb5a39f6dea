import { runBuild } from './build-call.js';
import { diagnose } from './doctor.js';
import { callDockerfile } from './dockerfile-call.js';
import { inspectImage, listImages, pullImage, removeImage, tagImage } from './images.js';
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
  const engine: Engine = {
    build: (build) => runBuild(build, resources, options, env),
    call: (method, build) => callDockerfile(method, build, resources, env),
    pull: (name, transfer) => pullImage(resources, name, transfer),
    push: (name, transfer) => pushStored(resources, name, transfer),
    images: () => listImages(resources),
    inspect: (name) => inspectImage(resources, name),
    tag: (source, target) => tagImage(resources, source, target),
    remove: (name) => removeImage(resources, name),
    run: (run) => runImage(resources, run),
    doctor: (doctor) => diagnose(resources, options, doctor?.fix ?? false),
    close: () => resources.close(),
  };
  return Promise.resolve(engine);
}
