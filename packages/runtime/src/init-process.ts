import { cancelled } from '@strake/core';

import { superviseChild, type StartedChild, type Supervision } from './child.js';
import { containerFailed } from './errors.js';
import { BECOMING } from './init-answer.js';
import type { NativeInitFailure, NativeInitSpec } from './native-init.js';
import type { ContainerSpec, ExitStatus, RunOptions } from './types.js';

/** LAUNCHER: see `ContainerSpec`. */
type StartInit = (stdin: ContainerSpec['stdin'], launcher?: readonly string[]) => StartedChild;
type Wanted = Pick<ContainerSpec, 'stdin' | 'launcher'>;

/** Starts first processes of containers, one ahead: it saves the start of a Node process, about 50 ms a step. */
export class InitProcesses {
  readonly #start: StartInit;
  readonly #ahead: boolean;
  #waiting: StartedChild | undefined;

  /** AHEAD: whether one is to wait while there is none to be started; it ends with this process. */
  constructor(start: StartInit, ahead: boolean) {
    this.#start = start;
    this.#ahead = ahead;
    this.#prepare();
  }

  take(wanted: Wanted): StartedChild {
    const taken = this.#take(wanted);
    this.#prepare();
    return taken;
  }

  #prepare(): void {
    if (!this.#ahead || this.#waiting !== undefined) return;
    this.#waiting = this.#start('none');
    keepAlive(this.#waiting, false);
  }

  #take({ stdin, launcher }: Wanted): StartedChild {
    const waiting = this.#waiting;
    if (stdin === 'inherit' || launcher || waiting === undefined || waiting.process.exitCode !== null)
      return this.#start(stdin, launcher);
    this.#waiting = undefined;
    keepAlive(waiting, true);
    return waiting;
  }
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

/**
 * Tells a first process what to become, and waits for its end. NAME stands in errors.
 * @throws StrakeError `CONTAINER_FAILED` where it could not become the step's program, `CANCELLED`
 */
export async function superviseInit(
  child: StartedChild,
  init: NativeInitSpec,
  spec: ContainerSpec,
  options: RunOptions,
  supervision: Supervision & { readonly name: string },
): Promise<ExitStatus> {
  let answer = '';
  // Node's own handlers would swallow what is to stop it; nothing of the program has run.
  const terminate = (pid: number, signal: NodeJS.Signals): boolean =>
    supervision.terminate(pid, spec.stop && !answer.startsWith(BECOMING) ? 'SIGKILL' : signal);
  child.control?.output.on('data', (data: Uint8Array) => (answer += Buffer.from(data).toString()));
  // A child that ends before it has read everything tells why by its exit status.
  child.control?.input.on('error', () => undefined);
  child.control?.input.end(JSON.stringify(init));
  const status = await superviseChild(child, spec, options, { ...supervision, terminate });
  const failed = answer.startsWith(BECOMING) ? answer.slice(BECOMING.length) : answer;
  if (options.signal?.aborted) throw cancelled(options.signal);
  if (failed === '') return status;
  const failure = JSON.parse(failed) as NativeInitFailure;
  if (failure.kind === 'setup') throw containerFailed(supervision.name, failure.message);
  options.onOutput('stderr', Buffer.from(`${failure.message}\n`));
  return { exitCode: 1 };
}
