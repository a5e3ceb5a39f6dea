import fs from 'node:fs';
import path from 'node:path';

import { errnoOf, isStrakeError, makeFolderNow, throwIfAborted } from '@strake/core';

import { createChrootExecutor, type ChrootExecutorOptions } from './chroot/executor.js';
import { createNativeExecutor, type NativeExecutorOptions } from './native-executor.js';
import { createOciExecutor } from './oci-executor.js';
import { ProbeCache } from './probe-cache.js';
import { PROBE_STATUS, probeProgram } from './probe-program.js';
import type { Capability, ContainerSpec, Executor } from './types.js';

export interface ProbeOptions {
  /** Variables of the environment: PATH is where runtimes are looked for. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** As of {@link createOciExecutor}. */
  readonly scratch: string;
  /** A JSON file that keeps what was found out, so that later processes need not try again. */
  readonly cacheFile?: string | undefined;
  readonly initCommand?: NativeExecutorOptions['initCommand'];
  readonly noteLoan?: ChrootExecutorOptions['noteLoan'];
  /**
   * Whether this process has a mount namespace of its own, as all but `chroot` needs: without one nothing else is tried.
   * Default true.
   */
  readonly namespaces?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type RuntimeName = 'crun' | 'runc' | 'native' | 'chroot';

/** What can run containers here, and how it was found out. */
export interface ProbedRuntime {
  readonly name: RuntimeName;
  /** The runtime, unshare(1) for `native`, Node for `chroot`; undefined where there is none. */
  readonly binary?: string | undefined;
  readonly capability: Capability;
}

/** In the order of preference: crun starts a container in about 15 ms, runc in 35, the native executor in 25 to 90. */
export const RUNTIMES: readonly RuntimeName[] = ['crun', 'runc', 'native', 'chroot'];
/** Programs, and the packages that have them. */
const PROGRAMS: Readonly<Record<Exclude<RuntimeName, 'chroot'>, readonly [program: string, from: string]>> = {
  crun: ['crun', 'crun'],
  runc: ['runc', 'runc'],
  native: ['unshare', 'util-linux'],
};
const USUAL = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** What may be tried here, in the order of preference. */
export function candidates(options: Pick<ProbeOptions, 'namespaces'>): readonly RuntimeName[] {
  return options.namespaces === false ? ['chroot'] : RUNTIMES;
}

/** Tries every way of running containers. Must be called where containers are to be run: see {@link createOciExecutor}. */
export async function probeRuntimes(options: ProbeOptions): Promise<readonly ProbedRuntime[]> {
  const results: ProbedRuntime[] = [];
  for (const name of candidates(options)) results.push(await probeRuntime(name, options));
  return results;
}

/** Tries one: actually runs a container, unless the cache file knows that it works. */
export async function probeRuntime(name: RuntimeName, options: ProbeOptions): Promise<ProbedRuntime> {
  throwIfAborted(options.signal);
  const [program, from] = name === 'chroot' ? [] : PROGRAMS[name];
  const binary = program === undefined ? process.execPath : findProgram(program, options.env['PATH']);
  if (binary === undefined) {
    const detail = `there is no ${program} in PATH`;
    return { name, capability: { name, available: false, detail, hint: `Install the package ${from}.` } };
  }
  const cache = new ProbeCache(options.cacheFile);
  const known = await cache.get(binary, name);
  if (known !== undefined) return { name, binary, capability: { name, available: true, detail: known } };
  const started = performance.now();
  const failure = await tryExecutor(createExecutor(name, binary, { ...options, trial: true }), options);
  if (failure !== undefined) {
    const hint = `strake uses another way of running steps; --isolation chooses one.`;
    return { name, binary, capability: { name, available: false, detail: `${binary}: ${failure}`, hint } };
  }
  const detail = `${binary} ran a container in ${Math.round(performance.now() - started)} ms`;
  await cache.set(binary, name, detail);
  return { name, binary, capability: { name, available: true, detail } };
}

/** The executor that belongs to a runtime. */
export function createExecutor(
  name: RuntimeName,
  binary: string,
  options: Pick<ProbeOptions, 'scratch' | 'initCommand' | 'noteLoan'> & { readonly trial?: boolean },
): Executor {
  const { scratch, initCommand, noteLoan } = options;
  const warm = options.trial !== true;
  if (name === 'chroot') return createChrootExecutor({ scratch, initCommand, noteLoan, warm, alone: warm });
  return name === 'native'
    ? createNativeExecutor({ scratch, initCommand, warm, unshare: binary })
    : createOciExecutor({ scratch, binary, flavor: name });
}

/** The absolute path of a program of this machine. Relative folders of PATH do not count. */
function findProgram(name: string, searched: string | undefined): string | undefined {
  const folders = [...(searched ?? '').split(':'), ...USUAL].filter((folder) => folder.startsWith('/'));
  return folders.map((folder) => path.join(folder, name)).find(isProgram);
}

function isProgram(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}

/** Runs the smallest container there is. Returns why it did not work, in one line. */
async function tryExecutor(executor: Executor, options: ProbeOptions): Promise<string | undefined> {
  const program = probeProgram();
  if (!program) return `no container to try it with is known for ${process.arch}`;
  makeFolderNow(options.scratch);
  const root = fs.mkdtempSync(path.join(options.scratch, 'probe-'));
  let output = '';
  try {
    fs.writeFileSync(path.join(root, 'exit'), program);
    fs.chmodSync(path.join(root, 'exit'), 0o755);
    const onOutput = (_stream: unknown, data: Uint8Array): void => void (output += Buffer.from(data).toString());
    const { exitCode } = await executor.run(probeSpec(root), { signal: options.signal, onOutput });
    return exitCode === PROBE_STATUS
      ? undefined
      : `a container ended with ${exitCode} ${output}`.trim().replace(/\s+/g, ' ');
  } catch (error) {
    if (!isStrakeError(error) || error.code === 'CANCELLED') throw error;
    return error.message.replace(/\s+/g, ' ');
  } finally {
    fs.rmSync(path.join(root, 'exit'), { force: true });
    // Mount points that stayed, empty.
    for (const name of fs.readdirSync(root)) fs.rmdirSync(path.join(root, name));
    fs.rmdirSync(root);
  }
}

function probeSpec(root: string): ContainerSpec {
  return {
    root: { kind: 'bind', source: root, readOnly: false },
    args: ['/exit'],
    env: ['HOME=/'],
    cwd: '/',
    user: { uid: 0, gid: 0, additionalGids: [] },
    hostname: 'probe',
    mounts: [],
    network: 'host',
    security: 'sandbox',
    extraHosts: [],
    ulimits: [],
    shmSize: 1 << 20,
    stdin: 'none',
  };
}
