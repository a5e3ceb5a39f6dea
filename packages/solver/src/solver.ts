import { digestOf, Limiter, throwIfAborted, type Digest } from '@strake/core';
import { randomUUID } from 'node:crypto';

import { contentKey, keyOf } from './keys.js';
import { inputsFirst } from './order.js';
import type {
  CacheRecord,
  Input,
  KeyParts,
  MissReason,
  RecordedParts,
  Solved,
  SolverOptions,
  Vertex,
} from './types.js';

/** What is known of a vertex without running anything. */
interface Identified {
  readonly key: Digest;
  readonly parts: RecordedParts;
  readonly record: CacheRecord | undefined;
  /** Undefined where there is no record: the identity is made when the vertex runs. */
  readonly identity: Digest | undefined;
}

/**
 * Solves a graph from a target back: a vertex whose key has a record is not run, and then nothing behind it is either.
 * One instance a build; `solve` may be called for any number of vertices. After the last one, `settled` waits for what
 * still goes on in the background.
 */
export class Solver<R> {
  readonly #options: SolverOptions<R>;
  readonly #limiter: Limiter;
  readonly #solved = new Map<Vertex<R>, Promise<Solved<R>>>();
  readonly #identified = new Map<Vertex<R>, Promise<Identified | undefined>>();
  readonly #ownParts = new Map<Vertex<R>, Promise<KeyParts>>();
  readonly #running = new Map<Digest, Promise<Solved<R>>>();
  readonly #background = new Set<Promise<unknown>>();
  readonly #marked = new Set<Vertex<R>>();
  readonly #expected = new Set<Vertex<R>>();
  readonly #renewed = new Map<Vertex<R>, boolean>();
  /** What ran, or began to: of a vertex that failed nothing else is known. */
  readonly #attempts = new Map<Vertex<R>, Pick<Solved<R>, 'key' | 'parts' | 'reason'>>();
  readonly #now: () => number;

  constructor(options: SolverOptions<R>) {
    this.#options = options;
    this.#limiter = new Limiter(options.parallelism);
    this.#now = options.now ?? Date.now;
  }

  /** The result of VERTEX: from its record, or by running it and what it needs. */
  solve(vertex: Vertex<R>): Promise<Solved<R>> {
    let promise = this.#solved.get(vertex);
    if (!promise) {
      promise = this.#solve(vertex);
      this.#solved.set(vertex, promise);
      this.#watch(promise);
    }
    return promise;
  }

  /** When VERTEX's result was made, in milliseconds: also of a vertex that a later cached one made unnecessary. */
  async createdAt(vertex: Vertex<R>): Promise<number | undefined> {
    const solved = this.#solved.get(vertex);
    return solved ? (await solved).created : (await this.#identify(vertex))?.record?.created;
  }

  /**
   * What is known of VERTEX after the build: how it was solved, or, where a later step's record made that unnecessary, its key.
   * Of a vertex that failed what it was made of; undefined where it failed before that was known.
   */
  async outcome(
    vertex: Vertex<R>,
  ): Promise<Pick<Solved<R>, 'key' | 'parts' | 'cached' | 'reason' | 'duration'> | undefined> {
    const solved = this.#solved.get(vertex);
    if (solved) {
      return solved.catch(() => {
        const attempt = this.#attempts.get(vertex);
        return attempt && { ...attempt, cached: false, duration: 0 };
      });
    }
    const identified = await this.#identify(vertex);
    return identified && { key: identified.key, parts: identified.parts, cached: true, reason: undefined, duration: 0 };
  }

  /** Waits until nothing of this solver runs any more; rejects with the first failure of background work (saving records). */
  async settled(): Promise<void> {
    let failure: { error: unknown } | undefined;
    while (this.#background.size > 0) {
      const all = [...this.#background];
      for (const outcome of await Promise.allSettled(all)) {
        if (outcome.status === 'rejected') failure ??= { error: outcome.reason as unknown };
      }
      for (const promise of all) this.#background.delete(promise);
    }
    if (failure) throw failure.error;
  }

  /** Keeps a promise until `settled`, and keeps its rejection from going unhandled. */
  #watch(promise: Promise<unknown>): void {
    this.#background.add(promise);
    promise.catch(() => undefined);
  }

  async #solve(vertex: Vertex<R>): Promise<Solved<R>> {
    const { signal, hooks } = this.#options;
    throwIfAborted(signal);
    if (vertex.caching === 'use' && !this.#renewedBehind(vertex)) {
      const identified = await this.#identify(vertex);
      const hit = identified && (await this.#load(identified.key, identified.parts, identified.record));
      if (hit) {
        this.#markCached(vertex, hit.key);
        return hit;
      }
    } else await Promise.resolve(); // or the stack would be as deep as the graph
    this.#expect(vertex);
    const inputs = await Promise.all(vertex.inputs.map((input) => this.solve(input.vertex)));
    const own = await this.#keyParts(vertex);
    const parts: RecordedParts = {
      ...own,
      inputs: await Promise.all(vertex.inputs.map((input, i) => this.#inputDigest(input, inputs[i] as Solved<R>))),
    };
    const key = keyOf(parts);
    // Two vertices of one key are one step (the same RUN in two stages).
    const running = this.#running.get(key);
    if (running) {
      const solved = await running;
      this.#markCached(vertex, key);
      return solved;
    }
    const run = this.#runLocked(vertex, key, parts, inputs);
    this.#running.set(key, run);
    try {
      return await run;
    } catch (error) {
      hooks?.finished?.(vertex, error);
      throw error;
    }
  }

  async #runLocked(
    vertex: Vertex<R>,
    key: Digest,
    parts: RecordedParts,
    inputs: readonly Solved<R>[],
  ): Promise<Solved<R>> {
    const { signal, records, hooks, lock } = this.#options;
    throwIfAborted(signal);
    let reason: MissReason = vertex.caching === 'renew' ? 'renewed' : 'no-record';
    if (vertex.caching === 'none') {
      const started = this.#now();
      this.#attempts.set(vertex, { key, parts, reason: 'not-cacheable' });
      hooks?.started?.(vertex);
      const result = await vertex.run(
        inputs.map((input) => input.result),
        { signal, key },
      );
      hooks?.finished?.(vertex);
      return {
        result,
        key,
        identity: key,
        cached: false,
        reason: 'not-cacheable',
        parts,
        created: started,
        duration: 0,
      };
    }
    const held = await lock?.(key, signal);
    const progress = { handedOn: false };
    try {
      const record = await records.get<CacheRecord>(key);
      if (vertex.caching === 'use') {
        const hit = await this.#load(key, parts, record);
        if (hit) {
          this.#markCached(vertex, key);
          return hit;
        }
        if (record) reason = 'result-gone';
      }
      return await this.#limiter.run(async () => {
        const started = this.#now();
        this.#attempts.set(vertex, { key, parts, reason });
        hooks?.started?.(vertex);
        const result = await vertex.run(
          inputs.map((input) => input.result),
          { signal, key },
        );
        const duration = this.#now() - started;
        // A renewed result may differ from the one that older records of later steps were made from.
        const identity = vertex.caching === 'renew' || record ? digestOf(`${key} ${randomUUID()}`) : key;
        const solved: Solved<R> = { result, key, identity, cached: false, reason, parts, created: started, duration };
        progress.handedOn = true;
        this.#watch(
          this.#save(vertex, solved)
            .then(
              () => hooks?.finished?.(vertex),
              (error: unknown) => {
                hooks?.finished?.(vertex, error);
                throw error;
              },
            )
            .finally(() => held?.release()),
        );
        return solved;
      }, signal);
    } finally {
      // Once the result was handed on, the lock is held until its record is written.
      if (!progress.handedOn) await held?.release();
    }
  }

  async #save(vertex: Vertex<R>, solved: Solved<R>): Promise<void> {
    const { codec, records } = this.#options;
    const record: CacheRecord = {
      version: 1,
      identity: solved.identity,
      created: solved.created,
      duration: solved.duration,
      name: vertex.name,
      parts: solved.parts,
      result: await codec.save(solved.result),
    };
    await records.put(solved.key, record);
  }

  async #load(key: Digest, parts: RecordedParts, record: CacheRecord | undefined): Promise<Solved<R> | undefined> {
    if (record?.version !== 1) return undefined;
    const result = await this.#options.codec.load(record.result);
    if (result === undefined) return undefined;
    this.#options.records.touch(key);
    const { identity, created, duration } = record;
    return { result, key, identity, cached: true, reason: undefined, parts, created, duration };
  }

  /** Says, once, that VERTEX must run. What has no record, or stands on what has none, must: nothing that is needed is found without it. */
  #expect(vertex: Vertex<R>): void {
    if (this.#expected.has(vertex)) return;
    this.#expected.add(vertex);
    vertex.expected?.();
  }

  /** What can be said of a vertex without running anything; undefined where an input's result would be needed. */
  #identify(vertex: Vertex<R>): Promise<Identified | undefined> {
    for (const one of inputsFirst(vertex, this.#identified)) {
      const promise = this.#identifyNow(one);
      this.#identified.set(one, promise);
      promise.catch(() => undefined);
    }
    return this.#identified.get(vertex) as Promise<Identified | undefined>;
  }

  async #identifyNow(vertex: Vertex<R>): Promise<Identified | undefined> {
    const [own, ...inputs] = await Promise.all([
      this.#keyParts(vertex),
      ...vertex.inputs.map((input) => this.#identifyInput(input)),
    ]);
    const known = inputs.filter((digest) => digest !== undefined);
    if (known.length < inputs.length) {
      this.#expect(vertex);
      return undefined;
    }
    const parts: RecordedParts = { ...own, inputs: known };
    const key = keyOf(parts);
    if (vertex.caching === 'none') return { key, parts, record: undefined, identity: key };
    const record = await this.#options.records.get<CacheRecord>(key);
    if (!record) this.#expect(vertex);
    return { key, parts, record, identity: record?.identity };
  }

  async #identifyInput(input: Input<R>): Promise<Digest | undefined> {
    const identified = await this.#identify(input.vertex);
    if (!identified?.identity || !input.content) return identified?.identity;
    const { records, codec, signal } = this.#options;
    const remembered = await records.get<{ digest: Digest }>(contentKey(identified.identity, input.content.selector));
    if (remembered) return remembered.digest;
    const result = identified.record && (await codec.load(identified.record.result));
    if (result === undefined) return undefined;
    return this.#selectContent(input, result, identified.identity, signal);
  }

  /** What stands for a solved input in a key. */
  async #inputDigest(input: Input<R>, solved: Solved<R>): Promise<Digest> {
    if (!input.content) return solved.identity;
    const key = contentKey(solved.identity, input.content.selector);
    const remembered = await this.#options.records.get<{ digest: Digest }>(key);
    return remembered?.digest ?? this.#selectContent(input, solved.result, solved.identity, this.#options.signal);
  }

  async #selectContent(input: Input<R>, result: R, identity: Digest, signal: AbortSignal): Promise<Digest> {
    if (!input.content) return identity;
    const digest = await input.content.digest(result, signal);
    await this.#options.records.put(contentKey(identity, input.content.selector), { digest });
    return digest;
  }

  #keyParts(vertex: Vertex<R>): Promise<KeyParts> {
    let promise = this.#ownParts.get(vertex);
    if (!promise) {
      promise = Promise.resolve(vertex.key(this.#options.signal, { inputs: () => this.#resultsNow(vertex) }));
      this.#ownParts.set(vertex, promise);
      promise.catch(() => undefined);
    }
    return promise;
  }

  /** Results of VERTEX's inputs that are recorded, or of what costs nothing; undefined where one is missing. */
  async #resultsNow(vertex: Vertex<R>): Promise<readonly R[] | undefined> {
    const results: R[] = [];
    for (const { vertex: input } of vertex.inputs) {
      if (input.caching === 'none' && input.inputs.length === 0) {
        results.push((await this.solve(input)).result);
        continue;
      }
      if (input.caching !== 'use' || this.#renewedBehind(input)) return undefined;
      const identified = await this.#identify(input);
      const hit = identified && (await this.#load(identified.key, identified.parts, identified.record));
      if (!hit) return undefined;
      results.push(hit.result);
    }
    return results;
  }

  /** Whether anything that VERTEX is built from must be made anew: then its inputs come first, as their identities will change. */
  #renewedBehind(vertex: Vertex<R>): boolean {
    for (const one of inputsFirst(vertex, this.#renewed)) {
      const renewed = one.inputs.some(({ vertex: input }) => input.caching === 'renew' || this.#renewed.get(input));
      this.#renewed.set(one, renewed);
    }
    return this.#renewed.get(vertex) === true;
  }

  /** Tells that VERTEX and all that it was built from came from the cache, each once, in the order of the graph. */
  #markCached(vertex: Vertex<R>, key: Digest): void {
    this.#watch(this.#mark(vertex, key));
  }

  async #mark(vertex: Vertex<R>, key: Digest): Promise<void> {
    if (this.#marked.has(vertex)) return;
    this.#marked.add(vertex);
    // What a hit stands on is used too: collected, it would take the hit with it.
    this.#options.records.touch(key);
    for (const { vertex: input } of vertex.inputs) {
      if (!this.#solved.has(input)) await this.#mark(input, (await this.#identify(input))?.key ?? key);
    }
    this.#options.hooks?.cached?.(vertex, key);
  }
}
