import { createExpander, evaluateGlobalArgs, mapEnvironment, type Dockerfile, type Stage } from '@strake/parser';
import type { Platform } from '@strake/core';

import { builderError, located } from '../errors.js';
import type { BuilderServices } from '../services.js';
import { contextEpoch, type ContextSource } from './context.js';
import { parseGitReference } from './git-reference.js';
import { checkedDigest, isRemote, parseUrl } from './remote.js';

/** What SOURCE_DATE_EPOCH is looked up in. */
export interface SourceDateOptions {
  readonly dockerfile: Dockerfile;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly target: string | undefined;
  readonly platform: Platform;
  readonly hostPlatform: Platform;
  /** The main context's own time in seconds since 1970; undefined where it has none. */
  readonly contextEpoch: number | undefined;
  /** What a named context is (`--build-context`), or undefined. */
  readonly namedContext: (name: string) => ContextSource | undefined;
  readonly signal: AbortSignal;
}

/** SOURCE_DATE_EPOCH of a build. */
export interface SourceDate {
  /** Seconds since 1970; undefined where there is none. */
  readonly epoch: number | undefined;
  /** The build arguments; a name that stood there is replaced by its seconds, or gone where it has no time. */
  readonly buildArgs: ReadonlyMap<string, string>;
  /** What the Dockerfile's global ARG has become, where its default was a name; '' where it has no value. */
  readonly globalArg: string | undefined;
}

const NAME = 'SOURCE_DATE_EPOCH';

/**
 * Finds the time that a build is dated with: of the build argument, else of the Dockerfile's global ARG. Seconds since 1970;
 * `context` for the main context's time; the name of a named context; or the name of a stage that is nothing but one remote ADD on
 * scratch. A commit's time, Last-Modified, or the newest file of an archive counts; where a source has no time, there is no epoch,
 * as with BuildKit (resolveSourceDateEpochValue).
 * @throws StrakeError `ARGUMENT_INVALID`, `INSTRUCTION_INVALID`, `DOWNLOAD_FAILED`, `GIT_FAILED`, `CHECKSUM_MISMATCH`
 */
export async function sourceDateEpoch(options: SourceDateOptions, services: BuilderServices): Promise<SourceDate> {
  const { dockerfile, buildArgs, hostPlatform: buildPlatform } = options;
  const none: SourceDate = { epoch: undefined, buildArgs, globalArg: undefined };
  const given = buildArgs.get(NAME);
  if (given === undefined && !dockerfile.globalArgs.some(({ args }) => args.some(({ name }) => name === NAME)))
    return none;
  const globals = evaluateGlobalArgs(dockerfile, { ...options, buildPlatform }).env;
  const text = given ?? globals.get(NAME) ?? '';
  const unset = {
    epoch: undefined,
    buildArgs: new Map([...buildArgs].filter(([name]) => name !== NAME)),
    globalArg: '',
  };
  if (text === '') return given === undefined ? none : unset;
  if (/^[-+]?\d{1,12}$/.test(text)) return { ...none, epoch: Number(text) };
  const epoch = await named(text, new Map(globals), options, services);
  if (epoch === undefined) return unset;
  const found = String(epoch);
  return given === undefined
    ? { epoch, buildArgs, globalArg: found }
    : { epoch, buildArgs: new Map([...buildArgs, [NAME, found]]), globalArg: undefined };
}

async function named(
  name: string,
  globals: Map<string, string>,
  { dockerfile, buildArgs, contextEpoch: own, namedContext, signal }: SourceDateOptions,
  services: BuilderServices,
): Promise<number | undefined> {
  if (name === 'context') return own;
  const spec = namedContext(name);
  if (spec !== undefined) return typeof spec === 'string' ? contextEpoch(spec, services, signal) : undefined;
  const stage = dockerfile.stages.find(({ from }) => from.name === name.toLowerCase());
  if (!stage) {
    throw builderError('ARGUMENT_INVALID', `invalid ${NAME}: ${name}`, {
      hint: 'It is a number of seconds since 1970, "context", or the name of a context or of a stage with one remote ADD.',
    });
  }
  globals.delete(NAME);
  return located(stage.from.location, async () => {
    const { source, checksum } = remoteAdd(stage, dockerfile, buildArgs, globals);
    return remoteEpoch(source, checksum, services, signal);
  });
}

/** The one source of a stage that is there for its time only. @throws StrakeError `INSTRUCTION_INVALID` */
function remoteAdd(
  stage: Stage,
  { escape }: Dockerfile,
  buildArgs: ReadonlyMap<string, string>,
  values: Map<string, string>,
): { source: string; checksum: string | undefined } {
  const expander = createExpander(escape);
  const expand = (word: string): string => expander.expandWord(word, mapEnvironment(values)).text;
  const refused = (why: string): Error =>
    builderError('INSTRUCTION_INVALID', `the stage that ${NAME} names ${why}`, {
      hint: 'It is FROM scratch with one ADD of an http(s) address or a Git repository, and ARGs.',
    });
  if (expand(stage.from.image) !== 'scratch') throw refused('must use FROM scratch');
  let found: { source: string; checksum: string | undefined } | undefined;
  for (const instruction of stage.instructions) {
    if (instruction.kind === 'ARG') {
      for (const { name, value } of instruction.args) {
        const given = buildArgs.get(name) ?? (value === undefined ? undefined : expand(value));
        if (given !== undefined) values.set(name, given);
      }
    } else if (instruction.kind !== 'ADD') {
      throw refused(`must contain exactly one remote ADD, not ${instruction.kind}`);
    } else {
      const [only, ...more] = instruction.sources;
      if (found || only === undefined || more.length > 0 || instruction.heredocs.length > 0) {
        throw refused('must contain exactly one remote ADD with one source');
      }
      const source = expand(only);
      if (!isRemote(source))
        throw refused(`adds "${source}", which is neither an http(s) address nor a Git repository`);
      found = { source, checksum: instruction.checksum === undefined ? undefined : expand(instruction.checksum) };
    }
  }
  if (!found) throw refused('must contain exactly one remote ADD');
  return found;
}

async function remoteEpoch(
  source: string,
  checksum: string | undefined,
  services: BuilderServices,
  signal: AbortSignal,
): Promise<number | undefined> {
  const git = parseGitReference(source);
  if (git && !git.likeLocalPath) {
    const { checkoutGit } = await import('./git.js');
    const { committed } = await checkoutGit({ ...git, checksum: checksum ?? git.checksum }, services, signal);
    return committed;
  }
  const { download } = await import('./http.js');
  const file = await download(parseUrl(source), services, { checksum: checkedDigest(checksum), signal });
  if (file.modified !== undefined) return file.modified;
  const { readStreamContext } = await import('./stdin-context.js');
  const content = await readStreamContext(services.store.blobs.open(file.blob), services, signal);
  return content.kind === 'archive' ? content.newest : undefined;
}
