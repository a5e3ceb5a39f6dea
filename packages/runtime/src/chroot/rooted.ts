import fs from 'node:fs';

import { errnoOf } from '@strake/core';

import { killTree } from './strays.js';

/** A process that has another root than this one, and where that is. */
export interface RootedProcess {
  readonly pid: number;
  /** As the kernel tells it; ends with ` (deleted)` where the folder is gone. */
  readonly root: string;
}

/**
 * Processes whose root lies below FOLDER: what steps without namespaces have started, whoever their parent is now. Those of other
 * users are seen only by a process that may trace them (CAP_SYS_PTRACE).
 */
export function processesRootedBelow(folder: string): readonly RootedProcess[] {
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    const root = rootOf(pid);
    return root?.startsWith(`${folder}/`) ? [{ pid: Number(pid), root }] : [];
  });
}

/** Ends a process and all that it has started. */
export function endRooted({ pid }: RootedProcess): void {
  killTree(pid);
}

function rootOf(pid: string): string | undefined {
  try {
    return fs.readlinkSync(`/proc/${pid}/root`);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}
