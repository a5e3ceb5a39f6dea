import fs from 'node:fs';

import { errnoOf } from '@strake/core';

/** Sends SIGNAL to a process, which may be gone already. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}

/** The processes that PID has started, from /proc. */
export function childrenOf(pid: number): number[] {
  try {
    return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return [];
    throw error;
  }
}

/**
 * Sends SIGNAL to all processes of the container whose first process is INIT. For SIGKILL the first alone is enough: the kernel
 * ends a process namespace with its first process, and before that one counts as ended.
 */
export function signalContainer(init: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (signal === 'SIGTERM') {
    const waiting = childrenOf(init);
    for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
      waiting.push(...childrenOf(pid));
      signalProcess(pid, signal);
    }
  }
  signalProcess(init, signal);
}
