import fs from 'node:fs';
import { fileURLToPath } from 'node:url';

import { throwIfAborted } from '@strake/core';

import { CAPABILITIES, capabilitySet, DEFAULT_CAPABILITIES } from '../capabilities.js';
import { startChild, type StartedChild } from '../child.js';
import { networkUnavailable, terminalUnsupported } from '../errors.js';
import { InitProcesses, superviseInit } from '../init-process.js';
import type { NativeInitSpec } from '../native-init.js';
import { signalContainer } from '../processes.js';
import { missingProgram } from '../program.js';
import { resourceLimits, type ResourceLimit } from '../rlimits.js';
import { checkSpec } from '../spec-check.js';
import type { ContainerSpec, Executor, ExitStatus, RunOptions } from '../types.js';
import { withOwnIds } from '../user-namespace.js';
import { assembleChroot, type NoteLoan } from './assembly.js';
import { devicesAreGuarded } from '../device-guard.js';
import type { ReadOnlyChange } from './read-only-watch.js';
import { killTree, Strays } from './strays.js';

export interface ChrootExecutorOptions {
  /** A folder for temporary files, on the file system of the roots. Made where it is missing. */
  readonly scratch: string;
  /** The command that calls `runNativeInit`; default: this Node with a module of this package. */
  readonly initCommand?: readonly [file: string, ...args: string[]] | undefined;
  /** Whether to start the first process of the next step while one runs. Default true. */
  readonly warm?: boolean | undefined;
  /** Whether this process has no children but those of this executor: others are ended as what steps have left. Default true. */
  readonly alone?: boolean | undefined;
  /** Milliseconds that an aborted step has between SIGTERM and SIGKILL. Default 500. */
  readonly grace?: number | undefined;
  /** Told before a folder of the machine is moved into a root, and when all are back. */
  readonly noteLoan?: NoteLoan | undefined;
}

const GRACE = 500;
const capability = (name: string): bigint => 1n << BigInt(CAPABILITIES.indexOf(name));

/**
 * Runs steps where neither mounts nor namespaces are possible: on another root, with fewer rights, and nothing more. A step that is
 * root there is kept from nothing that root can reach by other means than paths: this is order, not security.
 *
 * Needs CAP_SYS_CHROOT. Roots must be unpacked trees (`bind`).
 */
export function createChrootExecutor(options: ChrootExecutorOptions): Executor {
  const main = fileURLToPath(new URL('../native-init-main.js', import.meta.url));
  const [file, ...args] = options.initCommand ?? [process.execPath, main];
  const strays = options.alone === false ? undefined : new Strays();
  const start = (stdin: ContainerSpec['stdin'], launcher?: readonly string[]): StartedChild => {
    const child = startChild({ launcher, file, args, env: {}, stdin, terminal: false, control: true });
    strays?.know(child.process.pid, child.ended);
    // Its output is complete only when nothing that it has left can write any more.
    const ended = child.ended.then(async (status) => {
      await strays?.end();
      return status;
    });
    ended.catch(() => undefined);
    return { ...child, ended };
  };
  const inits = new InitProcesses(start, options.warm !== false);
  let guarded: boolean | undefined;
  return {
    name: 'chroot',
    async run(given: ContainerSpec, runOptions: RunOptions): Promise<ExitStatus> {
      throwIfAborted(runOptions.signal);
      checkSpec(given);
      const spec = withOwnIds(given);
      if (spec.tty) throw terminalUnsupported('chroot');
      if (spec.root.kind !== 'bind') throw new Error('a chroot takes unpacked trees only');
      const status = fs.readFileSync('/proc/self/status', 'utf8');
      if (spec.network === 'none' && (capabilitySet(status, 'CapEff') & capability('CAP_SYS_ADMIN')) === 0n)
        throw networkUnavailable('this process may make no network namespace');
      const limits = resourceLimits(spec.ulimits);
      const root = spec.root.source;
      const noteLoan = options.noteLoan ?? ((): void => undefined);
      const assembly = await assembleChroot(root, spec, options.scratch, runOptions.onOutput, noteLoan);
      try {
        throwIfAborted(runOptions.signal);
        const missing = missingProgram(spec, root, assembly.cwd);
        if (missing !== undefined) {
          runOptions.onOutput('stderr', Buffer.from(`${missing.message}\n`));
          return { exitCode: 1, notStarted: missing.why };
        }
        guarded ??= devicesAreGuarded(options.scratch);
        const capabilities = stepCapabilities(spec, status, { guarded, root });
        const init = initSpec(spec, { root, cwd: assembly.cwd, limits, status, capabilities });
        runOptions.onStarted?.(root);
        const ended = await superviseInit(inits.take(spec), init, spec, runOptions, {
          name: 'the chroot executor',
          grace: options.grace ?? GRACE,
          terminate: (pid, signal) => {
            if (signal !== 'SIGKILL') signalContainer(pid, signal, spec.stop !== undefined);
            else killTree(pid);
            return true;
          },
        });
        for (const change of assembly.readOnlyChanges()) warnOf(change, runOptions);
        return ended;
      } finally {
        await assembly.dispose();
      }
    },
  };
}

/** Only a warning: programs try such things (caches of Python and Git) and do without where they may not. */
function warnOf({ target, path }: ReadOnlyChange, { onOutput }: RunOptions): void {
  const where = path === target ? 'which' : `where ${target}`;
  const text =
    `warning: the step has changed ${path}, ${where} is read-only. A chroot cannot prevent that: elsewhere the change would have ` +
    'failed. It is not kept.\n';
  onOutput('stderr', Buffer.from(text));
}

/**
 * Docker's, but CAP_SYS_CHROOT: with it root leaves a chroot. It also keeps a step from tracing processes outside, as those have a
 * capability more. Older versions of apk (Alpine's) run no script without it; images with apk have it therefore.
 * And no CAP_MKNOD where device nodes would work for all devices.
 */
function stepCapabilities(
  spec: ContainerSpec,
  status: string,
  { guarded, root }: { readonly guarded: boolean; readonly root: string },
): bigint {
  const own = capabilitySet(status, 'CapBnd') & capabilitySet(status, 'CapPrm');
  if (spec.security === 'insecure') return own;
  const apk = fs.lstatSync(`${root}/sbin/apk`, { throwIfNoEntry: false })?.isFile() === true;
  const refused = (apk ? 0n : capability('CAP_SYS_CHROOT')) | (guarded ? 0n : capability('CAP_MKNOD'));
  return DEFAULT_CAPABILITIES & own & ~refused;
}

function initSpec(
  spec: ContainerSpec,
  facts: {
    readonly root: string;
    readonly cwd: string;
    readonly limits: readonly ResourceLimit[];
    readonly status: string;
    readonly capabilities: bigint;
  },
): NativeInitSpec {
  return {
    confinement: 'chroot',
    root: facts.root,
    cwd: facts.cwd,
    args: spec.args,
    env: spec.env,
    user: spec.user,
    hostname: spec.hostname,
    newNetwork: spec.network === 'none',
    mountSysfs: false,
    mountCgroups: false,
    sandbox: spec.security === 'sandbox',
    maskedPaths: [],
    readonlyPaths: [],
    capabilities: facts.capabilities.toString(16),
    status: facts.status,
    parent: process.pid,
    limits: facts.limits.map(({ type, soft, hard }) => ({ type, soft: String(soft), hard: String(hard) })),
  };
}
