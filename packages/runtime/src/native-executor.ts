import fs from 'node:fs';
import { fileURLToPath } from 'node:url';

import { throwIfAborted } from '@strake/core';

import { CAPABILITIES, capabilitySet, DEFAULT_CAPABILITIES } from './capabilities.js';
import { startChild, type StartedChild } from './child.js';
import { runtimeUnavailable, terminalUnsupported } from './errors.js';
import { InitProcesses, superviseInit } from './init-process.js';
import type { NativeInitSpec } from './native-init.js';
import { MASKED_PATHS, READONLY_PATHS } from './oci-config.js';
import { childrenOf, endRuntime, signalContainer } from './processes.js';
import { missingProgram } from './program.js';
import { resourceLimits, type ResourceLimit } from './rlimits.js';
import { assembleRoot, type RootAssembly } from './root-assembly.js';
import { checkSpec } from './spec-check.js';
import { inUserNamespace, withOwnIds } from './user-namespace.js';
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
  const inits = new InitProcesses(start, options.warm !== false);
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
        runOptions.onStarted?.(assembly.root);
        const init = initSpec(spec, assembly, limits);
        return await superviseInit(inits.take(spec), init, spec, runOptions, {
          name: 'the native executor',
          grace: options.grace ?? GRACE,
          terminate: (pid, signal) => {
            const [first] = childrenOf(pid);
            if (first !== undefined) signalContainer(first, signal, spec.stop !== undefined);
            else endRuntime(pid);
            return true;
          },
        });
      } finally {
        assembly.dispose();
      }
    },
  };
}

function initSpec(spec: ContainerSpec, assembly: RootAssembly, limits: readonly ResourceLimit[]): NativeInitSpec {
  const sandbox = spec.security === 'sandbox';
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  const own = capabilitySet(status, 'CapBnd') & capabilitySet(status, 'CapPrm');
  const wanted = sandbox ? DEFAULT_CAPABILITIES : (1n << BigInt(CAPABILITIES.length)) - 1n;
  return {
    confinement: 'namespaces',
    root: assembly.root,
    cwd: assembly.cwd,
    args: spec.args,
    env: spec.env,
    user: spec.user,
    hostname: spec.hostname,
    newNetwork: spec.network === 'none',
    mountSysfs: !assembly.sysfs,
    mountCgroups: !sandbox && !inUserNamespace(),
    sandbox,
    maskedPaths: sandbox ? MASKED_PATHS : [],
    readonlyPaths: sandbox ? READONLY_PATHS : [],
    capabilities: (wanted & own).toString(16),
    status,
    parent: process.pid,
    limits: limits.map(({ type, soft, hard }) => ({ type, soft: String(soft), hard: String(hard) })),
  };
}
