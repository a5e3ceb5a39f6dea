import fs from 'node:fs';
import path from 'node:path';

import { cancelled, errnoOf, throwIfAborted } from '@strake/core';

import { coverCgroups } from './cgroup-view.js';
import { startChild, superviseChild } from './child.js';
import { containerFailed, runtimeUnavailable } from './errors.js';
import { ociConfig } from './oci-config.js';
import { childrenOf, endRuntime, signalContainer } from './processes.js';
import { missingProgram } from './program.js';
import { resourceLimits } from './rlimits.js';
import { assembleRoot, type RootAssembly } from './root-assembly.js';
import { checkSpec } from './spec-check.js';
import { inUserNamespace, withOwnIds } from './user-namespace.js';
import type { ContainerSpec, Executor, ExitStatus, RunOptions } from './types.js';

export interface OciExecutorOptions {
  /** Absolute path of runc or crun, or of another runtime with their command line. */
  readonly binary: string;
  /** Whose command line it has; default: by the binary's name. */
  readonly flavor?: 'runc' | 'crun' | undefined;
  /** A folder for temporary files, on a file system that can hold an overlay's upper layer. Made where it is missing. */
  readonly scratch: string;
  /** Milliseconds that an aborted step has between SIGTERM and SIGKILL. Default 500. */
  readonly grace?: number | undefined;
}

const GRACE = 500;
const NAME = 'step';
/** How runtimes say that it is the program which cannot be run. */
const PROGRAM_FAILED = /^(exec: |executable file |open executable|exec container process)/;

/**
 * Runs containers with an OCI runtime. Must be made in a process that has CAP_SYS_ADMIN in its user namespace and a mount
 * namespace of its own with private propagation: it mounts there, and hides the machine's cgroups (see {@link coverCgroups}).
 */
export function createOciExecutor(options: OciExecutorOptions): Executor {
  const flavor = options.flavor ?? (path.basename(options.binary).includes('crun') ? 'crun' : 'runc');
  let covered = false;
  return {
    name: 'oci',
    async run(given: ContainerSpec, runOptions: RunOptions): Promise<ExitStatus> {
      throwIfAborted(runOptions.signal);
      checkSpec(given);
      const spec = withOwnIds(given);
      const limits = resourceLimits(spec.ulimits);
      if (!covered) coverCgroups();
      covered = true;
      const assembly = assembleRoot(spec, options.scratch);
      try {
        const missing = missingProgram(spec, assembly.root, assembly.cwd);
        if (missing !== undefined) {
          runOptions.onOutput('stderr', Buffer.from(`${missing.message}\n`));
          return { exitCode: 1, notStarted: missing.why };
        }
        const status = fs.readFileSync('/proc/self/status', 'utf8');
        const { root, cwd, sysfs } = assembly;
        const mountProgram = flavor === 'crun' && !inUserNamespace() ? findMountProgram() : undefined;
        const config = ociConfig(spec, { root, cwd, sysfs, limits, status, flavor, mountProgram });
        fs.writeFileSync(path.join(assembly.folder, 'config.json'), config);
        return await start(options, flavor, assembly, spec, runOptions);
      } finally {
        assembly.dispose();
      }
    },
  };
}

/** @throws StrakeError `RUNTIME_UNAVAILABLE` */
function findMountProgram(): string {
  const found = ['/usr/bin/mount', '/bin/mount', '/run/current-system/sw/bin/mount'].find((file) =>
    fs.existsSync(file),
  );
  if (found === undefined)
    throw runtimeUnavailable('crun is not safe to run as root here without mount(8)', 'Install util-linux, or runc.');
  return found;
}

async function start(
  options: OciExecutorOptions,
  flavor: 'runc' | 'crun',
  assembly: RootAssembly,
  spec: ContainerSpec,
  runOptions: RunOptions,
): Promise<ExitStatus> {
  const file = (name: string): string => path.join(assembly.folder, name);
  const how = flavor === 'crun' ? ['--cgroup-manager=disabled'] : ['--rootless=true'];
  const init = (): number | undefined => Number(readIfThere(file('pid'))) || undefined;
  const child = startChild({
    launcher: spec.launcher,
    file: options.binary,
    args: [
      ...['--root', file('state'), '--log', file('log'), '--log-format', 'json', ...how],
      ...['run', '--pid-file', file('pid'), '--bundle', assembly.folder, NAME],
    ],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', XDG_RUNTIME_DIR: assembly.folder },
    stdin: spec.stdin,
    terminal: spec.tty === true,
  });
  runOptions.onStarted?.(assembly.root);
  const status = await superviseChild(child, spec, runOptions, {
    grace: options.grace ?? GRACE,
    terminate: (pid, signal) => {
      const first = init();
      if (first !== undefined) signalContainer(first, signal, spec.stop !== undefined);
      else if (signal === 'SIGKILL') endRuntime(pid);
      else {
        const children = childrenOf(pid);
        for (const child of children) signalContainer(child, signal, spec.stop !== undefined);
        return children.length > 0;
      }
      return true;
    },
    abandoned: () => {
      const first = init();
      if (first !== undefined) signalContainer(first, 'SIGKILL');
    },
  });
  if (runOptions.signal?.aborted) throw cancelled(runOptions.signal);
  const failure = status.exitCode === 0 ? undefined : lastError(readIfThere(file('log')));
  if (failure !== undefined && !PROGRAM_FAILED.test(failure)) throw containerFailed(flavor, failure);
  if (status.signal !== undefined) throw containerFailed(flavor, `it was ended by ${status.signal}`);
  return failure === undefined ? status : { exitCode: 1 };
}

function readIfThere(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}

/** The last error in a runtime's log of JSON lines. */
function lastError(log: string): string | undefined {
  for (const line of log.trim().split('\n').reverse()) {
    if (!line.includes('"error"')) continue;
    try {
      const entry = JSON.parse(line) as { level?: unknown; msg?: unknown };
      if (entry.level === 'error')
        return String(entry.msg).replace(/^runc run failed: (unable to start container process: )?/, '');
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  return undefined;
}
