import path from 'node:path';

import { StrakeError } from '@strake/core';
import type { BuildOptions as EngineBuildOptions, OutputSpec, SecretSource, SshSource } from '@strake/engine';

import { absolute, contextSource, looksRemote } from '../build/paths.js';

/** A secret for `RUN --mount=type=secret`: the text or bytes themselves, a file, or a variable of this process's environment. */
export interface Secret {
  readonly id: string;
  readonly value?: string | Uint8Array | undefined;
  readonly file?: string | undefined;
  readonly env?: string | undefined;
}

/**
 * Where a build's result goes. Attributes as of `docker buildx build --output`: `dest` (a file, for `local` a folder), `name`,
 * `push`, `compression`, `compression-level`, `force-compression`, `oci-mediatypes`, `rewrite-timestamp`, `annotation.KEY` ...
 */
export interface Output {
  readonly type: OutputSpec['type'];
  readonly [attribute: string]: string | number | boolean | undefined;
}

/** What {@link build} takes. Where nothing else is said, meanings are those of the flags of `docker buildx build`. */
export interface BuildOptions {
  /** A folder, an http(s) address of an archive, or a Git repository. */
  readonly context: string;
  /** Path of the Dockerfile; in a remote context relative to its root. Default: `Dockerfile` in the context. */
  readonly file?: string | undefined;
  /** Names that the image is given in the local store, or pushed under. */
  readonly tags?: readonly string[] | undefined;
  readonly target?: string | undefined;
  readonly buildArgs?: Readonly<Record<string, string>> | undefined;
  /** Named contexts, for FROM and `--from`: a folder, `docker-image://`, `oci-layout://` or a URL. */
  readonly buildContexts?: Readonly<Record<string, string>> | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** `[type[platform]:]key=value`. */
  readonly annotations?: readonly string[] | undefined;
  /** `os/architecture[/variant]`; default: this machine's. */
  readonly platforms?: readonly string[] | undefined;
  readonly noCache?: boolean | undefined;
  /** Stages that do not use the cache. */
  readonly noCacheFilter?: readonly string[] | undefined;
  /** Ask registries for base images even where the local store has them. */
  readonly pull?: boolean | undefined;
  /** Push the image under its tags. */
  readonly push?: boolean | undefined;
  /** Default: an image in the local store. */
  readonly outputs?: readonly Output[] | undefined;
  readonly secrets?: readonly Secret[] | undefined;
  readonly ssh?: readonly SshSource[] | undefined;
  readonly network?: 'default' | 'host' | 'none' | undefined;
  /** `name:address`. */
  readonly addHosts?: readonly string[] | undefined;
  readonly ulimits?: EngineBuildOptions['ulimits'];
  /** Size of /dev/shm, in bytes. */
  readonly shmSize?: number | undefined;
  /** Of each step, where this machine's cgroups allow; a warning tells where not. */
  readonly limits?: EngineBuildOptions['limits'];
  /** Milliseconds that a step may take; it is stopped then, and the build fails with `STEP_TIMEOUT`. */
  readonly stepTimeout?: number | undefined;
  /** Milliseconds that the whole build may take; it is cancelled then, and fails with `BUILD_TIMEOUT`. */
  readonly timeout?: number | undefined;
  /** Entitlements: `network.host`, `security.insecure`. */
  readonly allow?: readonly string[] | undefined;
  /** Ends the build; its result is then rejected with `CANCELLED`, or with the signal's reason where that is an error of yours. */
  readonly signal?: AbortSignal | undefined;
}

/** The engine's form of OPTIONS: paths absolute, conveniences resolved. @throws StrakeError `ARGUMENT_INVALID` */
export function engineBuildOptions(options: BuildOptions, cwd: string): EngineBuildOptions {
  const { context, file, push, secrets, buildContexts, outputs, ...same } = options;
  if (typeof context !== 'string' || context === '')
    throw invalid('context must name a folder, a URL or a Git repository');
  if (context === '-' || file === '-') throw invalid('"-" stands for standard input, which a library does not read');
  return {
    ...same,
    context: absolute(context, cwd),
    file: file && (looksRemote(context) || looksRemote(file) ? file : path.resolve(cwd, file)),
    buildContexts:
      buildContexts &&
      Object.fromEntries(Object.entries(buildContexts).map(([name, source]) => [name, contextSource(source, cwd)])),
    outputs: outputSpecs(outputs ?? [], push ?? false, cwd),
    secrets: secrets?.map((secret) => secretSource(secret, cwd)),
  };
}

function outputSpecs(outputs: readonly Output[], push: boolean, cwd: string): OutputSpec[] {
  const specs = outputs.map(({ type, ...given }): OutputSpec => {
    const attributes: Record<string, string> = {};
    for (const [name, value] of Object.entries(given)) if (value !== undefined) attributes[name] = String(value);
    const { dest } = attributes;
    const writes = type === 'oci' || type === 'docker' || type === 'local' || type === 'tar';
    if (writes && (!dest || dest === '-')) throw invalid(`an output of type ${type} needs a dest: a path`);
    return { type, attributes: dest === undefined ? attributes : { ...attributes, dest: path.resolve(cwd, dest) } };
  });
  if (push && !specs.some(({ type }) => type === 'registry')) {
    const image = specs.findIndex(({ type }) => type === 'image');
    const pushed: OutputSpec = { type: 'image', attributes: { ...specs[image]?.attributes, push: 'true' } };
    specs.splice(Math.max(image, 0), image < 0 ? 0 : 1, pushed);
  }
  return specs;
}

function secretSource({ id, value, file, env }: Secret, cwd: string): SecretSource {
  if ([value, file, env].filter((source) => source !== undefined).length !== 1) {
    throw invalid(`secret "${id}" needs one of value, file and env`);
  }
  return {
    id,
    value: typeof value === 'string' ? Buffer.from(value) : value,
    file: file === undefined ? undefined : path.resolve(cwd, file),
    env,
  };
}

/** An argument that TypeScript would not have let through, or that makes no sense. */
export function invalid(message: string, hint?: string): StrakeError {
  return new StrakeError({ code: 'ARGUMENT_INVALID', message, hint });
}
