import {
  checkNamedContexts,
  createSourceResolver,
  openContext,
  openTree,
  type BuilderServices,
  type ContextSource,
  type OpenedContext,
  type SourceResolver,
  type SourceTree,
} from '@strake/builder';
import type { ProgressSink } from '@strake/core';
import { parseDockerfile, type Dockerfile } from '@strake/parser';
import { FolderLook } from '@strake/sys';

import { keptBy } from './build-memory.js';
import type { Cleanups } from './cleanups.js';
import { readXattrs } from './context-xattrs.js';
import type { EvidenceCollector } from './evidence.js';
import type { Resources } from './resources.js';
import { checkSecretFiles, createSecrets } from './secrets.js';
import { checkSshSources, createSshSockets } from './ssh-sockets.js';
import type { BuildOptions } from './types.js';

/** A context and its Dockerfile, opened for a build or for what can be said without one. */
export interface OpenedBuild {
  readonly services: BuilderServices;
  readonly context: OpenedContext;
  readonly dockerfile: Dockerfile;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly buildContexts: ReadonlyMap<string, ContextSource>;
  readonly signal: AbortSignal;
  /** Finds images and named contexts; one for each platform. */
  readonly resolver: () => SourceResolver;
}

/**
 * Opens what a build reads from. What that leaves behind, CLEANUPS takes away.
 * @throws StrakeError what `openContext` and the parser throw
 */
export async function openBuild(
  options: BuildOptions,
  resources: Resources,
  env: NodeJS.ProcessEnv,
  cleanups: Cleanups,
  witness?: EvidenceCollector,
): Promise<OpenedBuild> {
  const signal = options.signal ?? new AbortController().signal;
  const services = await createServices(options, resources, env, cleanups, witness);
  const buildArgs = new Map(Object.entries(options.buildArgs ?? {}));
  const { context: spec, file, dockerfile: text, stdin } = options;
  const buildContexts = new Map(Object.entries(options.buildContexts ?? {}));
  checkNamedContexts(buildContexts);
  checkSecretFiles(options.secrets ?? []);
  await checkSshSources(options.ssh ?? [], env);
  const context = await openContext({ spec, file, dockerfile: text, stdin, services, signal, buildArgs });
  const dockerfile = parseDockerfile(context.dockerfile.text, {
    file: context.dockerfile.name,
    check: buildArgs.get('BUILDKIT_DOCKERFILE_CHECK'),
  });
  // Several platforms share them: a stream can be read only once.
  const trees = new Map<ContextSource, Promise<SourceTree>>();
  const open = (source: ContextSource): Promise<SourceTree> => {
    const tree = trees.get(source) ?? openTree(source, services, signal);
    trees.set(source, tree);
    return tree;
  };
  const resolver = (): SourceResolver =>
    createSourceResolver(
      { context: () => context.tree(), buildContexts, openTree: open, pull: options.pull ?? false, signal },
      services,
    );
  return { services, context, dockerfile, buildArgs, buildContexts, signal, resolver };
}

/** What a build uses, with this engine's resources behind it. */
async function createServices(
  options: BuildOptions,
  resources: Resources,
  env: NodeJS.ProcessEnv,
  cleanups: Cleanups,
  witness: EvidenceCollector | undefined,
): Promise<BuilderServices> {
  const emit: ProgressSink = options.onEvent ?? ((): void => undefined);
  const kept = keptBy(options.memory);
  for (const { file } of options.secrets ?? []) if (file !== undefined) kept?.note(file);
  /** MAKE, which leads out of what can be looked at again. */
  const outside =
    <A extends unknown[], T>(make: (...args: A) => T) =>
    (...args: A): T => {
      witness?.elsewhere();
      return make(...args);
    };
  return {
    store: await resources.store(),
    registry: outside(() => resources.registry()),
    sandbox: outside(() => resources.agent()),
    xattrs: readXattrs,
    openLook: (root) => new FolderLook(root),
    secret: outside(createSecrets(options.secrets ?? [], env)),
    sshSocket: outside(createSshSockets(options.ssh ?? [], env, cleanups)),
    onCleanup: (cleanup) => cleanups.add(cleanup),
    renewedCaches: new Set(),
    warned: new Set(),
    contacts: new Map(),
    emit,
    now: Date.now,
    kept,
    witness,
  };
}
