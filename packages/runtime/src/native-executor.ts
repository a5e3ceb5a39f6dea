import fs from 'node:fs';
import { fileURLToPath } from 'node:url';

import { cancelled, throwIfAborted } from '@strake/core';

import { CAPABILITIES, capabilitySet, DEFAULT_CAPABILITIES } from './capabilities.js';
import { startChild, superviseChild, type StartedChild } from './child.js';
import { containerFailed, runtimeUnavailable, terminalUnsupported } from './errors.js';
import type { NativeInitFailure, NativeInitSpec } from './native-init.js';
import { MASKED_PATHS, READONLY_PATHS } from './oci-config.js';
import { childrenOf, endRuntime, signalContainer } from './processes.js';
import { missingProgram } from './program.js';
import { resourceLimits, type ResourceLimit } from './rlimits.js';
import { assembleRoot, type RootAssembly } from './root-assembly.js';
import { checkSpec } from './spec-check.js';
import { withOwnIds } from './user-namespace.js';
import type { ContainerSpec, Executor, ExitStatus, RunOptions } from './types.js';

export interface NativeExecutorOptions {
  /** A folder for temporary files, on a file system that can hold an overlay's upper layer. Made where it is missing. */
  readonly scratch: string;
  /** The command that calls {@link runNativeInit}; default: this Node with a module of this package. */
  readonly initCommand?: readonly [file: string, ...args: string[]] | undefined;
  /** Absolute path of unshare(1) of util-linux; default: where systems have it. */
  readonly unshare?: string | undefined;
  /**
   * Whether to start the first process of the next container while one runs: it saves the start of a Node process, about 50 ms
   * a step, for one idle process that ends with this one. Default true.
   */
  readonly warm?: boolean | undefined;
  /** Milliseconds that an aborted step has between SIGTERM and SIGKILL. Default 500. */
  readonly grace?: number | undefined;
}

const GRACE = 500;
const UNSHARE = ['/usr/bin/unshare', '/bin/unshare', '/run/current-system/sw/bin/unshare'];

/**
 * Runs containers without an OCI runtime: unshare(1) of this machine makes the process namespace, and a process of our own the
 * rest. Needs of this process what {@link createOciExecutor} needs.
 * @throws StrakeError `RUNTIME_UNAVAILABLE` where there is no unshare(1)
 */
export function createNativeExecutor(options: NativeExecutorOptions): Executor {
  const unshare = options.unshare ?? UNSHARE.find((file) => fs.existsSync(file));
  if (unshare === undefined)
    throw runtimeUnavailable('there is no unshare(1) on this machine', 'Install util-linux, crun or runc.');
  const main = fileURLToPath(new URL('./native-init-main.js', import.meta.url));
  const initCommand = options.initCommand ?? [process.execPath, main];
  const args = ['--pid', '--fork', '--kill-child=SIGKILL', '--', ...initCommand];
  const start = (stdin: ContainerSpec['stdin'], launcher?: readonly string[]): StartedChild => {
    return startChild({ launcher, file: unshare, args, env: {}, stdin, terminal: false, control: true });
  };
  let waiting: StartedChild | undefined;
  const prepare = (): void => {
    if (options.warm === false || waiting !== undefined) return;
    waiting = start('none');
    keepAlive(waiting, false);
  };
  const take = ({ stdin, launcher }: ContainerSpec): StartedChild => {
    if (stdin === 'inherit' || launcher || waiting === undefined || waiting.process.exitCode !== null)
      return start(stdin, launcher);
    const taken = waiting;
    waiting = undefined;
    keepAlive(taken, true);
    return taken;
  };
  prepare();
  return {
    name: 'native',
    async run(given: ContainerSpec, runOptions: RunOptions): Promise<ExitStatus> {
      throwIfAborted(runOptions.signal);
      checkSpec(given);
      const spec = withOwnIds(given);
      if (spec.tty) throw terminalUnsupported('native');
      const limits = resourceLimits(spec.ulimits);
      const assembly = assembleRoot(spec, options.scratch);
      try {
        const missing = missingProgram(spec, assembly.root, assembly.cwd);
        if (missing !== undefined) {
          runOptions.onOutput('stderr', Buffer.from(`${missing.message}\n`));
          return { exitCode: 1, notStarted: missing.why };
        }
        const child = take(spec);
        const running = supervise(child, initSpec(spec, assembly, limits), spec, runOptions, options.grace ?? GRACE);
        prepare();
        return await running;
      } finally {
        assembly.dispose();
      }
    },
  };
}

/** Whether this process waits for the child before it ends by itself. */
function keepAlive(child: StartedChild, wait: boolean): void {
  const handles = [child.process, child.control?.input, child.control?.output] as (
    { ref?(): void; unref?(): void } | undefined
  )[];
  for (const handle of handles) {
    if (wait) handle?.ref?.();
    else handle?.unref?.();
  }
}

function initSpec(spec: ContainerSpec, assembly: RootAssembly, limits: readonly ResourceLimit[]): NativeInitSpec {
  const sandbox = spec.security === 'sandbox';
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  const own = capabilitySet(status, 'CapBnd') & capabilitySet(status, 'CapPrm');
  const wanted = sandbox ? DEFAULT_CAPABILITIES : (1n << BigInt(CAPABILITIES.length)) - 1n;
  return {
    root: assembly.root,
    cwd: assembly.cwd,
    args: spec.args,
    env: spec.env,
    user: spec.user,
    hostname: spec.hostname,
    newNetwork: spec.network === 'none',
    mountSysfs: !assembly.sysfs,
    sandbox,
    maskedPaths: sandbox ? MASKED_PATHS : [],
    readonlyPaths: sandbox ? READONLY_PATHS : [],
    capabilities: (wanted & own).toString(16),
    limits: limits.map(({ type, soft, hard }) => ({ type, soft: String(soft), hard: String(hard) })),
  };
}

async function supervise(
  child: StartedChild,
  init: NativeInitSpec,
  spec: ContainerSpec,
  options: RunOptions,
  grace: number,
): Promise<ExitStatus> {
  let answer = '';
  child.control?.output.on('data', (data: Uint8Array) => (answer += Buffer.from(data).toString()));
  // A child that ends before it has read everything tells why by its exit status.
  child.control?.input.on('error', () => undefined);
  child.control?.input.end(JSON.stringify(init));
  const status = await superviseChild(child, spec, options, {
    grace,
    terminate: (pid, signal) => {
      const [first] = childrenOf(pid);
      if (first !== undefined) signalContainer(first, signal);
      else endRuntime(pid);
    },
  });
  if (options.signal?.aborted) throw cancelled(options.signal);
  if (answer === '') return status;
  const failure = JSON.parse(answer) as NativeInitFailure;
  if (failure.kind === 'setup') throw containerFailed('the native executor', failure.message);
  options.onOutput('stderr', Buffer.from(`${failure.message}\n`));
  return { exitCode: 1 };
}
