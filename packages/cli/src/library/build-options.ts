import path from 'node:path';

import { StrakeError } from '@strake/core';
import type {
  BuildOptions as EngineBuildOptions,
  ContextSource,
  OutputSpec,
  SecretSource,
  SshSource,
  StepSettings,
} from '@strake/engine';

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
  readonly type: 'image' | 'registry' | 'oci' | 'docker' | 'local' | 'tar' | 'cacheonly';
  readonly [attribute: string]: string | number | boolean | undefined;
}

/** What {@link build} takes. Where nothing else is said, meanings are those of the flags of `docker buildx build`. */
export interface BuildOptions extends StepSettings {
  /**
   * A folder, an http(s) address of an archive, or a Git repository; files in memory, by path; or a stream of a tar (any compression),
   * of which nothing but the store's own temporary files is kept. Default, where `dockerfile` is given: no files.
   */
  readonly context?: ContextSource | undefined;
  /** Path of the Dockerfile; in anything but a folder relative to its root. Default: `Dockerfile` in the context. */
  readonly file?: string | undefined;
  /** The text of the Dockerfile, instead of a file. */
  readonly dockerfile?: string | undefined;
  /** Names that the image is given in the local store, or pushed under. */
  readonly tags?: readonly string[] | undefined;
  readonly target?: string | undefined;
  readonly buildArgs?: Readonly<Record<string, string>> | undefined;
  /** Named contexts, for FROM and `--from`: as `context`, also `docker-image://NAME` and `oci-layout://FOLDER`. */
  readonly buildContexts?: Readonly<Record<string, ContextSource>> | undefined;
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
  /** Ends the build; its result is then rejected with `CANCELLED`, or with the signal's reason where that is an error of yours. */
  readonly signal?: AbortSignal | undefined;
}

/** The engine's form of OPTIONS: paths absolute, conveniences resolved. @throws StrakeError `ARGUMENT_INVALID` */
export function engineBuildOptions(options: BuildOptions, cwd: string): EngineBuildOptions {
  const { file, dockerfile, push, secrets, buildContexts, outputs, ...same } = options;
  const context = checkedContext(options.context ?? (dockerfile === undefined ? undefined : {}), 'context');
  if (file === '-') throw invalid('"-" stands for standard input, which a library does not read');
  if (dockerfile !== undefined && !/\s/.test(dockerfile)) {
    throw invalid(
      `"${dockerfile}" is no Dockerfile`,
      'dockerfile takes the text of one; the path of one is what file takes.',
    );
  }
  const inFolder = typeof context === 'string' && !looksRemote(context);
  return {
    ...same,
    context: typeof context === 'string' ? absolute(context, cwd) : context,
    dockerfile,
    file: file && inFolder && !looksRemote(file) ? path.resolve(cwd, file) : file,
    buildContexts:
      buildContexts &&
      Object.fromEntries(
        Object.entries(buildContexts).map(([name, given]) => {
          const source = checkedContext(given, `the build context "${name}"`);
          return [name, typeof source === 'string' ? contextSource(source, cwd) : source];
        }),
      ),
    outputs: outputSpecs(outputs ?? [], push ?? false, cwd),
    secrets: secrets?.map((secret) => secretSource(secret, cwd)),
  };
}

/** @throws StrakeError `ARGUMENT_INVALID` */
function checkedContext(source: unknown, what: string): ContextSource {
  if (source === '-') throw invalid('"-" stands for standard input, which a library does not read', 'Give the stream.');
  if (source === '' || (typeof source !== 'string' && (typeof source !== 'object' || source === null))) {
    throw invalid(`${what} must be a folder, a URL, a Git repository, a map of files or a stream`);
  }
  return source as ContextSource;
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
