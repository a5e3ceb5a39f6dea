import type { EgressRule, Limits } from '@strake/runtime';
import type { ImageConfig, Platform, SourceLocation } from '@strake/core';
import type { Dockerfile, Expander, StageInstruction } from '@strake/parser';
import type { Vertex } from '@strake/solver';

import type { ChainResult } from '../result.js';
import type { BuilderServices } from '../services.js';
import type { InstructionNote } from '../explain/types.js';
import type { SourceTree } from '../tree/source-tree.js';
import type { StageState } from './stage-state.js';
import type { StepNames } from './step-names.js';
import type { Variables } from './variables.js';

/** A base image, looked up: its config, and the vertex of its layers. */
export interface ResolvedImage {
  readonly vertex: Vertex<ChainResult>;
  /** Undefined for a folder used as an image. */
  readonly config: ImageConfig | undefined;
  readonly layerCount: number;
  readonly platform: Platform;
  /** Whether it has layers, and those are in the form that Windows wants. */
  readonly windows?: boolean | undefined;
  /** What BuildKit's cache calls its layers. */
  readonly layerName: string;
}

/** What a name in FROM, `--from` or `from=` stands for, where it is no stage. */
export type NamedSource =
  | { readonly kind: 'image'; readonly image: ResolvedImage }
  | { readonly kind: 'tree'; readonly tree: SourceTree; readonly where: string; readonly layerName: string };

/** Looks up images and contexts; remembers what it found. */
export interface SourceResolver {
  /** The main context. */
  context(): Promise<SourceTree>;
  /** A named context of the build, or undefined where there is none of that name. */
  named(name: string, platform: Platform): Promise<NamedSource | undefined>;
  /** An image of the local store or a registry. */
  image(name: string, platform: Platform, stepName: (digestName: string) => string): Promise<ResolvedImage>;
}

/** What a build asks of the frontend. */
export interface LowerOptions {
  readonly dockerfile: Dockerfile;
  readonly target: string | undefined;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly labels: Readonly<Record<string, string>>;
  readonly platform: Platform;
  readonly hostPlatform: Platform;
  /** Whether `--platform` was given: then the image's platform is that one, whatever the base says. */
  readonly platformGiven: boolean;
  /** Whether the build is for more than one platform: then steps are named by theirs. */
  readonly severalPlatforms?: boolean | undefined;
  readonly noCache: boolean;
  readonly noCacheFilter: readonly string[];
  readonly network: 'default' | 'host' | 'none' | 'private';
  /** The only hosts that steps on the default network may reach, through a proxy; undefined: all. */
  readonly allowHosts?: readonly EgressRule[] | undefined;
  readonly allow: ReadonlySet<string>;
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[];
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly shmSize: number | undefined;
  /** Of each RUN. */
  readonly limits?: Limits | undefined;
  /** Milliseconds that a RUN may take. */
  readonly stepTimeout?: number | undefined;
  /** Seconds since 1970: SOURCE_DATE_EPOCH. */
  readonly epoch: number | undefined;
  /** What the global ARG SOURCE_DATE_EPOCH stands for, where its default is the name of a source; '' for no value. */
  readonly epochArg?: string | undefined;
}

/** What the instructions of one stage are lowered with. */
export interface StageContext {
  readonly options: LowerOptions;
  readonly services: BuilderServices;
  readonly resolver: SourceResolver;
  readonly expander: Expander;
  readonly globalArgs: Variables;
  readonly state: StageState;
  readonly names: StepNames;
  readonly caching: 'use' | 'renew';
  /** Makes a vertex a step that the display is told of, and whose errors know where they come from. */
  readonly declare: (
    vertex: Vertex<ChainResult>,
    location: SourceLocation | undefined,
    instruction: InstructionNote,
  ) => Vertex<ChainResult>;
  readonly nextId: () => string;
  /** What `--from` names. */
  readonly from: (name: string, instruction: StageInstruction) => Promise<FromSource>;
}

/** What `--from=X` stands for. */
export type FromSource =
  | { readonly kind: 'stage'; readonly vertex: Vertex<ChainResult>; readonly where: string }
  | { readonly kind: 'tree'; readonly tree: SourceTree; readonly where: string };
