import type { Digest, Platform } from '@strake/core';
import type { CheckReport, Dockerfile, LintWarning } from '@strake/parser';
import { Solver, type MissReason, type Vertex } from '@strake/solver';

import { checkStages, warningsAsError, warningsWithoutBases } from './check.js';
import { warnOfFrontend } from './frontend.js';
import { assembleConfig, describeConfig } from './image.js';
import { noteSteps } from './explain/notes.js';
import type { StepNote } from './explain/types.js';
import type { LowerOptions, SourceResolver } from './lower/context.js';
import { StageLowering, type Lowered } from './lower/stages.js';
import { needsNoDeclaration } from './lower/variables.js';
import type { PlatformResult } from './outputs/output.js';
import type { ChainResult } from './result.js';
import { chainCodec } from './chain-codec.js';
import type { BuilderServices } from './services.js';
import { witnessedRecords } from './witness.js';

/** A Dockerfile build, ready to run. */
export interface BuildRequest extends Omit<LowerOptions, 'platform' | 'dockerfile'> {
  readonly dockerfile: Dockerfile;
  readonly platforms: readonly Platform[];
  readonly resolver: (platform: Platform) => SourceResolver;
  readonly maxParallelism: number;
  /** Patterns of the main context's ignore file, for lint. */
  readonly ignorePatterns: readonly string[];
  readonly signal: AbortSignal;
  /** Told of the steps that ended and the one that failed, before a build that fails rejects. Not of a cancelled one. */
  readonly onFailure?: ((notes: readonly StepNote[]) => Promise<void>) | undefined;
}

/** A step as it ended. */
export interface StepOutcome {
  readonly id: string;
  readonly name: string;
  readonly cached: boolean;
  /** Milliseconds. */
  readonly duration: number;
  readonly key: Digest | undefined;
  readonly reason: MissReason | undefined;
  readonly failed?: true;
}

export interface BuildOutcome {
  readonly results: readonly PlatformResult[];
  readonly steps: readonly StepOutcome[];
  /** The same with what their keys were made of, to explain the next build. */
  readonly notes: readonly StepNote[];
}

/**
 * Builds a Dockerfile for each platform: lowers what the target needs to a graph, solves it, assembles image configs.
 * On the first failure everything else is stopped, and nothing runs any more when the promise rejects.
 */
export async function buildDockerfile(request: BuildRequest, services: BuilderServices): Promise<BuildOutcome> {
  const controller = new AbortController();
  const signal = AbortSignal.any([request.signal, controller.signal]);
  const outcomes = new Map<Vertex<ChainResult>, StepOutcome>();
  /** The steps that people are told of: not the empty image, nor what joins the layers of `--link`. */
  const declared = new Set<Vertex<ChainResult>>();
  const started = new Map<Vertex<ChainResult>, number>();
  const { emit, now, store } = services;
  const solver = new Solver<ChainResult>({
    records: witnessedRecords(store.records, services.witness),
    codec: chainCodec(store, services.registry),
    parallelism: request.maxParallelism,
    signal,
    now,
    lock: (key, s) => store.lock(`step ${key}`, s),
    hooks: {
      started: (vertex) => {
        if (!declared.has(vertex)) return;
        started.set(vertex, now());
        emit({ type: 'step-started', id: vertex.id, time: now() });
      },
      cached: (vertex, key) => {
        if (!declared.has(vertex)) return;
        outcomes.set(vertex, { ...told(vertex), cached: true, duration: 0, key, reason: undefined });
        emit({ type: 'step-cached', id: vertex.id, time: now(), key });
      },
      finished: (vertex, error) => {
        if (!declared.has(vertex)) return;
        const duration = now() - (started.get(vertex) ?? now());
        const ended = { ...told(vertex), cached: false, duration, key: undefined, reason: undefined };
        if (error === undefined) outcomes.set(vertex, ended);
        // What is stopped because another step failed has not failed itself.
        else if (!signal.aborted) outcomes.set(vertex, { ...ended, failed: true });
        emit({
          type: 'step-finished',
          id: vertex.id,
          time: now(),
          ...(error === undefined ? {} : { error: error instanceof Error ? error.message : 'failed' }),
        });
      },
    },
  });
  const lowered: LoweredPlatform[] = [];
  const notes = (): Promise<StepNote[]> =>
    noteSteps(
      lowered.flatMap((one) => one.lowered.steps),
      solver,
      (vertex) => outcomes.get(vertex),
    );
  try {
    services.kept?.readers.begin();
    lowered.push(...(await lowerPlatforms(request, services)));
    for (const { lowered: graph } of lowered) {
      for (const { vertex } of graph.steps) declared.add(vertex);
      declareSteps(graph, services);
    }
    const results = await Promise.all(
      lowered.map(({ lowered: graph, options }) => finish(graph, options, solver, signal)),
    );
    await solver.settled();
    await settleReaders(services, lowered, results);
    return { results, steps: [...outcomes.values()], notes: await notes() };
  } catch (error) {
    controller.abort(error);
    await solver.settled().catch(() => undefined);
    request.signal.throwIfAborted();
    // What the build failed of is worth more than what can be said of its steps.
    await notes()
      .then((steps) => request.onFailure?.(steps))
      .catch(() => undefined);
    throw error;
  }
}

/** The graph of a platform's target. */
export interface LoweredPlatform {
  readonly lowered: Lowered;
  readonly options: LowerOptions;
}

/** Lints, and lowers what the target needs, for each platform. Warnings are emitted. @throws StrakeError */
export async function lowerPlatforms(request: BuildRequest, services: BuilderServices): Promise<LoweredPlatform[]> {
  const { emit } = services;
  warnOfFrontend(request.dockerfile, request.buildArgs, services);
  const lowered: LoweredPlatform[] = [];
  for (const platform of request.platforms) {
    const options: LowerOptions = { ...request, platform, severalPlatforms: request.platforms.length > 1 };
    const prefix = request.platforms.length > 1 ? `${lowered.length}:` : '';
    const warn = (warnings: readonly LintWarning[]): void => {
      if (lowered.length === 0) for (const warning of warnings) emit({ type: 'warning', ...warning });
    };
    const { stages, report } = await checkedStages(options, request, services, prefix).catch((error: unknown) => {
      if (!request.signal.aborted) warn(warningsWithoutBases(options));
      throw error;
    });
    warn(report.warnings);
    const refused = warningsAsError(options, report);
    if (refused) throw refused;
    lowered.push({ lowered: await stages.lower(), options });
  }
  warnUnused(request, lowered, services);
  return lowered;
}

async function checkedStages(
  options: LowerOptions,
  request: BuildRequest,
  services: BuilderServices,
  prefix: string,
): Promise<{ stages: StageLowering; report: CheckReport }> {
  const stages = new StageLowering(options, services, request.resolver(options.platform), prefix);
  return { stages, report: await checkStages(stages, options, request.ignorePatterns, false) };
}

/** Which files go where is known of one platform only. */
async function settleReaders(
  { kept }: BuilderServices,
  lowered: readonly LoweredPlatform[],
  results: readonly PlatformResult[],
): Promise<void> {
  if (!kept) return;
  const [only, ...others] = results;
  const chain: Digest[] = [];
  for (const layer of only?.chain.layers ?? []) chain.push(await layer.diffId());
  kept.readers.settle(others.length === 0 ? lowered[0]?.lowered.state.vertex : undefined, chain);
}

function told({ id, name }: Vertex<ChainResult>): { id: string; name: string } {
  return { id, name };
}

/** Solves a platform's target and assembles its image. */
async function finish(
  { state }: Lowered,
  options: LowerOptions,
  solver: Solver<ChainResult>,
  signal: AbortSignal,
): Promise<PlatformResult> {
  const { result: chain } = await solver.solve(state.vertex);
  const layers = [];
  for (const layer of chain.layers) layers.push({ diffId: await layer.diffId(), origin: layer.origin });
  signal.throwIfAborted();
  const config = await assembleConfig(
    state,
    layers.map(({ diffId }) => diffId),
    {
      labels: options.labels,
      platform: options.platformGiven ? options.platform : undefined,
      epoch: options.epoch,
      createdAt: async ({ vertex }) => (vertex ? solver.createdAt(vertex) : undefined),
    },
  );
  const platform = options.platformGiven ? options.platform : { os: config.os, architecture: config.architecture };
  const variant = options.platformGiven ? {} : config.variant ? { variant: config.variant } : {};
  const version = config.os === 'windows' && config['os.version'] ? { 'os.version': config['os.version'] } : {};
  return {
    chain,
    image: {
      platform: { ...platform, ...variant, ...version },
      ...describeConfig(config, layers),
      baseHistory: state.baseHistory.length,
    },
  };
}

function declareSteps({ steps }: Lowered, { emit }: BuilderServices): void {
  for (const { vertex, location, stage } of steps) {
    const inputs = vertex.inputs.map((input) => input.vertex.id);
    emit({ type: 'step', id: vertex.id, name: vertex.name, inputs, stage, location });
  }
}

/** Build arguments that nothing declares: most often a typing mistake. */
function warnUnused(
  { buildArgs }: BuildRequest,
  lowered: readonly { readonly lowered: Lowered }[],
  { emit }: BuilderServices,
): void {
  const unused = [...buildArgs.keys()].filter(
    (name) => !needsNoDeclaration(name) && !lowered.some((one) => one.lowered.declaredArgs.has(name)),
  );
  if (unused.length === 0) return;
  emit({ type: 'warning', message: `One or more build-args [${unused.sort().join(' ')}] were not consumed` });
}
