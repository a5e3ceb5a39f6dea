import { adoptOrphans, buryChild } from '@strake/sys';

import { childrenOf, signalProcess } from '../processes.js';

/** Milliseconds between looks at processes that were killed and are not gone yet. */
const PAUSE = 2;

/**
 * Finds what steps leave behind without a process namespace. A step's first process gets the orphans of its step, as process 1 of
 * a container does; when it ends, this process gets them. So a child that nobody here has started is a stray of a step that has
 * ended, and no step that still runs is mistaken for one.
 */
export class Strays {
  readonly #known = new Set<number>();

  constructor() {
    adoptOrphans();
  }

  /** Says that the child PID was started by this process; until ENDED settles. */
  know(pid: number | undefined, ended: Promise<unknown>): void {
    if (pid === undefined) return;
    this.#known.add(pid);
    const forget = (): void => void this.#known.delete(pid);
    ended.then(forget, forget);
  }

  /** Resolves when all strays are gone. */
  async end(): Promise<void> {
    for (;;) {
      const strays = childrenOf(process.pid).filter((pid) => !this.#known.has(pid) && !buryChild(pid));
      if (strays.length === 0) return;
      for (const pid of strays) killTree(pid);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

/** Kills PID and all that it has started. All are stopped first: none can start more while the others are looked for. */
export function killTree(pid: number): void {
  const stopped = new Set<number>();
  for (let fresh = [pid]; fresh.length > 0;) {
    for (const one of fresh) {
      stopped.add(one);
      signalProcess(one, 'SIGSTOP');
    }
    fresh = [...stopped].flatMap(childrenOf).filter((child) => !stopped.has(child));
  }
  for (const one of stopped) signalProcess(one, 'SIGKILL');
}
