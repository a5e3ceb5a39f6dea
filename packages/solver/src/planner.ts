import { throwIfAborted, type Digest } from '@strake/core';

import { contentKey, keyOf } from './keys.js';
import { inputsFirst } from './order.js';
import type { CacheRecord, Input, MissReason, RecordedParts, SolverOptions, Vertex } from './types.js';

/** What solving would make of a vertex. */
export interface Planned {
  /**
   * `cached`: nothing would be run for it. `run`: it would. `depends`: on what a step before it makes, or on what another machine
   * answers; it is not known before.
   */
  readonly state: 'cached' | 'run' | 'depends';
  /** Undefined where it is not known before the steps behind it have run. */
  readonly key: Digest | undefined;
  readonly parts: RecordedParts | undefined;
  readonly reason: MissReason | undefined;
}

/** What is known of a vertex without running anything. */
interface Foreseen {
  readonly key: Digest | undefined;
  readonly parts: RecordedParts | undefined;
  readonly record: CacheRecord | undefined;
  /** What its result will be known by: that of its record, or, where it must run, its key. Undefined: no telling. */
  readonly identity: Digest | undefined;
  /** Whether a solver knows that without running anything. */
  readonly sure: boolean;
}

/** Foresees what a {@link Solver} over the same records would do. Runs nothing, loads no content, writes nothing. */
export class Planner<R> {
  readonly #options: Pick<SolverOptions<R>, 'records' | 'codec' | 'signal'>;
  readonly #foreseen = new Map<Vertex<R>, Promise<Foreseen>>();
  readonly #visited = new Map<Vertex<R>, Promise<Planned>>();

  constructor(options: Pick<SolverOptions<R>, 'records' | 'codec' | 'signal'>) {
    this.#options = options;
  }

  /** Foresees TARGET and what it needs. */
  plan(target: Vertex<R>): Promise<Planned> {
    let planned = this.#visited.get(target);
    if (!planned) {
      planned = this.#visit(target);
      this.#visited.set(target, planned);
    }
    return planned;
  }

  /** What the plans so far say of VERTEX; what none of them needs is as good as cached. */
  async planned(vertex: Vertex<R>): Promise<Planned> {
    const known = this.#visited.get(vertex);
    if (known) return known;
    const { key, parts } = await this.#foresee(vertex);
    return { state: 'cached', key, parts, reason: undefined };
  }

  async #visit(vertex: Vertex<R>): Promise<Planned> {
    throwIfAborted(this.#options.signal);
    const { key, parts, record, sure } = await this.#foresee(vertex);
    const hit = vertex.caching === 'use' && record !== undefined && (await this.#isLoadable(record));
    const cached: Planned = { state: 'cached', key, parts, reason: undefined };
    if (hit && sure) return cached;
    const inputs = await Promise.all(vertex.inputs.map((input) => this.plan(input.vertex)));
    if (hit || vertex.caching === 'none') return cached;
    const reason = vertex.caching === 'renew' ? 'renewed' : record ? 'result-gone' : 'no-record';
    if (key !== undefined || vertex.caching === 'renew') return { state: 'run', key, parts, reason };
    // Behind something that is made anew, whatever comes of it, it must run; where only a part of that counts, it may not have to.
    const identities = await Promise.all(vertex.inputs.map((input) => this.#foresee(input.vertex)));
    const behindNew = vertex.inputs.some(
      (input, i) => !input.content && identities[i]?.identity === undefined && inputs[i]?.state === 'run',
    );
    return { state: behindNew ? 'run' : 'depends', key, parts, reason };
  }

  #foresee(vertex: Vertex<R>): Promise<Foreseen> {
    for (const one of inputsFirst(vertex, this.#foreseen)) {
      const foreseen = this.#look(one);
      this.#foreseen.set(one, foreseen);
      foreseen.catch(() => undefined);
    }
    return this.#foreseen.get(vertex) as Promise<Foreseen>;
  }

  async #look(vertex: Vertex<R>): Promise<Foreseen> {
    const { records, signal } = this.#options;
    const unknown: Foreseen = { key: undefined, parts: undefined, record: undefined, identity: undefined, sure: false };
    if (vertex.online) return unknown;
    const before = await Promise.all(vertex.inputs.map((input) => this.#foresee(input.vertex)));
    const digests = await Promise.all(vertex.inputs.map((input, i) => this.#digestOf(input, before[i])));
    const inputs = digests.filter((digest) => digest !== undefined);
    if (inputs.length < digests.length) return unknown;
    const parts: RecordedParts = { ...(await vertex.key(signal)), inputs };
    const key = keyOf(parts);
    const sure = before.every((input) => input.sure);
    if (vertex.caching === 'none') return { key, parts, record: undefined, identity: key, sure };
    const record = await records.get<CacheRecord>(key);
    const valid = record?.version === 1 ? record : undefined;
    const identity = vertex.caching === 'renew' ? undefined : (valid?.identity ?? key);
    return { key, parts, record: valid, identity, sure: sure && valid !== undefined };
  }

  /** What stands for an input in a key, as far as that is remembered. */
  async #digestOf({ content }: Input<R>, foreseen: Foreseen | undefined): Promise<Digest | undefined> {
    const identity = foreseen?.identity;
    if (identity === undefined || !content) return identity;
    return (await this.#options.records.get<{ digest: Digest }>(contentKey(identity, content.selector)))?.digest;
  }

  async #isLoadable(record: CacheRecord): Promise<boolean> {
    return (await this.#options.codec.load(record.result)) !== undefined;
  }
}
