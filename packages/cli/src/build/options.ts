import path from 'node:path';
import type { BuildOptions } from '@strake/engine';
import type { Arguments } from '../args/parse.js';
import { parseBool } from '@strake/parser';
import { byteSize, choice, count, csvFields, decimal, duration, pairs } from '../args/values.js';
import { stdinUsedTwice, usage } from '../errors.js';
import { outputsOf } from './outputs.js';
import { absolute, contextSource, looksRemote } from './paths.js';
import { proxyArguments } from './proxies.js';
import { parseSecret, parseSsh, parseUlimit } from './sources.js';

export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdoutIsTerminal: boolean;
}

function dockerfilePath(file: string | undefined, context: string, cwd: string): string | undefined {
  if (file === undefined || file === '') return undefined;
  if (file === '-') {
    if (context === '-') throw stdinUsedTwice();
    return file;
  }
  // Within an archive or repository the path is relative to its root.
  return context === '-' || looksRemote(context) || looksRemote(file) ? file : path.resolve(cwd, file);
}

function commaSeparated(values: readonly string[]): string[] {
  return values.flatMap((value) => value.split(',').map((word) => word.trim())).filter((word) => word !== '');
}

/**
 * What the flags of `strake build` ask for. Paths are absolute afterwards, variables of the environment are read.
 * @throws StrakeError `USAGE`, `STDIN_USED_TWICE`, `OUTPUT_TO_TERMINAL`
 */
export function buildOptions(args: Arguments, { cwd, env, stdoutIsTerminal }: Surroundings): BuildOptions {
  const [given, ...rest] = args.positionals;
  if (given === undefined || given === '') {
    throw usage(
      given === '' ? 'the context "" is empty' : 'the context is missing',
      'Say which folder to build, for example: strake build .',
    );
  }
  if (rest.length > 0) {
    throw usage(`one context is expected, but ${args.positionals.length} are given: ${args.positionals.join(' ')}`);
  }
  const context = absolute(given, cwd);
  const buildArgs = pairs(args.list('build-arg'), '--build-arg', (name) => env[name]);
  if (env['SOURCE_DATE_EPOCH']) buildArgs['SOURCE_DATE_EPOCH'] ??= env['SOURCE_DATE_EPOCH'];
  for (const [name, value] of Object.entries(proxyArguments(env))) buildArgs[name] ??= value;
  const buildContexts = pairs(args.list('build-context'), '--build-context', (name) => {
    throw usage(`--build-context: "${name}" must be written as name=source`);
  });
  for (const name of Object.keys(buildContexts)) {
    const source = buildContexts[name] ?? '';
    if (source === '') throw usage(`--build-context: the source of "${name}" is empty`, 'Write it as name=source.');
    buildContexts[name] = contextSource(source, cwd);
  }
  if (args.boolean('no-cache') && args.list('no-cache-filter').length > 0) {
    throw usage('--no-cache and --no-cache-filter cannot be used together', '--no-cache runs the steps of all stages.');
  }
  const network = args.string('network');
  const shmSize = args.string('shm-size');
  return {
    context,
    file: dockerfilePath(args.string('file'), context, cwd),
    tags: args.list('tag'),
    target: args.string('target') || undefined,
    buildArgs,
    buildContexts,
    labels: pairs(args.list('label'), '--label', () => ''),
    annotations: args.list('annotation'),
    platforms: platformsOf(args.list('platform')),
    noCache: args.boolean('no-cache'),
    noCacheFilter: commaSeparated(args.list('no-cache-filter')),
    pull: args.boolean('pull'),
    outputs: outputsOf(
      { output: args.list('output'), push: args.boolean('push'), load: args.boolean('load') },
      { cwd, stdoutIsTerminal },
    ),
    secrets: args.list('secret').map((text) => parseSecret(text, { cwd, env })),
    ssh: args.list('ssh').map((text) => parseSsh(text, { cwd, env })),
    network:
      network === undefined || network === ''
        ? undefined
        : choice(
            network === 'sandbox' ? 'default' : network,
            ['default', 'host', 'none', 'private'] as const,
            '--network',
          ),
    allowHosts: args.list('allow-host').length === 0 ? undefined : commaSeparated(args.list('allow-host')),
    addHosts: args.list('add-host').flatMap((text) => (text === '' ? [] : csvFields(text, '--add-host'))),
    ulimits: args.list('ulimit').map(parseUlimit),
    shmSize: shmSize === undefined ? undefined : byteSize(shmSize, '--shm-size'),
    limits: limitsOf(args),
    stepTimeout: optional(args, 'step-timeout', duration),
    timeout: optional(args, 'timeout', duration),
    allow: args.list('allow').filter((name) => name !== ''),
  };
}

/** An empty one, as of a variable that is not set, would stand for this machine's without a word. */
function platformsOf(given: readonly string[]): string[] {
  const platforms = given.flatMap((value) => value.split(',').map((word) => word.trim()));
  if (platforms.includes('')) throw usage('--platform: the value is empty', 'Write it like linux/arm64.');
  return platforms;
}

/** The value of a flag, read by PARSE; undefined where it is not given. */
function optional<T>(args: Arguments, name: string, parse: (text: string, flag: string) => T): T | undefined {
  const text = args.string(name);
  return text === undefined || text === '' ? undefined : parse(text, `--${name}`);
}

/** `--memory`, `--cpus` or Docker's older `--cpu-quota` and `--cpu-period`, `--pids-limit`; 0 and -1 stand for no limit. */
function limitsOf(args: Arguments): BuildOptions['limits'] {
  const unlimited = (name: string): boolean => ['0', '-1'].includes(args.string(name) ?? '');
  const memoryBytes = unlimited('memory') ? undefined : optional(args, 'memory', byteSize);
  const quota = unlimited('cpu-quota') ? undefined : optional(args, 'cpu-quota', decimal);
  const cpus = unlimited('cpus') ? undefined : optional(args, 'cpus', decimal);
  const pids = unlimited('pids-limit') ? undefined : optional(args, 'pids-limit', count);
  const byQuota = quota === undefined ? undefined : quota / (optional(args, 'cpu-period', decimal) ?? 100_000);
  const limits = { memoryBytes, cpus: cpus ?? byQuota, pids };
  return Object.values(limits).some((limit) => limit !== undefined) ? limits : undefined;
}

/** What `--call` (or `--check`) asks for instead of a build. */
export interface Call {
  readonly method: 'check' | 'outline' | 'targets';
  readonly json: boolean;
  /** Whatever was found, the exit status is 0. */
  readonly ignoreStatus: boolean;
}

/**
 * Reads `--call=METHOD[,format=json][,ignorestatus=true]`, `--check` and the older `--print`; undefined where a build is wanted.
 * @throws StrakeError `USAGE`
 */
export function callOf(args: Arguments): Call | undefined {
  const text = args.string('call') ?? args.string('print');
  let method = 'build';
  let json = false;
  let ignoreStatus = false;
  for (const field of text === undefined ? [] : text.split(',')) {
    const [key, value] = field.split('=', 2);
    if (value === undefined) method = field === 'lint' ? 'check' : field || 'build';
    else if (key === 'ignorestatus') ignoreStatus = parseBool(value) === true;
    else if (key === 'format') json = choice(value, ['json', 'text', 'default'] as const, '--call format') === 'json';
    else throw usage(`--call: unknown key "${key}"`, 'Write it like --call=check,format=json.');
  }
  if (args.boolean('check')) {
    if (method !== 'build' && method !== 'check') throw usage(`--check and --call=${method} exclude each other`);
    method = 'check';
  }
  const known = choice(method, ['build', 'check', 'outline', 'targets'] as const, '--call');
  return known === 'build' ? undefined : { method: known, json, ignoreStatus };
}
