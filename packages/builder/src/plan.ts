import type { Digest, SourceLocation } from '@strake/core';
import { Planner, type Planned, type Vertex } from '@strake/solver';

import { lowerPlatforms, type BuildRequest } from './build.js';
import { chainCodec } from './chain-codec.js';
import { explainSteps, type BuildNames } from './explain/explain.js';
import { noteSteps } from './explain/notes.js';
import type { SelectedFact, StepReason } from './explain/types.js';
import type { ChainResult } from './result.js';
import type { BuilderServices } from './services.js';

/** A step as a build would find it. */
export interface PlannedStep {
  readonly id: string;
  /** As BuildKit prints it: `[build 2/5] RUN make`. */
  readonly name: string;
  readonly stage: string;
  readonly location?: SourceLocation | undefined;
  /** Ids of the steps that it stands on or takes something from. */
  readonly inputs: readonly string[];
  /** `cached` and `run` are certain; `depends`: on what a step before it makes, or on what another machine answers. */
  readonly state: 'cached' | 'run' | 'depends';
  /** Undefined where it is not known before other steps have run. */
  readonly key?: Digest | undefined;
  /** Why it would run. Empty where it would not. */
  readonly reasons: readonly StepReason[];
}

/**
 * What {@link buildDockerfile} would do, without running anything: of the network only base images are asked for.
 * @throws StrakeError as a build, for what is wrong with the Dockerfile
 */
export async function planDockerfile(
  request: BuildRequest,
  given: BuilderServices,
  names: BuildNames,
): Promise<readonly PlannedStep[]> {
  const selections = new Map<Digest, () => readonly SelectedFact[]>();
  const services: BuilderServices = { ...given, selections };
  const { records, journal } = services.store;
  const codec = chainCodec(services.store, services.registry);
  const planner = new Planner<ChainResult>({ records, codec, signal: request.signal });
  const platforms = await lowerPlatforms(request, services);
  for (const { lowered } of platforms) await planner.plan(lowered.state.vertex);
  const steps = platforms.flatMap(({ lowered }) => lowered.steps);
  const found = new Map<Vertex<ChainResult>, Planned>();
  for (const { vertex } of steps) found.set(vertex, await planner.planned(vertex));
  const outcome = async (vertex: Vertex<ChainResult>): ReturnType<Parameters<typeof noteSteps>[1]['outcome']> => {
    const { key, parts, state, reason } = await planner.planned(vertex);
    return key && parts && { key, parts, cached: state === 'cached', reason, duration: 0 };
  };
  const notes = await noteSteps(steps, { outcome }, (vertex) => {
    const planned = found.get(vertex);
    return planned && { cached: planned.state === 'cached', duration: 0 };
  });
  const explained = await explainSteps(journal, names, notes, selections);
  const reasons = new Map(explained.map((step) => [step.id, step.reasons]));
  const declared = new Set(found.keys());
  return steps.map(({ vertex, stage, location }) => {
    const { state = 'cached', key } = found.get(vertex) ?? {};
    const why = key === undefined ? [unknownReason(vertex, found)] : (reasons.get(vertex.id) ?? []);
    return {
      id: vertex.id,
      name: vertex.name,
      stage,
      location: location && { ...location, source: undefined },
      inputs: inputsOf(vertex, declared),
      state,
      key,
      reasons: state === 'cached' ? [] : why,
    };
  });
}

/** Why a step would or could run whose key is not known yet. */
function unknownReason(vertex: Vertex<ChainResult>, found: ReadonlyMap<Vertex<ChainResult>, Planned>): StepReason {
  if (vertex.online) return { kind: 'content', text: 'depends on what is downloaded' };
  const behind = vertex.inputs.find((input) => found.get(input.vertex)?.state === 'run' && !input.content);
  const step = (behind ?? vertex.inputs.find((input) => input.content) ?? vertex.inputs[0])?.vertex.name ?? '';
  return {
    kind: 'parent',
    step,
    text: behind ? `built on a step that runs: ${step}` : `depends on what ${step} makes`,
  };
}

/** Ids of the steps that VERTEX stands on, through what people are not told of. */
function inputsOf(vertex: Vertex<ChainResult>, declared: ReadonlySet<Vertex<ChainResult>>): string[] {
  const ids = vertex.inputs.flatMap((input) =>
    declared.has(input.vertex) ? [input.vertex.id] : inputsOf(input.vertex, declared),
  );
  return [...new Set(ids)];
}
