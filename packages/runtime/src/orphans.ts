import fs from 'node:fs';

import { buryChild } from '@strake/sys';

import { childrenOf } from './processes.js';

/** Milliseconds between two looks: Node buries the children that it has started within one turn of its event loop. */
const PAUSE = 1000;

/**
 * Buries orphans for a process 1 (or a subreaper) that runs in Node, which waits only for the children that it has started itself:
 * the first process of a container, for example, whose runtime was killed. An ended child that is still there a while later is one
 * of these.
 */
export class Orphans {
  #ended = new Set<number>();
  #timer: NodeJS.Timeout | undefined;

  /** To be called when something has ended that may leave orphans: looks after them until there are none. Keeps no process alive. */
  look(): void {
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const ended = childrenOf(process.pid).filter(hasEnded);
      this.#ended = new Set(ended.filter((pid) => !this.#ended.has(pid) || !buryChild(pid)));
      if (this.#ended.size > 0) this.look();
    }, PAUSE).unref();
  }
}

/** Whether a process has ended, and only its entry is left. */
function hasEnded(pid: number): boolean {
  try {
    // The name, in brackets, may hold anything.
    return /\) Z [^)]*$/.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false; // buried meanwhile
  }
}
