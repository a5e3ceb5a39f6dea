import { spawn, type ChildProcess } from 'node:child_process';

import { pause } from './changes.js';

/** Milliseconds between SIGTERM and SIGKILL. */
const GRACE = 300;

/** A shell line that runs on this machine, in a process group of its own. */
export class HostCommand {
  readonly exited: Promise<number>;
  readonly #child: ChildProcess;

  constructor(line: string, env: NodeJS.ProcessEnv, onOutput: (stream: 'stdout' | 'stderr', data: Uint8Array) => void) {
    const child = spawn('/bin/sh', ['-c', line], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    child.stdout.on('data', (data: Uint8Array) => onOutput('stdout', data));
    child.stderr.on('data', (data: Uint8Array) => onOutput('stderr', data));
    this.#child = child;
    this.exited = new Promise((resolve) => {
      child.once('error', () => resolve(127));
      child.once('exit', (code) => resolve(code ?? 1));
    });
  }

  /** Ends it with all that it has started. */
  async end(): Promise<void> {
    const { pid } = this.#child;
    if (pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const waited = new AbortController();
    kill(pid, 'SIGTERM');
    void this.exited.then(() => waited.abort());
    await pause(GRACE, waited.signal);
    if (!waited.signal.aborted) kill(pid, 'SIGKILL');
    await this.exited;
  }
}

function kill(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
