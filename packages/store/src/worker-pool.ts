import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

import { cancelled, Limiter, onAbort, StrakeError, throwIfAborted, type Digest } from '@strake/core';

import type { EntryBatch } from './layer/entry-batch.js';
import { revivedError } from './plain-error.js';
import type { Job, JobResult, Request, Response, ResultOf } from './worker-protocol.js';

/** How a job is run. */
export interface RunOptions {
  /** They go to a `write` job, a few ahead of what it has taken. */
  readonly batches?: AsyncIterable<EntryBatch> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The matter of milliseconds: done in this thread where no other one is idle. One takes 30 to 70 ms of a processor to start. */
  readonly small?: boolean | undefined;
  /** Takes the digests of a batch's files, for a job that was asked for them. */
  readonly onDigests?: ((digests: Uint8Array) => void) | undefined;
  /** Called when all content has been read, and the job only has to end. */
  readonly onRead?: (() => void) | undefined;
}

/** Megabytes of a worker's heap for short-lived objects: nearly all of its are, and it need not hold many of them. */
const YOUNG = 8;
/** Batches that may wait at a worker: it never idles, and memory stays bounded. */
const AHEAD = 3;
/** As many makers are known. */
const MAKERS = 16;

/** Worker threads for hashing, tars and trees: started when there is work, used again, ended by `close`. */
export class WorkerPool {
  readonly #url: URL;
  readonly #limiter: Limiter;
  readonly #idle: Worker[] = [];
  readonly #all = new Set<Worker>();
  /** Who has made a layer, of the last ones: that thread can amend it faster. */
  readonly #makers = new Map<Digest, Worker>();
  #closed = false;

  /** Threads at most. */
  readonly size: number;

  constructor(url: URL, size: number = Math.max(2, availableParallelism())) {
    this.size = size;
    this.#url = url;
    this.#limiter = new Limiter(size);
  }

  /** Runs a job. When this rejects the job has ended: its files are the caller's to remove. */
  async run<J extends Job>(job: J, options: RunOptions = {}): Promise<ResultOf<J> | undefined> {
    throwIfAborted(options.signal);
    return this.#limiter.run(async () => {
      throwIfAborted(options.signal);
      if (this.#closed) throw new StrakeError({ code: 'CANCELLED', message: 'the store is closed' });
      if (options.small && this.#idle.length === 0) {
        return (await this.#runHere(job, options)) as ResultOf<J> | undefined;
      }
      const worker = this.#idleFor(job) ?? this.#start();
      worker.ref();
      try {
        const result = await this.#converse(worker, job, options);
        if (result && 'diffId' in result) this.#noteMaker(result.diffId, worker);
        return result as ResultOf<J> | undefined;
      } finally {
        if (this.#all.has(worker)) {
          worker.unref();
          this.#idle.push(worker);
        }
      }
    }, options.signal);
  }

  /** An idle thread, for a job on a layer the one that has made it. */
  #idleFor(job: Job): Worker | undefined {
    const maker = job.kind === 'amend' ? this.#makers.get(job.former.diffId) : undefined;
    const at = maker ? this.#idle.indexOf(maker) : -1;
    return at < 0 ? this.#idle.pop() : this.#idle.splice(at, 1)[0];
  }

  #noteMaker(diffId: Digest, worker: Worker): void {
    this.#makers.delete(diffId);
    this.#makers.set(diffId, worker);
    for (const oldest of this.#makers.keys()) {
      if (this.#makers.size <= MAKERS) break;
      this.#makers.delete(oldest);
    }
  }

  async #runHere(job: Job, { batches, signal, onDigests, onRead }: RunOptions): Promise<JobResult> {
    const { runJob, WriteInProgress } = await import('./jobs.js');
    const aborted = (): boolean => signal?.aborted ?? false;
    try {
      if (job.kind !== 'write') return await runJob(job, aborted);
      const writing = new WriteInProgress(job, aborted);
      try {
        for await (const batch of batches ?? []) {
          const digests = writing.add(batch);
          if (digests) onDigests?.(digests);
        }
        return writing.finish(onRead);
      } catch (error) {
        writing.abandon();
        throw error;
      }
    } catch (error) {
      throw signal?.aborted ? cancelled(signal) : error;
    }
  }

  #start(): Worker {
    const worker = new Worker(this.#url, { name: 'strake-store', resourceLimits: { maxYoungGenerationSizeMb: YOUNG } });
    this.#all.add(worker);
    worker.once('exit', () => {
      this.#all.delete(worker);
      const at = this.#idle.indexOf(worker);
      if (at >= 0) this.#idle.splice(at, 1);
    });
    return worker;
  }

  async #converse(worker: Worker, job: Job, { batches, signal, onDigests, onRead }: RunOptions): Promise<JobResult> {
    const cancel = new Int32Array(new SharedArrayBuffer(4));
    const send = (request: Request): void => worker.postMessage(request);
    let taken = 0;
    let wake: () => void = () => undefined;
    const state = { over: false };
    const listeners: (() => void)[] = [];
    const on = (event: 'message' | 'error' | 'exit', listener: (value: never) => void): void => {
      worker.on(event, listener as (value: unknown) => void);
      listeners.push(() => worker.off(event, listener as (value: unknown) => void));
    };
    const ended = new Promise<JobResult>((resolve, reject) => {
      on('message', (response: Response) => {
        if (response.type === 'taken') {
          taken++;
          if (response.digests) onDigests?.(response.digests);
        } else if (response.type === 'read') onRead?.();
        else {
          state.over = true;
          if (response.type === 'done') resolve(response.result);
          else reject(revivedError(response.error));
        }
        wake();
      });
      const die = (error: unknown): void => {
        state.over = true;
        reject(error instanceof Error ? error : new Error('a worker thread ended before its job'));
        wake();
      };
      on('error', die);
      on('exit', die);
    });
    // Awaited below; a failure while batches are still being made must not count as unhandled.
    ended.catch(() => undefined);
    const off = onAbort(signal, () => {
      Atomics.store(cancel, 0, 1);
      wake();
    });
    try {
      send({ type: 'start', job, cancel });
      if (batches) {
        let sent = 0;
        try {
          for await (const batch of batches) {
            while (!state.over && !signal?.aborted && sent - taken >= AHEAD) {
              await new Promise<void>((resolve) => (wake = resolve));
            }
            if (state.over || signal?.aborted) break;
            send({ type: 'batch', batch });
            sent++;
          }
          if (!state.over) send({ type: 'end' });
        } catch (error) {
          // The source of entries has failed: the worker must stop before its files are removed.
          Atomics.store(cancel, 0, 1);
          if (!state.over) send({ type: 'end' });
          await ended.catch(() => undefined);
          throw error;
        }
      }
      return await ended;
    } catch (error) {
      throw signal?.aborted ? cancelled(signal) : error;
    } finally {
      off();
      for (const remove of listeners) remove();
    }
  }

  /** Ends all threads. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#all].map((worker) => worker.terminate()));
  }
}
