import {
  parsePlatform,
  parseReference,
  StrakeError,
  suggesting,
  type Platform,
  type SourceLocation,
} from '@strake/core';
import {
  createExpander,
  createStageGraph,
  parseOnbuildTrigger,
  predefinedArgs,
  stageOrderError,
  type Dockerfile,
  type Expander,
  type Stage,
  type StageGraph,
  type StageBase,
  type StageInstruction,
} from '@strake/parser';
import type { Vertex } from '@strake/solver';

import { builderError, located } from '../errors.js';
import type { InstructionNote } from '../explain/types.js';
import type { ChainResult } from '../result.js';
import type { BuilderServices } from '../services.js';
import { scratchVertex } from '../steps/base-image.js';
import type { FromSource, LowerOptions, NamedSource, ResolvedImage, SourceResolver, StageContext } from './context.js';
import { lowerCopy, lowerWorkdir } from './files.js';
import { imagesOf } from './image-names.js';
import { lowerMetadata } from './metadata.js';
import { lowerRun } from './run.js';
import { countLayer } from './layer-count.js';
import { locatedVertex } from './located-vertex.js';
import { emptyImage, startFromFiles, startFromImage, startFromStage, type StageState } from './stage-state.js';
import { isOnlyStage, StepNames } from './step-names.js';
import { treeImage } from './tree-image.js';
import { Variables } from './variables.js';

/** A step as the progress display is told of it. */
export interface DeclaredStep {
  readonly vertex: Vertex<ChainResult>;
  readonly location: SourceLocation | undefined;
  readonly stage: string;
  /** Undefined for FROM. */
  readonly instruction?: InstructionNote | undefined;
}

/** The part of a Dockerfile that a target needs, as a graph. */
export interface Lowered {
  readonly state: StageState;
  readonly steps: readonly DeclaredStep[];
  /** Names of all ARGs that were declared where they could take a build argument. */
  readonly declaredArgs: ReadonlySet<string>;
}

/** A stage with what FROM's expansion made of its base. */
interface PreparedStage {
  readonly stage: Stage;
  readonly baseName: string;
  readonly platform: Platform | undefined;
}

/** Lowers stages as they are needed: the target's first, then what it copies from or mounts. Each once. */
export class StageLowering {
  readonly #dockerfile: Dockerfile;
  readonly #options: LowerOptions;
  readonly #services: BuilderServices;
  readonly #resolver: SourceResolver;
  readonly #expander: Expander;
  readonly #globalArgs: Variables;
  readonly #prepared: readonly PreparedStage[];
  readonly #graph: StageGraph;
  readonly #lowered = new Map<number, Promise<StageState>>();
  readonly #steps: DeclaredStep[] = [];
  readonly #declaredArgs = new Set<string>();
  readonly #idPrefix: string;
  #ids = 0;

  /** ID_PREFIX keeps the steps of several platforms apart. */
  constructor(options: LowerOptions, services: BuilderServices, resolver: SourceResolver, idPrefix: string) {
    this.#idPrefix = idPrefix;
    this.#options = options;
    this.#dockerfile = options.dockerfile;
    this.#services = services;
    this.#resolver = resolver;
    this.#expander = createExpander(options.dockerfile.escape);
    const { stages } = options.dockerfile;
    const { target, buildArgs, platform, hostPlatform: buildPlatform } = options;
    this.#globalArgs = new Variables(
      predefinedArgs(options.dockerfile, { target, buildArgs, platform, buildPlatform }),
    );
    this.#declareGlobals();
    this.#prepared = this.#prepareStages();
    this.#graph = createStageGraph(
      stages,
      this.#prepared.map(({ baseName }) => baseName),
    );
    this.#checkBaseNames();
  }

  /** The graph of the target. @throws StrakeError */
  async lower(): Promise<Lowered> {
    const state = await this.#stage(this.#graph.lookup.target(this.#options.target).index);
    return { state, steps: this.#steps, declaredArgs: this.#declaredArgs };
  }

  /** Why a build of these stages would be refused before anything of it runs. */
  async refusal(stages: Iterable<number>): Promise<StrakeError | undefined> {
    try {
      for (const index of stages) await this.#stage(index);
    } catch (error) {
      if (error instanceof StrakeError) return error;
      throw error;
    }
    return undefined;
  }

  /** Numbers of the stages that the target needs. @throws StrakeError */
  needed(): ReadonlySet<number> {
    return this.#graph.reachable(this.#graph.lookup.target(this.#options.target).index);
  }

  /** What is known of the images that stages are built on, by stage number: for lint. Only of the stages in WANTED. */
  async bases(wanted: ReadonlySet<number>): Promise<(StageBase | undefined)[]> {
    return Promise.all(
      this.#prepared.map(async (prepared, index) => {
        if (!wanted.has(index) || this.#graph.bases[index] !== undefined) return undefined;
        const { platform } = this.#options;
        if (prepared.baseName === 'scratch') return { env: emptyImage(platform).config?.Env ?? [], platform };
        return located(prepared.stage.from.location, async () => {
          const { image, isNamed } = await this.#resolveBase(prepared);
          const { Env, Shell, OnBuild } = image.config?.config ?? {};
          return { env: Env ?? [], platform: image.platform, isNamed, shell: Shell, onbuild: OnBuild ?? undefined };
        });
      }),
    );
  }

  #declareGlobals(): void {
    for (const instruction of this.#dockerfile.globalArgs) {
      for (const { name, value } of instruction.args) {
        this.#declaredArgs.add(name);
        const given = this.#options.buildArgs.get(name);
        const { epochArg } = this.#options;
        if (given !== undefined) this.#globalArgs.set(name, given);
        else if (name === 'SOURCE_DATE_EPOCH' && epochArg !== undefined) {
          if (epochArg !== '') this.#globalArgs.set(name, epochArg);
        } else if (value !== undefined) {
          const text = withLocation(
            instruction.location,
            () => this.#expander.expandWord(value, this.#globalArgs).text,
          );
          this.#globalArgs.set(name, text);
        }
      }
    }
  }

  /** Every FROM is expanded and checked, also of stages that are not needed. */
  #prepareStages(): PreparedStage[] {
    return this.#dockerfile.stages.map((stage) =>
      withLocation(stage.from.location, () => {
        const { from } = stage;
        const baseName = this.#expander.expandWord(from.image, this.#globalArgs).text;
        if (baseName === '') {
          throw builderError('BASE_INVALID', `base name (${from.image}) should not be blank`, {
            hint: 'Give the ARG a default before the first FROM, or pass --build-arg.',
          });
        }
        let platform: Platform | undefined;
        if (from.platform !== undefined) {
          const { text, unmatched } = this.#expander.expandWord(from.platform, this.#globalArgs);
          platform = suggesting(unmatched, this.#globalArgs.names(), () => {
            if (text !== '') return parsePlatform(text, this.#options.hostPlatform);
            throw builderError('BASE_INVALID', `empty platform value from expression ${from.platform}`);
          });
        }
        return { stage, baseName, platform };
      }),
    );
  }

  /** What is no stage must be the name of an image, behind FROM and `from=`, also in stages that are not needed. */
  #checkBaseNames(): void {
    const { bases, lookup } = this.#graph;
    for (const [index, { stage, baseName }] of this.#prepared.entries()) {
      if (bases[index] === undefined && baseName !== 'scratch') {
        withLocation(stage.from.location, () => parseReference(baseName));
      }
      for (const instruction of stage.instructions) {
        withLocation(instruction.location, () => {
          for (const name of imagesOf(instruction, lookup)) parseReference(name);
        });
      }
    }
  }

  #stage(index: number): Promise<StageState> {
    let promise = this.#lowered.get(index);
    if (!promise) {
      promise = this.#lowerStage(index);
      this.#lowered.set(index, promise);
      promise.catch(() => undefined);
    }
    return promise;
  }

  async #lowerStage(index: number): Promise<StageState> {
    const prepared = this.#prepared[index];
    if (!prepared) throw new Error(`no stage ${index}`);
    const { stage } = prepared;
    const base = this.#graph.bases[index];
    const replaced = await this.#replacement(prepared);
    if (replaced) {
      const image = replaced.kind === 'tree' ? this.#treeImage(replaced, prepared.platform) : replaced.image;
      return image.config ? startFromImage(image) : startFromFiles(image);
    }
    let state: StageState;
    let triggers: readonly string[];
    let names: StepNames;
    if (base !== undefined) {
      const parent = await this.#stage(base);
      state = startFromStage(parent);
      triggers = parent.triggers;
      names = this.#names(prepared, triggers.length, false);
    } else if (prepared.baseName === 'scratch') {
      const { platform } = this.#options;
      state = startFromImage({
        vertex: scratchVertex(this.#nextId()),
        config: undefined,
        layerCount: 0,
        platform,
        layerName: '',
      });
      triggers = [];
      names = this.#names(prepared, 0, false);
    } else {
      const { image, isNamed } = await located(stage.from.location, () => this.#resolveBase(prepared));
      this.#steps.push({
        vertex: image.vertex,
        location: stage.from.location,
        stage: stage.from.name ?? `stage-${index}`,
      });
      state = startFromImage(image);
      triggers = state.config.OnBuild ?? [];
      delete state.config.OnBuild;
      names = this.#names(prepared, triggers.length, true);
      if (!isNamed) names.next(''); // a named context's step has a name of its own
    }
    const context = this.#context(state, names, index);
    const { location } = stage.from;
    names.onbuild = true;
    for (const trigger of triggers) {
      await located(location, async () => {
        const instruction = parseOnbuildTrigger(trigger, {
          file: this.#dockerfile.file,
          location,
        });
        await this.#instruction(instruction, context);
      });
    }
    names.onbuild = false;
    for (const instruction of stage.instructions) {
      await located(instruction.location, () => this.#instruction(instruction, context));
    }
    return state;
  }

  #context(state: StageState, names: StepNames, index: number): StageContext {
    const { from } = this.#dockerfile.stages[index] as Stage;
    const { noCache, noCacheFilter } = this.#options;
    const renew = noCache || noCacheFilter.some((name) => name.toLowerCase() === from.name);
    return {
      options: this.#options,
      services: this.#services,
      resolver: this.#resolver,
      expander: this.#expander,
      globalArgs: this.#globalArgs,
      state,
      names,
      caching: renew ? 'renew' : 'use',
      declare: (plain, location, instruction) => {
        countLayer(state);
        const vertex = locatedVertex(plain, location);
        this.#steps.push({ vertex, location, stage: from.name ?? `stage-${index}`, instruction });
        return vertex;
      },
      nextId: () => this.#nextId(),
      from: (name, instruction) =>
        located(instruction.location, () => this.#from(name, index, state.platform, instruction)),
    };
  }

  async #instruction(instruction: StageInstruction, context: StageContext): Promise<void> {
    switch (instruction.kind) {
      case 'RUN':
        return lowerRun(instruction, context);
      case 'COPY':
      case 'ADD':
        return lowerCopy(instruction, context);
      case 'WORKDIR':
        lowerWorkdir(instruction, context);
        return;
      default:
        if (instruction.kind === 'ARG') for (const { name } of instruction.args) this.#declaredArgs.add(name);
        lowerMetadata(instruction, context);
    }
  }

  /** The image of FROM; `isNamed` where a `--build-context` stands for it. */
  async #resolveBase(prepared: PreparedStage): Promise<{ image: ResolvedImage; isNamed: boolean }> {
    const platform = prepared.platform ?? this.#options.platform;
    const named = await this.#resolver.named(prepared.baseName, platform);
    if (named) {
      return { image: named.kind === 'tree' ? this.#treeImage(named, platform) : named.image, isNamed: true };
    }
    const stepName = (name: string): string => this.#names(prepared, 0, true).next(`FROM ${name}`);
    return { image: await this.#resolver.image(prepared.baseName, platform, stepName), isNamed: false };
  }

  /** Names for the steps of a stage; EXTRA: how many triggers there are. */
  #names({ stage, platform }: PreparedStage, extra: number, hasBase: boolean): StepNames {
    const { stages } = this.#dockerfile;
    return new StepNames({
      stage: isOnlyStage(stages) ? '' : (stage.from.name ?? `stage-${stage.index}`),
      total: (hasBase ? 1 : 0) + stage.instructions.filter(makesStep).length + extra,
      platform: this.#options.severalPlatforms ? (platform ?? this.#options.platform) : undefined,
    });
  }

  /** A folder that stands in for an image: one layer with its content. */
  #treeImage(source: Extract<NamedSource, { kind: 'tree' }>, platform: Platform | undefined): ResolvedImage {
    const caching = this.#options.noCache ? 'renew' : 'use';
    return treeImage(source, platform ?? this.#options.platform, () => this.#nextId(), this.#services, caching);
  }

  /** The named context that stands for a stage; none does for stages of the reserved names. */
  async #replacement({ stage, platform }: PreparedStage): Promise<NamedSource | undefined> {
    const { name } = stage.from;
    if (name === undefined || name === 'scratch' || name === 'context') return undefined;
    return this.#resolver.named(name, platform ?? this.#options.platform);
  }

  /** What `--from=NAME` means in stage INDEX: a stage before it, a named context, an image. */
  async #from(name: string, index: number, platform: Platform, instruction: StageInstruction): Promise<FromSource> {
    if (this.#expander.expandWord(name, { get: () => undefined, names: () => [] }).text !== name) {
      throw builderError('INSTRUCTION_INVALID', `variable expansion is not supported for --from: "${name}"`, {
        hint: 'Define a stage with FROM and an ARG before the first FROM, and name that stage.',
      });
    }
    const other = instruction.kind === 'COPY' ? this.#graph.lookup.source(name) : this.#graph.lookup.mount(name);
    if (other) {
      if (other.index >= index) throw stageOrderError(this.#dockerfile.stages, index, other.index, instruction);
      return { kind: 'stage', vertex: (await this.#stage(other.index)).vertex, where: `stage "${name}"` };
    }
    if (name === 'scratch') return { kind: 'stage', vertex: scratchVertex(this.#nextId()), where: 'scratch' };
    const named = await this.#resolver.named(name, platform);
    if (named?.kind === 'tree') return named;
    const image = named?.image ?? (await this.#resolver.image(name, this.#options.platform, (full) => `FROM ${full}`));
    this.#steps.push({ vertex: image.vertex, location: undefined, stage: '' });
    return { kind: 'stage', vertex: image.vertex, where: `image "${name}"` };
  }

  #nextId(): string {
    return `${this.#idPrefix}${++this.#ids}`;
  }
}

function makesStep({ kind }: StageInstruction): boolean {
  return kind === 'RUN' || kind === 'COPY' || kind === 'ADD' || kind === 'WORKDIR';
}

function withLocation<T>(location: SourceLocation, task: () => T): T {
  try {
    return task();
  } catch (error) {
    throw error instanceof StrakeError ? error.with({ location }) : error;
  }
}
