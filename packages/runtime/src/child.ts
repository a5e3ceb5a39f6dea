import { spawn } from 'node:child_process';
import os from 'node:os';

import { onAbort } from '@strake/core';

import { outputPipe, type OutputPipe } from './process-output.js';
import type { ContainerSpec, ExitStatus, RunOptions } from './types.js';

export interface ChildCommand {
  /** Absolute path of a program of this machine. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Descriptors that the child gets as 3, 4, ...: closed here by the caller. */
  readonly extra?: readonly number[];
  /** How to end the container: first politely, then for good. Called with the child's process id. */
  readonly terminate: (pid: number, signal: 'SIGTERM' | 'SIGKILL') => void;
  /** Milliseconds between the two. */
  readonly grace: number;
}

/**
 * Starts the program that a container consists of, hands on its output, and waits until it has ended and all output is here.
 * When the signal aborts, the container is terminated; the caller turns that into an error.
 */
export async function runChild(command: ChildCommand, spec: ContainerSpec, options: RunOptions): Promise<ExitStatus> {
  const pipes: OutputPipe[] = [];
  const terminal = spec.tty === true;
  const stdin = spec.stdin === 'inherit' ? 'inherit' : 'ignore';
  try {
    if (!terminal) {
      for (const stream of ['stdout', 'stderr'] as const) {
        pipes.push(outputPipe(spec.user, (data) => options.onOutput(stream, data)));
      }
    }
    const [out, err] = pipes;
    const child = spawn(command.file, command.args, {
      env: command.env,
      cwd: '/',
      stdio: [stdin, out?.fd ?? 'inherit', err?.fd ?? 'inherit', ...(command.extra ?? [])],
    });
    for (const pipe of pipes) pipe.closeWriter();
    let timer: NodeJS.Timeout | undefined;
    const off = onAbort(options.signal, () => {
      if (child.pid === undefined) return;
      const { pid } = child;
      command.terminate(pid, 'SIGTERM');
      timer = setTimeout(() => command.terminate(pid, 'SIGKILL'), command.grace);
    });
    try {
      const status = await new Promise<ExitStatus>((resolve, reject) => {
        child.once('error', reject);
        child.once('exit', (code, signal) => resolve(exitStatus(code, signal)));
      });
      await Promise.all(pipes.map((pipe) => pipe.ended));
      return status;
    } finally {
      off();
      clearTimeout(timer);
    }
  } finally {
    for (const pipe of pipes) pipe.closeWriter();
  }
}

function exitStatus(code: number | null, signal: NodeJS.Signals | null): ExitStatus {
  if (signal === null) return { exitCode: code ?? 1 };
  return { exitCode: 128 + os.constants.signals[signal], signal };
}
