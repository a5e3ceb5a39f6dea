import { lstat, mkdir } from 'node:fs/promises';
import { release } from 'node:os';

import { throwIfAborted, type Digest } from '@strake/core';

import { snapshotNotFound } from '../errors.js';
import type { RootFacts } from '../layer/layer-index.js';
import type { FileStore } from '../store.js';
import type { LayerInfo } from '../types.js';
import type { MountSpec, Snapshot, Snapshotter } from './types.js';
import { readFacts } from './node-facts.js';
import { opaqueXattr } from './paths.js';
import { setFacts } from './set-facts.js';
import { isSmallTree } from './small-tree.js';
import { Trees } from './trees.js';

type Parent = Digest | { readonly snapshot: string };

/** Lower folders of one mount; beyond that the lowest ones are merged into one, in steps, so that chains can share them. */
const MAX_LOWER = 128;
const STEP = 64;

interface Upper {
  readonly parent: readonly Parent[];
  frozen: boolean;
  readonly committed: Promise<Digest>;
  settle: (result: Digest | Promise<Digest>) => void;
}

/** Snapshots as upper folders of overlay mounts, layers as lower ones. */
export class OverlaySnapshotter implements Snapshotter {
  readonly name = 'overlay';
  readonly #store: FileStore;
  readonly #trees: Trees;
  readonly #userNamespace: boolean;
  readonly #uppers = new Map<string, Upper>();
  /** Committed snapshots whose layer had a tree already; a running container may still stand on them. */
  readonly #superfluous: string[] = [];

  constructor(store: FileStore, userNamespace: boolean) {
    this.#store = store;
    this.#userNamespace = userNamespace;
    this.#trees = new Trees(store, userNamespace ? 'u' : 'o', opaqueXattr(userNamespace));
  }

  #upper(id: string): Upper {
    const upper = this.#uppers.get(id);
    if (!upper) throw snapshotNotFound(id);
    return upper;
  }

  /** The diff IDs of a chain: waits for snapshots that are still being committed. */
  #digests(chain: readonly Parent[]): Promise<Digest[]> {
    return Promise.all(chain.map(async (one) => (typeof one === 'string' ? one : this.#upper(one.snapshot).committed)));
  }

  /** The folders of a chain, topmost first. */
  async #lower(chain: readonly Parent[], signal: AbortSignal | undefined): Promise<string[]> {
    const { layers } = this.#store;
    const hiding = chain.findLastIndex((one) => typeof one === 'string' && layers.index(one).opaqueRoot);
    const merged = chain.length <= MAX_LOWER ? 0 : Math.floor((chain.length - STEP) / STEP) * STEP;
    const lower: string[] = [];
    if (merged > Math.max(0, hiding)) {
      lower.push(await this.#trees.merged(await this.#digests(chain.slice(0, merged)), signal));
    }
    const rest = chain.slice(Math.max(merged, hiding, 0));
    const start = chain.length - rest.length;
    const trees = await Promise.all(
      rest.map(async (one, i) => {
        throwIfAborted(signal);
        if (typeof one !== 'string') return this.#trees.pathOf(one.snapshot);
        const parents = chain.slice(0, start + i);
        const known = parents.every((parent) => typeof parent === 'string');
        const below = known || layers.index(one).dependsOnLower ? await this.#digests(parents) : [];
        return this.#trees.layer([...below, one], known, signal);
      }),
    );
    // A layer twice in a chain: overlayfs refuses it, and the upper one says all that the lower one could.
    return [...new Set([...lower, ...trees].reverse())];
  }

  #options(writable: boolean): string[] {
    const [major = 0, minor = 0] = release().split('.').map(Number);
    // Marks that only this kernel would understand must not get into upper folders: they are read back as layers.
    const options = this.#userNamespace ? ['userxattr'] : ['redirect_dir=off', 'metacopy=off', 'index=off'];
    // A step's fsync calls cost seconds and protect nothing: trees count in one boot only.
    if (writable && (major > 5 || (major === 5 && minor >= 10))) options.push('volatile');
    return options;
  }

  /** An empty folder: overlayfs wants one lower folder, or two where nothing is written. */
  async #empty(): Promise<string> {
    const path = this.#trees.pathOf('empty');
    await mkdir(path, { recursive: true, mode: 0o755 });
    return path;
  }

  async prepare(parent: readonly Parent[], signal?: AbortSignal): Promise<Snapshot> {
    throwIfAborted(signal);
    const lower = await this.#lower(parent, signal);
    if (lower.length === 0) lower.push(await this.#empty());
    const id = await this.#trees.reserve();
    const upper = this.#trees.pathOf(id);
    const work = `${upper}.work`;
    try {
      await mkdir(upper, { mode: 0o755 });
      await mkdir(work, { mode: 0o700 });
      await this.#rootFacts(upper, parent);
    } catch (error) {
      await this.#trees.remove(id);
      throw error;
    }
    let settle: Upper['settle'] = () => undefined;
    const committed = new Promise<Digest>((resolve) => (settle = resolve));
    // Whoever needs the layer awaits it; where nobody does, a failed commit has been reported already.
    committed.catch(() => undefined);
    this.#uppers.set(id, { parent: [...parent], frozen: false, committed, settle });
    return { id, mount: { kind: 'overlay', lower, upper, work, options: this.#options(true) } };
  }

  /** The upper folder's own facts are those of the mounted root: of the topmost layer, written or not, that says something of it. */
  async #rootFacts(upper: string, parent: readonly Parent[]): Promise<void> {
    let facts: RootFacts | undefined;
    for (const one of [...parent].reverse()) {
      if (typeof one === 'string') facts = this.#store.layers.index(one).root;
      else facts = readFacts(this.#trees.pathOf(one.snapshot), '', await lstat(this.#trees.pathOf(one.snapshot)));
      if (facts) break;
    }
    setFacts(upper, facts ?? { mode: 0o755, uid: 0, gid: 0 }, -1);
  }

  async mountReadOnly(chain: readonly Parent[], signal?: AbortSignal): Promise<MountSpec> {
    throwIfAborted(signal);
    const lower = await this.#lower(chain, signal);
    while (lower.length < 2) lower.push(await this.#empty());
    return { kind: 'overlay', lower, options: this.#options(false) };
  }

  freeze(id: string): Promise<void> {
    this.#upper(id).frozen = true;
    return Promise.resolve();
  }

  async commit(id: string, signal?: AbortSignal): Promise<LayerInfo> {
    const upper = this.#upper(id);
    if (!upper.frozen) throw new Error(`snapshot ${id} is not frozen`);
    const task = this.#commit(id, upper, signal);
    upper.settle(task.then(({ diffId }) => diffId));
    return task;
  }

  async #commit(id: string, { parent }: Upper, signal: AbortSignal | undefined): Promise<LayerInfo> {
    const chain = (await this.#digests(parent)).map((diffId) => this.#trees.filesOf(diffId));
    throwIfAborted(signal);
    const job = { upper: this.#trees.pathOf(id), chain, opaque: opaqueXattr(this.#userNamespace) };
    const { blobs } = this.#store.layout;
    const small = isSmallTree(job.upper);
    const info = await this.#store.layers.make(
      (tarPath, indexPath) => ({ kind: 'commit', job, tarPath, indexPath, blobs }),
      undefined,
      { signal, small, sync: true },
    );
    await this.#trees.removePath(`${job.upper}.work`, true);
    if (!(await this.#trees.adopt([...chain.map(({ diffId }) => diffId), info.diffId], id))) this.#superfluous.push(id);
    return info;
  }

  async discard(id: string): Promise<void> {
    const upper = this.#uppers.get(id);
    if (!upper) return;
    this.#uppers.delete(id);
    upper.settle(Promise.reject<Digest>(snapshotNotFound(id)));
    await this.#trees.remove(id);
  }

  removeTree(path: string): Promise<void> {
    return this.#trees.removePath(path);
  }

  async close(): Promise<void> {
    for (const id of this.#superfluous.splice(0)) await this.#trees.remove(id);
    await this.#trees.settled();
  }
}
