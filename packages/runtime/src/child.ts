import { spawn, type ChildProcess } from 'node:child_process';
import os from 'node:os';
import type { Readable, Writable } from 'node:stream';

import { onAbort } from '@strake/core';

import { OutputPipe } from './process-output.js';
import type { ContainerSpec, ExitStatus, RunOptions } from './types.js';

export interface ChildCommand {
  /** Of {@link ContainerSpec}: what the program is started through. */
  readonly launcher?: readonly string[] | undefined;
  /** Absolute path of a program of this machine. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: ContainerSpec['stdin'];
  /** The child gets this process's terminal instead of pipes. */
  readonly terminal: boolean;
  /** Two more streams for the child, its descriptors 3 (to read) and 4 (to write). */
  readonly control?: boolean;
}

/** A started program that is, or becomes, a container. */
export interface StartedChild {
  readonly process: ChildProcess;
  /** Of stdout and stderr; empty for a terminal. */
  readonly pipes: readonly OutputPipe[];
  /** The control streams. */
  readonly control?: { readonly input: Writable; readonly output: Readable } | undefined;
  readonly ended: Promise<ExitStatus>;
}

/** Milliseconds until a container that has nothing to be ended yet is looked at again. */
const AGAIN = 20;

/** Starts a program. Its output is not read before {@link superviseChild}. */
export function startChild(command: ChildCommand): StartedChild {
  const pipes = command.terminal ? [] : [new OutputPipe(), new OutputPipe()];
  const [file = command.file, ...args] = [...(command.launcher ?? []), command.file, ...command.args];
  try {
    const child = spawn(file, args, {
      env: command.env,
      cwd: '/',
      stdio: [
        command.stdin === 'inherit' ? 'inherit' : 'ignore',
        pipes[0]?.writer ?? 'inherit',
        pipes[1]?.writer ?? 'inherit',
        ...(command.control ? (['pipe', 'pipe'] as const) : []),
      ],
    });
    const ended = new Promise<ExitStatus>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(exitStatus(code, signal)));
    });
    ended.catch(() => undefined);
    const [, , , input, output] = child.stdio;
    const control = command.control ? { input: input as Writable, output: output as Readable } : undefined;
    return { process: child, pipes, control, ended };
  } catch (error) {
    for (const pipe of pipes) pipe.discard();
    throw error;
  }
}

export interface Supervision {
  /**
   * How to end the container: first politely, then for good. Called with the child's process id. False where there is nothing yet
   * that could be told: it is called again.
   */
  readonly terminate: (pid: number, signal: NodeJS.Signals) => boolean;
  /** What is to be done where the child was killed: what it started may live on. */
  readonly abandoned?: () => void;
  /** Milliseconds between the two. */
  readonly grace: number;
}

/**
 * Hands on a child's output, and waits until it has ended and all output is here. When the signal aborts, the container is
 * terminated; the caller turns that into an error.
 */
export async function superviseChild(
  child: StartedChild,
  spec: ContainerSpec,
  options: RunOptions,
  supervision: Supervision,
): Promise<ExitStatus> {
  let timer: NodeJS.Timeout | undefined;
  let again: NodeJS.Timeout | undefined;
  let off = (): void => undefined;
  let offKill = (): void => undefined;
  try {
    const reading = child.pipes.map(async (pipe, i) => {
      pipe.giveTo(spec.user);
      pipe.closeWriter();
      await pipe.read((data) => options.onOutput(i === 0 ? 'stdout' : 'stderr', data));
    });
    const terminate = (signal: NodeJS.Signals): boolean => {
      const { pid, exitCode, signalCode } = child.process;
      // The number of a process that has ended may be that of another one by now.
      return pid === undefined || exitCode !== null || signalCode !== null || supervision.terminate(pid, signal);
    };
    off = onAbort(options.signal, () => {
      const ask = (): void => {
        if (!terminate(spec.stop?.signal ?? 'SIGTERM')) again = setTimeout(ask, AGAIN);
      };
      ask();
      timer = setTimeout(() => void terminate('SIGKILL'), spec.stop?.grace ?? supervision.grace);
    });
    offKill = onAbort(options.kill, () => void terminate('SIGKILL'));
    const ended = child.ended.then((status) => {
      if (status.signal !== undefined) supervision.abandoned?.();
      return status;
    });
    const [status] = await Promise.all([ended, ...reading]);
    return status;
  } finally {
    off();
    offKill();
    clearTimeout(timer);
    clearTimeout(again);
    for (const pipe of child.pipes) pipe.discard();
  }
}

function exitStatus(code: number | null, signal: NodeJS.Signals | null): ExitStatus {
  if (signal === null) return { exitCode: code ?? 1 };
  return { exitCode: 128 + os.constants.signals[signal], signal };
}
