import fs from 'node:fs';
import os from 'node:os';

import { errnoOf } from '@strake/core';

/** Sends SIGNAL to a process, which may be gone already. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}

/** The processes that PID has started, from /proc: by any of its threads, of which runc has several. */
export function childrenOf(pid: number): number[] {
  return list(`/proc/${pid}/task`).flatMap((thread) => childrenOfThread(pid, thread));
}

function childrenOfThread(pid: number, thread: string): number[] {
  try {
    const text = fs.readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8');
    return text.split(' ').filter(Boolean).map(Number);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function list(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH';
}

/** Whether a process has a handler for SIGNAL; true where that cannot be told. */
function catches(pid: number, signal: NodeJS.Signals): boolean {
  try {
    const [, mask] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return mask === undefined || ((BigInt(`0x${mask}`) >> BigInt(os.constants.signals[signal] - 1)) & 1n) === 1n;
  } catch (error) {
    if (isGone(error)) return true;
    throw error;
  }
}

/** Whether a first process is still runc's own, which names itself so: it is about to become the program. */
function isRuntime(init: number): boolean {
  try {
    return fs.readFileSync(`/proc/${init}/comm`, 'utf8').startsWith('runc:[');
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/**
 * Sends SIGNAL to all processes of the container whose first process is INIT, parents first: a shell is to know that it shall end
 * before the command that it waits for does. For SIGKILL the first alone is enough: the kernel ends a process namespace with it.
 * POLITELY: as `docker stop`, the first alone where it catches the signal, as it ends the others in its own way.
 */
export function signalContainer(init: number, signal: NodeJS.Signals, politely = false): void {
  // The signal would go by where Go's handlers have it when the program replaces them, and there is nothing yet to be polite to.
  if (isRuntime(init)) return signalProcess(init, 'SIGKILL');
  if (politely && signal !== 'SIGKILL' && catches(init, signal)) return signalProcess(init, signal);
  const all = [init];
  if (signal !== 'SIGKILL') {
    for (let i = 0; i < all.length; i++) all.push(...childrenOf(all[i] ?? 0));
    // The kernel keeps a signal from a first process that does not catch it: where nobody else does, waiting would end nothing.
    const deaf = politely ? !all.some((pid) => catches(pid, signal)) : all.length === 1 && !catches(init, signal);
    if (deaf) return signalProcess(init, 'SIGKILL');
  }
  for (const pid of all) signalProcess(pid, signal);
}

/**
 * Ends what RUNTIME has started, also where it is about to start more: it is stopped meanwhile. It goes on when its children are
 * dead, to bury them and to end by itself; where it has none yet, it is killed.
 */
export function endRuntime(runtime: number): void {
  signalProcess(runtime, 'SIGSTOP');
  const killed = new Set<number>();
  const living = (pid: number): number[] => childrenOf(pid).filter((child) => !killed.has(child));
  for (let fresh = living(runtime); fresh.length > 0; fresh = living(runtime)) {
    for (const child of fresh) {
      fresh.push(...living(child));
      killed.add(child);
      signalProcess(child, 'SIGKILL');
    }
  }
  signalProcess(runtime, killed.size > 0 ? 'SIGCONT' : 'SIGKILL');
}
