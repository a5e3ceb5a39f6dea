import { posix } from 'node:path';

import type { ContainerConfig, HistoryEntry, ImageConfig, Platform } from '@strake/core';
import type { Vertex } from '@strake/solver';

import type { ChainResult } from '../result.js';
import type { ResolvedImage } from './context.js';
import type { HistoryItem } from './history.js';
import { withoutDrive } from './windows-paths.js';
import { splitVariable, Variables } from './variables.js';

/** PATH of images that have none. */
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What instructions change while a stage is lowered. */
export interface StageState {
  /** The file tree so far. */
  vertex: Vertex<ChainResult>;
  readonly platform: Platform;
  /** Whether layers are in the form that Windows wants: those of the base are. */
  readonly windows: boolean;
  /** Image config without layers and history. */
  readonly image: Omit<ImageConfig, 'rootfs' | 'history' | 'config' | 'created'>;
  readonly config: ContainerConfig;
  /** History of the base image, with its times. */
  readonly baseHistory: readonly HistoryEntry[];
  readonly history: HistoryItem[];
  /** What RUN and expansions see: ENV and declared ARGs. */
  readonly env: Variables;
  /** Where in the config's Env a variable stands. */
  readonly envPlaces: Map<string, number>;
  /** Declared ARGs in the order of declaration, with their last declared value. */
  readonly args: Map<string, string | undefined>;
  cmdSet: boolean;
  /** How many layers the file tree has at most, those of the base image included. */
  layers: number;
  /** ONBUILD triggers that this very file adds: they fire for stages built on this one. */
  readonly triggers: string[];
  /** The base's layers: how many, of how many its history says nothing, what BuildKit's cache calls them. */
  readonly base: { readonly layers: number; readonly unnamed: number; readonly layerName: string };
}

/** The image `scratch`. */
export function emptyImage(platform: Platform): ImageConfig {
  return { ...platformFields(platform), rootfs: { type: 'layers', diff_ids: [] }, config: emptyConfig(platform) };
}

function emptyConfig({ os }: Platform): ContainerConfig {
  return { Env: hasDefaultPath(os) ? [`PATH=${DEFAULT_PATH}`] : [], WorkingDir: '/' };
}

/** Windows has a PATH of its own. */
function hasDefaultPath(os: string): boolean {
  return os !== 'windows';
}

function platformFields(platform: Platform): Pick<ImageConfig, 'architecture' | 'os' | 'variant' | 'os.version'> {
  return {
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant ? { variant: platform.variant } : {}),
    ...(platform['os.version'] ? { 'os.version': platform['os.version'] } : {}),
  };
}

/** The state of a stage that starts from an image, or from `scratch`. */
export function startFromImage(resolved: ResolvedImage): StageState {
  const { vertex, config: given, platform, windows = false, layerCount, layerName } = resolved;
  const { rootfs: _rootfs, history, config, created: _created, ...rest } = given ?? emptyImage(platform);
  const baseHistory = soundHistory(history ?? [], layerCount);
  const named = baseHistory.filter((entry) => !entry.empty_layer).length;
  const state: StageState = {
    vertex,
    platform,
    windows,
    image: rest,
    config: soundConfig(config ?? {}),
    baseHistory,
    history: [],
    env: new Variables(),
    envPlaces: new Map(),
    args: new Map(),
    cmdSet: false,
    layers: layerCount,
    triggers: [],
    base: { layers: layerCount, unnamed: layerCount - named, layerName },
  };
  prepare(state);
  return state;
}

/** The state of a stage whose place is taken by what has no config, files or nothing at all: not even a platform. */
export function startFromFiles(image: ResolvedImage): StageState {
  const { config: _config, image: _image, ...rest } = startFromImage(image);
  return { ...rest, config: {}, image: { os: '', architecture: '' } };
}

/** The state of a stage that starts from another stage. Triggers do not pass on; whether CMD was set counts anew. */
export function startFromStage(base: StageState): StageState {
  const config = structuredClone(base.config);
  delete config.OnBuild;
  const state: StageState = {
    ...base,
    image: { ...base.image },
    config,
    history: [...base.history],
    env: base.env.clone(),
    envPlaces: new Map(),
    args: new Map(base.args),
    cmdSet: false,
    triggers: [],
  };
  prepare(state);
  return state;
}

/**
 * PATH as a working directory: an absolute one stays as it is written, a relative one is joined to the CURRENT one and clean. For
 * Windows all are clean, have no drive, and backslashes.
 */
export function workdirIn(current: string | undefined, path: string, os: string): string {
  if (os === 'windows') {
    const [folder, given] = [withoutDrive(current ?? '', os), withoutDrive(path, os)];
    const clean = posix.join('/', given.startsWith('/') ? '' : folder, given);
    return clean.replace(/(.)\/$/, '$1').replaceAll('/', '\\');
  }
  if (path.startsWith('/')) return path;
  if (path === '' && current) return current;
  return posix.join('/', current ?? '', path).replace(/(.)\/$/, '$1');
}

function prepare({ config, env, envPlaces, platform }: StageState): void {
  const variables = config.Env ?? [];
  if (hasDefaultPath(platform.os) && !variables.some((entry) => entry.startsWith('PATH=')))
    variables.push(`PATH=${DEFAULT_PATH}`);
  if (variables.length > 0) config.Env = variables;
  else delete config.Env;
  for (const [at, entry] of variables.entries()) {
    const [name, value] = splitVariable(entry);
    env.set(name, value);
    if (!envPlaces.has(name)) envPlaces.set(name, at);
  }
  // An image that names none keeps naming none, as BuildKit leaves it.
  if (config.WorkingDir) config.WorkingDir = workdirIn(undefined, config.WorkingDir, platform.os);
  else delete config.WorkingDir;
}

/** A base image's config as far as it can be trusted: types checked, variables with a name and a value only. */
function soundConfig(config: ContainerConfig): ContainerConfig {
  const sound = structuredClone(config);
  if (Array.isArray(sound.Env)) {
    sound.Env = sound.Env.filter((entry) => typeof entry === 'string' && /^[^=\0]+=[^\0]*$/.test(entry));
  } else delete sound.Env;
  if (typeof sound.WorkingDir !== 'string' || sound.WorkingDir.includes('\0')) delete sound.WorkingDir;
  if (typeof sound.User !== 'string') delete sound.User;
  for (const key of ['Cmd', 'Entrypoint', 'Shell', 'OnBuild'] as const) {
    const value: unknown = sound[key];
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) delete sound[key];
  }
  return sound;
}

/** A base image's history with no more entries that make a layer than it has layers. */
function soundHistory(history: readonly HistoryEntry[], layers: number): HistoryEntry[] {
  let filled = 0;
  return history
    .filter((entry) => typeof entry === 'object' && (entry as HistoryEntry | null) !== null)
    .map((entry) => (!entry.empty_layer && ++filled > layers ? { ...entry, empty_layer: true } : entry));
}

/** Sets a variable in the config, in its place where it is there. */
export function setConfigVariable({ config, envPlaces }: StageState, name: string, value: string): void {
  const variables = (config.Env ??= []);
  const at = envPlaces.get(name) ?? variables.length;
  envPlaces.set(name, at);
  variables[at] = `${name}=${value}`;
}
