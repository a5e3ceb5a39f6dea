import { closeSync, fstatSync, openSync, rmSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { abortable, cancelled, throwIfAborted } from '@strake/core';

import { fileNameOf, type StoreLayout } from './layout.js';
import type { Lease } from './types.js';

/** flock(2): exclusive, do not wait. */
const EXCLUSIVE_NOW = 2 | 4;
/** Milliseconds between two tries; the last one is repeated. */
const WAITS = [2, 5, 10, 20, 50];

/** Locks by name: flock(2) between processes (the kernel gives them back when a process dies), a queue within this one. */
export class Locks {
  readonly #layout: StoreLayout;
  readonly #queues = new Map<string, Promise<void>>();

  constructor(layout: StoreLayout) {
    this.#layout = layout;
  }

  /** Takes the lock named NAME as soon as it is free. */
  async acquire(name: string, signal?: AbortSignal): Promise<Lease> {
    throwIfAborted(signal);
    const path = this.#path(name);
    const before = this.#queues.get(path);
    const leave = this.#enqueue(path);
    try {
      if (before) await abortable(before, signal);
      for (let tries = 0; ; tries++) {
        throwIfAborted(signal);
        const fd = await lockNow(path);
        if (fd !== undefined) return leaseOf(fd, path, leave);
        await pause(WAITS[Math.min(tries, WAITS.length - 1)] ?? 0, signal);
      }
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Takes the lock where it is free now. */
  async tryAcquire(name: string): Promise<Lease | undefined> {
    const path = this.#path(name);
    if (this.#queues.has(path)) return undefined;
    const leave = this.#enqueue(path);
    try {
      const fd = await lockNow(path);
      if (fd !== undefined) return leaseOf(fd, path, leave);
    } catch (error) {
      leave();
      throw error;
    }
    leave();
    return undefined;
  }

  #path(name: string): string {
    return `${this.#layout.locks}/${fileNameOf(name)}`;
  }

  /** Takes a place in this process's queue; the function gives it up. */
  #enqueue(path: string): () => void {
    let leave: () => void = () => undefined;
    const mine = new Promise<void>((resolve) => (leave = resolve));
    const last = (this.#queues.get(path) ?? Promise.resolve()).then(() => mine);
    this.#queues.set(path, last);
    return () => {
      leave();
      if (this.#queues.get(path) === last) this.#queues.delete(path);
    };
  }
}

function leaseOf(fd: number, path: string, leave: () => void): Lease {
  let held = true;
  const giveBack = (): void => {
    if (!held) return;
    held = false;
    try {
      // Removed while it is held: whoever waits for it sees that and opens the next one.
      rmSync(path, { force: true });
    } finally {
      closeSync(fd);
      leave();
    }
  };
  return { release: () => Promise.resolve().then(giveBack) };
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(milliseconds, undefined, signal ? { signal } : {});
  } catch {
    throw cancelled(signal);
  }
}

/** The locked file's descriptor; undefined where another holds it. At once: handed to libuv's threads it took longer than the lock. */
async function lockNow(path: string): Promise<number | undefined> {
  // Loads the foreign function library: nothing that is cached takes a lock.
  const { lockFile, SystemCallError } = await import('@strake/sys');
  for (;;) {
    const fd = openSync(path, 'a', 0o600);
    let keep = false;
    try {
      lockFile(fd, EXCLUSIVE_NOW);
      const held = fstatSync(fd);
      const named = statSync(path, { throwIfNoEntry: false });
      keep = named?.ino === held.ino && named.dev === held.dev;
      if (keep) return fd;
    } catch (error) {
      if (error instanceof SystemCallError && error.code === 'EAGAIN') return undefined;
      throw error;
    } finally {
      if (!keep) closeSync(fd);
    }
  }
}
