import { fileState, type FileState } from '@strake/core';
import { isSecretName } from '@strake/parser';
import type { BuildEvidence, BuildOptions, BuildResult } from '@strake/engine';
import { lstatSync } from 'node:fs';
import type { Arguments } from '../args/parse.js';
import { BUILD_FLAGS } from '../build/flags.js';
import { dockerConfig } from '../build/proxies.js';
import type { Io, Output } from '../io.js';
import { isSwitchedOff, STORE_VARIABLES } from './call.js';

/** Flags with which a build does nothing but to make an image in the local store, and to say so. */
const PLAIN_FLAGS: ReadonlySet<string> = new Set([
  ...['tag', 'file', 'target', 'build-arg', 'build-context', 'label', 'annotation', 'platform', 'load'],
  ...['progress', 'quiet', 'network', 'add-host', 'ulimit', 'shm-size', 'memory', 'cpus', 'pids-limit'],
  ...['step-timeout', 'timeout', 'allow', 'isolation', 'snapshotter', 'max-parallelism', 'cpu-period', 'cpu-quota'],
]);

/** Variables whose values may be written down. Others count as secrets. */
const PLAIN_VARIABLES: ReadonlySet<string> = new Set([
  ...STORE_VARIABLES,
  ...['STRAKE_PROGRESS', 'BUILDKIT_PROGRESS', 'STRAKE_DEBUG', 'TERM', 'NO_COLOR', 'SOURCE_DATE_EPOCH', 'DOCKER_CONFIG'],
]);

/** More is not kept: to read it would take as long as to build. */
const LONGEST = 1 << 20;

/** What a build says and reads, for the next call of the same kind. */
export class CallRecording {
  /** For the build: as the one given, but everything that is read or said is noted. */
  readonly io: Io;
  /** For the engine. */
  readonly onEvidence: ((evidence: BuildEvidence) => void) | undefined;
  readonly #read = new Map<string, string | undefined>();
  readonly #said = { stdout: '', stderr: '' };
  readonly #config: readonly [path: string, state: FileState | undefined] | undefined;
  #evidence: BuildEvidence | undefined;
  #lost: boolean;

  /** ANSWERS: whether the next call may be answered with what this one says. */
  constructor(io: Io, answers: boolean) {
    this.io = io;
    this.#lost = !answers;
    if (!answers) return;
    const env = this.#noted(io.env);
    this.io = { ...io, env, stdout: this.#heard(io.stdout, 'stdout'), stderr: this.#heard(io.stderr, 'stderr') };
    this.onEvidence = (evidence) => void (this.#evidence = evidence);
    for (const name of STORE_VARIABLES) this.#read.set(name, io.env[name]);
    const path = dockerConfig(env);
    if (path === undefined) return;
    const stats = lstatSync(path, { throwIfNoEntry: false });
    this.#config = [path, stats && fileState(stats)];
    if (stats && !stats.isFile()) this.#lost = true;
  }

  /** The environment ENV, with a note of each variable that is looked up. */
  #noted(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
    const read = (name: string | symbol): string | undefined => {
      if (typeof name === 'symbol') return undefined;
      const value = env[name];
      this.#read.set(name, value);
      return value;
    };
    return new Proxy(env, {
      get: (_, name) => read(name),
      has: (_, name) => read(name) !== undefined,
      ownKeys: () => {
        this.#lost = true;
        return Reflect.ownKeys(env);
      },
    });
  }

  #heard(output: Output, name: 'stdout' | 'stderr'): Output {
    return {
      isTerminal: output.isTerminal,
      size: () => output.size(),
      write: (data) => {
        if (typeof data !== 'string' || this.#said[name].length > LONGEST) this.#lost = true;
        else this.#said[name] += data;
        output.write(data);
      },
    };
  }

  /** Keeps what is known after a build with OPTIONS that ended with RESULT. */
  async keep(options: BuildOptions, result: BuildResult): Promise<void> {
    const { forgetCall, keepCall } = await import('./keep.js');
    const idle = result.steps.every(({ cached, reasons }) => cached || reasons.length === 0);
    if (!idle) return forgetCall(this.io);
    // Not even its digest, as what is short could be found by trying.
    if (Object.keys(options.buildArgs ?? {}).some(isSecretArgument)) return;
    const evidence = this.#mayAnswer() ? this.#evidence : undefined;
    if (!evidence) return keepCall(undefined, this.io);
    const seen = this.#config ? [...evidence.seen, this.#config] : evidence.seen;
    keepCall({ ...this.#said, took: result.duration, evidence: { ...evidence, seen }, env: [...this.#read] }, this.io);
  }

  /** Whether nothing that was read may be a secret, and all of it is known. */
  #mayAnswer(): boolean {
    if (this.#lost) return false;
    return [...this.#read].every(([name, value]) => value === undefined || PLAIN_VARIABLES.has(name));
  }
}

/** Whether a build argument's value may be a secret. Addresses of proxies, which Docker's configuration has too, may have passwords. */
function isSecretArgument(name: string): boolean {
  return /_proxy$/i.test(name) || isSecretName(name);
}

/** A recording of a build that ARGS ask for; undefined where nobody wants one. */
export function recordingOf(args: Arguments, io: Io): CallRecording | undefined {
  if (isSwitchedOff(io.env) || args.has('root')) return undefined;
  const other = BUILD_FLAGS.some(({ name, ignored }) => args.has(name) && !ignored && !PLAIN_FLAGS.has(name));
  const streams = args.positionals.includes('-') || args.string('file') === '-';
  return new CallRecording(io, !other && !streams && args.string('progress') !== 'rawjson');
}
