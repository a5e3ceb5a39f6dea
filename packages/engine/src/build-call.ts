import {
  canonicalName,
  hostPlatform,
  isIndexType,
  parsePlatform,
  parseReference,
  StrakeError,
  type Platform,
} from '@strake/core';
import {
  buildDockerfile,
  checkSwitches,
  contextFinder,
  exportResult,
  parseAnnotation,
  sourceDateEpoch,
  type BuildNote,
  type BuilderServices,
  type BuildOutcome,
  type BuildRequest,
  type LowerOptions,
  type OutputContext,
  type OutputResult,
  type StepNote,
} from '@strake/builder';
import { parseBool } from '@strake/parser';
import { isIP } from 'node:net';
import { cpus } from 'node:os';

import { buildDeadline } from './build-deadline.js';
import { keptBy } from './build-memory.js';
import { Cleanups } from './cleanups.js';
import { EvidenceCollector } from './evidence.js';
import { noteBuild, noteFailure, noteNames, reportStep } from './explain.js';
import { openBuild, type OpenedBuild } from './open-build.js';
import type { Resources } from './resources.js';
import type { BuildOptions, BuildResult, EngineOptions, OutputSpec, StepReport } from './types.js';
import { warnBefore } from './warnings-before.js';

/** Steps that run at once at least: many wait for a network or a disk. BuildKit sets no limit at all. */
const DEFAULT_PARALLELISM = 16;

/** Builds a Dockerfile and brings the result where its outputs ask. @throws StrakeError */
export async function runBuild(
  options: BuildOptions,
  resources: Resources,
  engine: EngineOptions,
  env: NodeJS.ProcessEnv,
): Promise<BuildResult> {
  const begun = Date.now();
  const cleanups = new Cleanups();
  const deadline = buildDeadline(options.timeout, options.signal ?? new AbortController().signal);
  const { signal } = deadline;
  cleanups.add(() => Promise.resolve(deadline.done()));
  let worked = false;
  const use = await (await resources.store()).use('build', signal);
  cleanups.add(() => use.release());
  try {
    const witness = options.onEvidence && new EvidenceCollector(await resources.store());
    const opened = await openBuild({ ...options, signal }, resources, env, cleanups, witness).catch(
      (error: unknown) => {
        warnBefore(error, options);
        throw error;
      },
    );
    const { services } = opened;
    const outputs = outputsOf(options);
    for (const { attributes } of outputs) checkSwitches(attributes);
    const names = namesOf(options, outputs);
    const annotations = (options.annotations ?? []).flatMap(parseAnnotation);
    const form = { names, annotations, multiPlatform: isMultiPlatform(options) };
    const request = await requestOf(opened, options, engine);
    const onFailure = (notes: readonly StepNote[]): Promise<void> =>
      noteFailure(services.store.journal, options, notes);
    const outcome = await buildDockerfile({ ...request, onFailure }, services);
    if (engine.once) resources.dismissAgent();
    const exported = await exportAll(outputs, { ...form, epoch: request.epoch, signal }, outcome, services, resources);
    worked = outcome.steps.some((step) => !step.cached);
    const image = exported.find(({ descriptor }) => descriptor)?.descriptor;
    keptBy(options.memory)?.settle();
    const explained = await noteBuild(services.store.journal, options, outcome.notes, image ? names : []);
    if (witness) {
      const named = image ? names : [];
      const files = noteNames(options, named).map((note) => services.store.fileOf({ note }));
      const evidence = await witness.evidence(outcome, named, image?.digest, { files, content: explained });
      if (evidence) options.onEvidence(evidence);
    }
    const size = options.measure ? await sizeOf(outcome, services.store) : undefined;
    return { ...report(outcome, explained, exported, names, services.contacts, begun), size };
  } finally {
    await cleanups.run();
    // Only what has added to the cache looks whether that has become too much.
    if (worked) {
      const collect = async (signal?: AbortSignal): Promise<void> => {
        const { collectAfterBuild } = await import('./prune.js');
        await collectAfterBuild(resources, env, options.onEvent ?? ((): void => undefined), signal);
      };
      // Who builds again and again does not wait: a disk that fills up with large trees takes seconds to clear.
      if (options.memory) resources.background(collect);
      else await collect();
    }
  }
}

/** What is to be built. @throws StrakeError `ARGUMENT_INVALID`, `PLATFORM_INVALID`, and as `sourceDateEpoch` */
export async function requestOf(
  opened: OpenedBuild,
  options: BuildOptions,
  engine: EngineOptions,
): Promise<BuildRequest> {
  const { services, context, dockerfile, buildContexts, resolver, signal } = opened;
  const platforms = platformsOf(options);
  const lower = lowerOptionsOf(options);
  const date = await sourceDateEpoch(
    {
      ...lower,
      dockerfile,
      platform: platforms[0] ?? lower.hostPlatform,
      contextEpoch: context.epoch,
      namedContext: contextFinder(buildContexts),
      signal,
    },
    services,
  );
  return {
    dockerfile,
    ...lower,
    allowHosts: await allowedHosts(options.allowHosts),
    buildArgs: date.buildArgs,
    epoch: date.epoch,
    epochArg: date.globalArg,
    platforms,
    ignorePatterns: await context.ignorePatterns(),
    maxParallelism: engine.maxParallelism ?? Math.max(DEFAULT_PARALLELISM, 4 * cpus().length),
    signal,
    resolver,
  };
}

/** What the flags of a build say to the frontend. @throws StrakeError `ARGUMENT_INVALID` */
export function lowerOptionsOf(options: BuildOptions): Omit<LowerOptions, 'dockerfile' | 'platform'> {
  const buildArgs = new Map(Object.entries(options.buildArgs ?? {}));
  return {
    platformGiven: (options.platforms?.length ?? 0) > 0,
    hostPlatform: hostPlatform(),
    target: options.target,
    buildArgs,
    labels: options.labels ?? {},
    noCache: options.noCache ?? false,
    noCacheFilter: options.noCacheFilter ?? [],
    network: options.network ?? 'default',
    // As in buildx, who asks for the host's network for all steps allows it to each.
    allow: new Set([
      ...(options.allow ?? []).map(entitlement),
      ...(options.network === 'host' ? ['network.host'] : []),
    ]),
    extraHosts: (options.addHosts ?? []).map(parseHost),
    // Of two for one resource the last counts.
    ulimits: [...new Map(options.ulimits?.map((limit) => [limit.name, limit])).values()],
    shmSize: options.shmSize || undefined,
    limits: options.limits,
    stepTimeout: options.stepTimeout,
    epoch: undefined,
  };
}

/** An entitlement by its name. Devices are known, though no step gets them. @throws StrakeError `ARGUMENT_INVALID` */
function entitlement(name: string): string {
  if (/^(?:network\.host|security\.insecure|device(?:=.*)?)$/.test(name)) return name;
  throw new StrakeError({
    code: 'ARGUMENT_INVALID',
    message: `unknown entitlement ${name}`,
    hint: 'Known are network.host and security.insecure.',
  });
}

/** The hosts that steps may reach. @throws StrakeError `CONTAINER_SPEC_INVALID` */
async function allowedHosts(hosts: BuildOptions['allowHosts']): Promise<LowerOptions['allowHosts']> {
  if (!hosts) return undefined;
  const { parseEgressRule } = await import('@strake/runtime');
  return hosts.map(parseEgressRule);
}

/** The platforms to build for; this machine's where none is named. @throws StrakeError `PLATFORM_INVALID` */
export function platformsOf(options: BuildOptions): Platform[] {
  const given = (options.platforms ?? []).flatMap((text) => text.split(',')).filter((text) => text !== '');
  return given.length === 0
    ? [hostPlatform()]
    : given.map((text) => (text.trim() === 'local' ? hostPlatform() : parsePlatform(text.trim())));
}

/**
 * Whether the result has the form that several platforms have, though it may be one: `BUILDKIT_MULTI_PLATFORM=1`.
 * @throws StrakeError `ARGUMENT_INVALID`
 */
function isMultiPlatform(options: BuildOptions): boolean {
  const several = platformsOf(options).length > 1;
  const text = options.buildArgs?.['BUILDKIT_MULTI_PLATFORM'] ?? '';
  if (text === '') return several;
  const wish = parseBool(text);
  if (wish !== undefined && (wish || !several)) return wish;
  throw new StrakeError({
    code: 'ARGUMENT_INVALID',
    message:
      wish === undefined
        ? `invalid boolean value for BUILDKIT_MULTI_PLATFORM: ${text}`
        : 'conflicting config: returning multiple target platforms is not allowed',
  });
}

/** Outputs as asked for; without any, the image goes to the local store. */
function outputsOf(options: BuildOptions): readonly OutputSpec[] {
  return options.outputs?.length ? options.outputs : [{ type: 'image', attributes: {} }];
}

/** Canonical names of `-t` and of the outputs' `name=`. @throws StrakeError `REFERENCE_INVALID` */
export function namesOf(options: BuildOptions, outputs: readonly OutputSpec[]): string[] {
  const given = [...(options.tags ?? []), ...outputs.flatMap(({ attributes }) => attributes['name']?.split(',') ?? [])];
  const names = given.map((name) => {
    const reference = parseReference(name);
    if (reference.digest) {
      throw new StrakeError({
        code: 'REFERENCE_INVALID',
        message: `"${name}" cannot be a tag: it has a digest`,
        hint: 'Give a name and a tag only.',
      });
    }
    return canonicalName(reference);
  });
  return [...new Set(names)];
}

/** `name:address` or `name=address`, the name in small letters; an IPv6 address may be in brackets. @throws StrakeError `ARGUMENT_INVALID` */
function parseHost(text: string): { name: string; address: string } {
  const [, name, address = ''] = /^([^:=]+)[:=]\[?([0-9a-fA-F.:]+|host-gateway)\]?$/.exec(text) ?? [];
  if (name === undefined || (address !== 'host-gateway' && isIP(address) === 0)) {
    throw new StrakeError({
      code: 'ARGUMENT_INVALID',
      message: `invalid host "${text}"`,
      hint: 'Write --add-host name:address.',
    });
  }
  return { name: name.toLowerCase(), address: address === 'host-gateway' ? '127.0.0.1' : address };
}

async function exportAll(
  outputs: readonly OutputSpec[],
  form: Pick<OutputContext, 'names' | 'annotations' | 'multiPlatform' | 'epoch' | 'signal'>,
  outcome: BuildOutcome,
  services: BuilderServices,
  resources: Resources,
): Promise<OutputResult[]> {
  const results: OutputResult[] = [];
  for (const [i, output] of outputs.entries()) {
    const id = `export ${i}`;
    services.emit({ type: 'step', id, name: `exporting to ${output.type}`, inputs: [] });
    services.emit({ type: 'step-started', id, time: Date.now() });
    try {
      results.push(
        await exportResult(output, outcome.results, {
          ...form,
          store: services.store,
          registry: () => resources.registry(),
          emit: services.emit,
          now: Date.now,
          // Takes 3 ms to load.
          get stdout() {
            return process.stdout;
          },
          id,
        }),
      );
      services.emit({ type: 'step-finished', id, time: Date.now() });
    } catch (error) {
      const message = error instanceof Error ? error.message : 'failed';
      services.emit({ type: 'step-finished', id, time: Date.now(), error: message });
      throw error;
    }
  }
  return results;
}

/** Bytes of the layers of the first platform; of those that nothing has unpacked yet, as the registry has them. */
async function sizeOf({ results: [first] }: BuildOutcome, store: BuilderServices['store']): Promise<number> {
  let size = 0;
  for (const layer of first?.chain.layers ?? []) {
    size += (await store.layers.info(await layer.diffId()))?.size ?? layer.origin?.descriptor.size ?? 0;
  }
  return size;
}

function report(
  outcome: BuildOutcome,
  explained: BuildNote,
  exported: readonly OutputResult[],
  names: readonly string[],
  contacts: BuilderServices['contacts'],
  begun: number,
): BuildResult {
  const image = exported.find(({ descriptor }) => descriptor)?.descriptor;
  const [first] = outcome.results;
  const configDigest = first?.image.configDescriptor.digest;
  const alone = image !== undefined && !isIndexType(image.mediaType);
  const steps = explained.steps.map((step): StepReport => {
    const hosts = contacts.get(step.id);
    return hosts ? { ...reportStep(step), hosts } : reportStep(step);
  });
  const asked = steps.flatMap(({ name, hosts }) => (hosts ? [{ step: name, hosts }] : []));
  return {
    image,
    configDigest,
    config: first?.image.config,
    names: image ? names : [],
    steps,
    duration: Date.now() - begun,
    metadata: {
      ...(image && configDigest
        ? {
            ...(alone ? { 'containerimage.config.digest': configDigest } : {}),
            'containerimage.descriptor': alone ? { ...image, platform: first.image.platform } : image,
            'containerimage.digest': image.digest,
          }
        : {}),
      ...(names.length > 0 ? { 'image.name': names.join(',') } : {}),
      ...(asked.length > 0 ? { 'strake.hosts': asked } : {}),
    },
  };
}
