import { statSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';

import { judgeHolders, leaseOf, listHolders, type OwnHolder } from '../holders.js';
import type { StoreLayout } from '../layout.js';
import type { Locks } from '../locks.js';
import type { Lease } from '../types.js';

/** What a lease holds that keeps collections from removing data. */
const USE = 'use ';
const LOCK = 'collect';

/**
 * Keeps apart those who use layers and blobs, any number at once, and the one that removes them.
 *
 * Who uses writes that into its lease file, then looks for the mark of a collection; who collects leaves the mark, then looks
 * for users. So at least one of two that come at once sees the other: a collection gives way, a user waits for the moment in
 * which garbage is renamed. Users pay one small file and one stat, and need no lock: those of processes that died do not count,
 * and the mark of a dead collection is taken away by whoever gets its lock.
 */
export class UsageGate {
  readonly #own: OwnHolder;
  readonly #locks: Locks;
  readonly #layout: StoreLayout;
  readonly #mark: string;

  constructor(layout: StoreLayout, own: OwnHolder, locks: Locks) {
    this.#layout = layout;
    this.#own = own;
    this.#locks = locks;
    this.#mark = `${layout.root}/collecting`;
  }

  /** Keeps all data where it is until the lease is released. */
  async use(what: string, signal?: AbortSignal): Promise<Lease> {
    const lease = leaseOf(this.#own.hold([`${USE}${what}`]));
    try {
      if (statSync(this.#mark, { throwIfNoEntry: false })) {
        const lock = await this.#locks.acquire(LOCK, signal);
        await rm(this.#mark, { force: true });
        await lock.release();
      }
    } catch (error) {
      await lease.release();
      throw error;
    }
    return lease;
  }

  /** One collection at a time; waits for the one before. */
  async collecting<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const lock = await this.#locks.acquire(LOCK, signal);
    try {
      return await work();
    } finally {
      await lock.release();
    }
  }

  /** Within `collecting`: does WORK while nobody uses anything. Undefined where somebody does. */
  async alone<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      await writeFile(this.#mark, this.#own.id, { mode: 0o600 });
      return this.#hasUsers() ? undefined : await work();
    } finally {
      await rm(this.#mark, { force: true });
    }
  }

  #hasUsers(): boolean {
    const { dead } = judgeHolders(this.#layout);
    const holders = listHolders(this.#layout);
    // A lease that cannot be read is being written.
    return holders.some(
      ({ file, holder }) => !dead.has(file) && (!holder || holder.holds.some((one) => one.startsWith(USE))),
    );
  }
}
