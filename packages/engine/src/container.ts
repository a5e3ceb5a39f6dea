import { digestOf, hasEscapedBytes, type Digest } from '@strake/core';
import type { Lease, Store } from '@strake/store';
import { isDeepStrictEqual } from 'node:util';

import type { Agent } from './agent-client.js';
import { keptBy, type BuildMemory } from './build-memory.js';
import type { ExpectedEntry, TreeChange } from './container-changes.js';
import { commonLength, imageChanges, sameRuntime, type Brought } from './image-changes.js';
import { findImage } from './image-names.js';
import { loadStored } from './images.js';
import type { Resources } from './resources.js';
import { preparedRun } from './run-image.js';
import type { RunningContainer, RunImageOptions, SyncOutcome } from './types.js';

/**
 * Starts an image in an ephemeral container; resolves when its first process is being started. To be called with a lease of `use`,
 * needed until then: its layers are kept by a lease of their own while it runs, whatever becomes of the image's name.
 * @throws StrakeError as `run`
 */
export async function startContainer(
  resources: Resources,
  options: RunImageOptions & { readonly grace?: number | undefined },
): Promise<RunningContainer> {
  const { agent, run, image } = await preparedRun(resources, options);
  const mounted = await (await resources.store()).lease(image.chain);
  const stopping = new AbortController();
  const killing = new AbortController();
  const { started, exited } = agent.start(run, {
    signal: stopping.signal,
    kill: killing.signal,
    onOutput: options.onOutput,
  });
  const release = (): Promise<void> => mounted.release();
  exited.then(release, release).catch(() => undefined);
  const id = await Promise.race([started, exited.then(() => undefined)]);
  let ended = false;
  exited.then(
    () => (ended = true),
    () => (ended = true),
  );
  return new Container(resources, agent, id, exited, stopping, killing, image, () => ended);
}

class Container implements RunningContainer {
  readonly exited: Promise<number>;
  readonly #resources: Resources;
  readonly #agent: Agent;
  readonly #id: number | undefined;
  readonly #stopping: AbortController;
  readonly #killing: AbortController;
  readonly #hasEnded: () => boolean;
  /** What its tree is made of: layers, and what it was started with. */
  #chain: readonly Digest[];
  /** Keeps what the next synchronisation compares with. */
  #compared: Lease | undefined;
  /** How many layers were never synchronised. */
  #base: number;
  readonly #runtime: unknown;
  /** What was brought before an image said what it is, by path: only that is right. */
  readonly #ahead = new Map<string, Brought>();

  constructor(
    resources: Resources,
    agent: Agent,
    id: number | undefined,
    exited: Promise<number>,
    stopping: AbortController,
    killing: AbortController,
    image: { readonly chain: readonly Digest[]; readonly runtime: unknown },
    hasEnded: () => boolean,
  ) {
    this.#resources = resources;
    this.#agent = agent;
    this.#id = id;
    this.exited = exited;
    this.#stopping = stopping;
    this.#killing = killing;
    this.#hasEnded = hasEnded;
    this.#chain = image.chain;
    this.#base = image.chain.length;
    this.#runtime = image.runtime;
    const release = (): Promise<void> | undefined => this.#compared?.release();
    exited.then(release, release).catch(() => undefined);
  }

  get running(): boolean {
    return !this.#hasEnded();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.exited.catch(() => undefined);
  }

  async kill(): Promise<void> {
    this.#stopping.abort();
    this.#killing.abort();
    await this.exited.catch(() => undefined);
  }

  async sync(name: string): Promise<SyncOutcome> {
    const store = await this.#resources.store();
    const use = await store.use('sync');
    try {
      return await this.#syncWith(store, name);
    } finally {
      await use.release();
    }
  }

  async #syncWith(store: Store, name: string): Promise<SyncOutcome> {
    const { target, name: found } = await findImage(store, name);
    const image = await loadStored(this.#resources, target, found);
    if (!sameRuntime(this.#runtime, image.config.config))
      return { refused: 'what the container is started with changed' };
    const chain = image.layers.map(({ diffId }) => diffId);
    for (const { diffId, origin } of image.layers) {
      await store.layers.import(diffId, origin.descriptor, (s) => origin.fetch(s));
    }
    this.#base = Math.min(this.#base, commonLength(this.#chain, chain));
    const changes = await imageChanges(store, this.#chain, chain, this.#ahead);
    if (!changes) return { refused: 'the change cannot be told from the layers' };
    const outcome = await this.change(changes);
    if ('refused' in outcome) return outcome;
    const paths = [...new Set([...this.#ahead.keys(), ...outcome.paths])];
    this.#chain = chain;
    this.#ahead.clear();
    const compared = await store.lease(this.running ? chain : []);
    await this.#compared?.release();
    this.#compared = compared;
    return { paths };
  }

  async differences(): Promise<readonly string[]> {
    const store = await this.#resources.store();
    const base = this.#base;
    const view = await store.layers.view(this.#chain);
    const own = await store.layers.view(this.#chain.slice(base));
    const expected: ExpectedEntry[] = [];
    for (const { path } of own.walk('')) {
      const entry = path === '' ? undefined : view.lookup(path);
      if (!entry || hasEscapedBytes(path)) continue;
      const { type, mode, uid, gid, size, link, digest } = entry;
      expected.push({ path, type, mode, uid, gid, size, link, digest });
    }
    if (!this.running || this.#id === undefined) return [];
    return this.#agent.compare(this.#id, expected);
  }

  get isAhead(): boolean {
    return this.#ahead.size > 0;
  }

  async bring(memory: BuildMemory, paths: readonly string[], signal?: AbortSignal): Promise<void> {
    const changes = await keptBy(memory)?.ahead(paths, await this.#resources.store(), signal);
    if (!changes || !this.running) return;
    const brought = new Map<string, Brought>();
    const fresh: TreeChange[] = [];
    for (const one of changes) {
      const [path, is]: [string, Brought] =
        one.kind === 'remove'
          ? [one.path, 'removed']
          : [one.facts.path, { ...one.facts, digest: digestOf(one.content) }];
      // Events of one save may come one by one, and whoever listens in the container is to see one change.
      if (isDeepStrictEqual(this.#ahead.get(path), is)) continue;
      this.#ahead.set(path, 'unknown');
      brought.set(path, is);
      fresh.push(one.kind === 'remove' ? one : { ...one, content: { bytes: one.content } });
    }
    // What is refused here is refused again by `sync`, which tells why.
    const outcome = fresh.length > 0 && (await this.change(fresh));
    if (outcome && 'paths' in outcome) for (const [path, is] of brought) this.#ahead.set(path, is);
  }

  async change(changes: readonly TreeChange[]): Promise<SyncOutcome> {
    if (!this.running || this.#id === undefined) return { refused: 'the container has ended' };
    const refused = await this.#agent.change(this.#id, changes);
    const [first] = refused;
    if (first !== undefined) return { refused: `the container has changed what leads to /${first}` };
    return { paths: changes.map((one) => (one.kind === 'remove' ? one.path : one.facts.path)) };
  }
}
