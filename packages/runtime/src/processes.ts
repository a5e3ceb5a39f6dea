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
 * Sends SIGNAL to all processes of the container whose first process is INIT, parents first: a shell is to know that it shall end
 * before the command that it waits for does. For SIGKILL the first alone is enough: the kernel ends a process namespace with it.
 */
export function signalContainer(init: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  const all = [init];
  if (signal === 'SIGTERM') {
    for (let i = 0; i < all.length; i++) all.push(...childrenOf(all[i] ?? 0));
  }
  for (const pid of all) signalProcess(pid, signal);
}
