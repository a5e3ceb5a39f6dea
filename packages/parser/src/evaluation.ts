import { parseReference, StrakeError, type Platform } from '@strake/core';
import { located } from './errors.js';
import { createExpander, type Expander } from './expand.js';
import { checkDefaultBases, evaluateFrom, type EvaluatedFrom } from './from-evaluation.js';
import { evaluateGlobalArgs, targetPlatform, type GlobalOptions, type GlobalScope } from './global-args.js';
import { evaluateInstruction } from './instruction-evaluation.js';
import { LayeredMap } from './layered-map.js';
import { LINT_RULES } from './lint-rules.js';
import type { Linter } from './linter.js';
import { OutlineCapture } from './outline-capture.js';
import { parseOnbuildTrigger } from './parse.js';
import { createPatternMatcher, type PatternMatcher } from './pattern-matcher.js';
import {
  createStageGraph,
  createStageLookup,
  stageOrderError,
  stagesNamed,
  type StageGraph,
  type StageLookup,
} from './stages.js';
import { cut } from './text.js';
import type { Dockerfile, Stage, StageInstruction } from './types.js';

/** What is known of an image that a stage is built on. */
export interface StageBase {
  /** `NAME=value`, as in the image config. */
  readonly env: readonly string[];
  readonly platform: Platform;
  /** Whether a `--build-context` stands for it: BuildKit does not compare such a one's platform. */
  readonly isNamed?: boolean | undefined;
  readonly shell?: readonly string[] | undefined;
  /** The triggers that fire. */
  readonly onbuild?: readonly string[] | undefined;
}

export interface EvaluationOptions extends GlobalOptions {
  /** By stage number, the image it is built on, where that is known. */
  readonly bases?: readonly (StageBase | undefined)[] | undefined;
  /** The patterns of the context's ignore file. */
  readonly ignorePatterns?: readonly string[] | undefined;
  /** The stages to look into; default: all, with `target` those that it needs. Their bases must be among them. */
  readonly onlyStages?: ReadonlySet<number> | undefined;
}

/** A stage while its instructions are gone through. */
export interface StageState {
  /** What expansions see: ENV, and ARGs in force. */
  readonly env: LayeredMap<string>;
  /** What the image config keeps. */
  readonly config: LayeredMap<string>;
  /** Names of ENVs that an ARG behind them hides. */
  readonly hidden: Set<string>;
  /** Names of ARGs, with a value or not, inherited ones too. */
  readonly declared: LayeredMap<true>;
  readonly isWindows: boolean;
  shellSet: boolean;
  workdirSet: boolean;
  /** Undefined where nobody asks for it. */
  readonly outline: OutlineCapture | undefined;
}

/** What all instructions of a run have in common. */
export interface EvaluationScope {
  readonly options: EvaluationOptions;
  readonly expander: Expander;
  readonly globals: GlobalScope;
  readonly ignore: PatternMatcher | undefined;
}

export interface Evaluation {
  readonly graph: StageGraph;
  /** By stage number; undefined for stages that were not looked into. */
  readonly states: readonly (StageState | undefined)[];
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function initialState(
  base: StageState | undefined,
  image: StageBase | undefined,
  outline: OutlineCapture | undefined,
  isWindows: boolean,
): StageState {
  const config = new LayeredMap(base?.config);
  const env = new LayeredMap(base?.env);
  // An ENV that an ARG of the stage below had hidden is back.
  for (const name of base?.hidden ?? []) env.set(name, config.get(name) ?? '');
  const add = (name: string, value: string): void => {
    config.set(name, value);
    env.set(name, value);
  };
  for (const entry of image?.env ?? []) {
    const [name, value = ''] = cut(entry, '=');
    add(name, value);
  }
  if (!config.has('PATH') && !isWindows) add('PATH', DEFAULT_PATH);
  return {
    env,
    config,
    hidden: new Set(),
    declared: new LayeredMap(base?.declared),
    isWindows,
    shellSet: base?.shellSet ?? (image?.shell ?? []).length > 0,
    workdirSet: base?.workdirSet ?? false,
    outline,
  };
}

/** The triggers that fire in STAGE: those of the stage it is built on, or of its image. */
function triggersOf(base: Stage | undefined, image: StageBase | undefined): readonly string[] {
  if (!base) return image?.onbuild ?? [];
  return base.instructions.flatMap((instruction) => (instruction.kind === 'ONBUILD' ? [instruction.trigger] : []));
}

/** The instructions of a stage, those of triggers in front; or why a trigger is none, or names no stage. */
type Body = readonly StageInstruction[] | StrakeError;

function bodyOf(stage: Stage, triggers: readonly string[], lookup: StageLookup): Body {
  if (triggers.length === 0) return stage.instructions;
  try {
    const fired = triggers.map((trigger) => parseOnbuildTrigger(trigger, { location: stage.from.location }));
    for (const instruction of fired) stagesNamed(lookup, instruction);
    return [...fired, ...stage.instructions];
  } catch (error) {
    if (error instanceof StrakeError) return error;
    throw error;
  }
}

function checkPlatforms(
  froms: readonly EvaluatedFrom[],
  chosen: ReadonlySet<number>,
  graph: StageGraph,
  options: EvaluationOptions,
  linter: Linter,
): void {
  for (const { stage, image, platform } of froms) {
    const { platform: actual, isNamed } = options.bases?.[stage.index] ?? {};
    if (isNamed || !chosen.has(stage.index) || graph.bases[stage.index] !== undefined || image === 'scratch' || !actual)
      continue;
    const expected = platform ?? targetPlatform(options);
    if (expected.os === actual.os && expected.architecture === actual.architecture) continue;
    const format = (p: Platform): string => [p.os, p.architecture, p.variant].filter(Boolean).join('/');
    const message = `Base image ${image} was pulled with platform "${format(actual)}", expected "${format(expected)}" for current build`;
    linter.warn(LINT_RULES.invalidBaseImagePlatform, stage.from.location, message);
  }
}

/** Goes through the instructions of one stage. */
function evaluateStage(stage: Stage, body: Body, state: StageState, run: StageRun): void {
  if (body instanceof StrakeError) throw body;
  const { dockerfile, graph, scope, linter } = run;
  const behind = new Map<StageInstruction, number>();
  for (const dependency of graph.dependencies[stage.index] ?? []) {
    const { instruction, stage: used } = dependency;
    if (instruction && used > stage.index) behind.set(instruction, used);
  }
  const once = new Map<string, StageInstruction>();
  for (const instruction of body) {
    const below = linter.below(instruction.comments);
    located(instruction, () => evaluateInstruction(instruction, state, once, scope, below));
    const used = behind.get(instruction);
    if (used !== undefined) throw stageOrderError(dockerfile.stages, stage.index, used, instruction);
  }
}

interface StageRun {
  readonly dockerfile: Dockerfile;
  readonly graph: StageGraph;
  readonly scope: EvaluationScope;
  readonly linter: Linter;
}

/**
 * Goes through a Dockerfile as BuildKit's dockerfile2llb does, without building anything: variables are evaluated, LINTER is told what
 * it should know, and what an outline shows is collected. Without `onlyStages` it goes through `all` stages, or those of the target.
 * @throws StrakeError what a build would fail with before anything runs
 */
export function evaluateDockerfile(
  dockerfile: Dockerfile,
  options: EvaluationOptions & { readonly all: boolean; readonly outline: boolean },
  linter: Linter,
): Evaluation {
  const { stages } = dockerfile;
  const expander = createExpander(dockerfile.escape);
  checkDefaultBases(dockerfile, options, linter);
  const globals = evaluateGlobalArgs(dockerfile, options);
  const froms = stages.map((stage) => evaluateFrom(stage, globals, expander, linter.below(stage.from.comments)));
  const images = froms.map(({ image }) => image);
  const lookup = createStageLookup(stages);
  const bodies = stages.map((stage): Body => {
    const base = lookup.base(images[stage.index] ?? '', stage.index);
    return bodyOf(stage, triggersOf(base, options.bases?.[stage.index]), lookup);
  });
  const graph = createStageGraph(stages, images, (stage) => {
    const body = bodies[stage.index];
    // What is wrong with a trigger is an error of those who need the stage.
    return body === undefined || body instanceof StrakeError ? stage.instructions : body;
  });
  // Of a check the names are looked at by whoever resolves them.
  for (const { stage, image } of options.outline ? froms : []) {
    if (graph.bases[stage.index] === undefined && image !== 'scratch') located(stage.from, () => parseReference(image));
  }
  const chosen =
    options.onlyStages ??
    (options.all ? new Set(stages.keys()) : graph.reachable(graph.lookup.target(options.target).index));
  checkPlatforms(froms, chosen, graph, options, linter);
  const ignore = options.ignorePatterns?.length ? createPatternMatcher(options.ignorePatterns) : undefined;
  const run: StageRun = { dockerfile, graph, scope: { options, expander, globals, ignore }, linter };
  const states: (StageState | undefined)[] = [];
  for (const stage of stages) {
    states.push(undefined);
    if (!chosen.has(stage.index)) continue;
    const below = graph.bases[stage.index];
    const base = below === undefined ? undefined : states[below];
    const outline = options.outline ? new OutlineCapture(globals) : undefined;
    for (const name of froms[stage.index]?.used ?? []) outline?.usedArgs.add(name);
    const image = below === undefined ? options.bases?.[stage.index] : undefined;
    const { os } = image?.platform ?? froms[stage.index]?.platform ?? targetPlatform(options);
    const state = initialState(base, image, outline, os === 'windows');
    evaluateStage(stage, bodies[stage.index] ?? [], state, run);
    states[stage.index] = state;
  }
  return { graph, states };
}
