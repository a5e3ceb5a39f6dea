import { rename, rm } from 'node:fs/promises';

import { throwIfAborted, type Digest } from '@strake/core';

import { snapshotNotFound } from '../errors.js';
import { unlessMissing } from '../files.js';
import type { FileStore } from '../store.js';
import type { LayerInfo } from '../types.js';
import type { MountSpec, Snapshot, Snapshotter } from './types.js';
import { IdleTrees } from './idle-trees.js';
import { untoldLayers } from './tree-history.js';
import { Trees } from './trees.js';
import type { LayerFiles } from './unpack.js';

type Parent = Digest | { readonly snapshot: string };

interface Working {
  readonly chain: readonly Digest[];
  frozen: boolean;
  readonly committed: Promise<Digest>;
  settle: (result: Digest | Promise<Digest>) => void;
}

/**
 * Snapshots as whole trees, where there are no overlay mounts. A step works on the tree that the step before it has left, so
 * a chain of steps copies nothing; what a step changed is found by the inodes and change times of a scan before and one after.
 * A tree that no step goes on with stays as it is for a later build.
 */
export class CopySnapshotter implements Snapshotter {
  readonly name = 'copy';
  readonly #store: FileStore;
  readonly #trees: Trees;
  readonly #idle: IdleTrees;
  readonly #working = new Map<string, Working>();

  constructor(store: FileStore) {
    this.#store = store;
    this.#trees = new Trees(store, 'c', '');
    this.#idle = new IdleTrees(new Trees(store, 'w', ''));
  }

  #get(id: string): Working {
    const working = this.#working.get(id);
    if (!working) throw snapshotNotFound(id);
    return working;
  }

  #digests(chain: readonly Parent[]): Promise<Digest[]> {
    return Promise.all(chain.map(async (one) => (typeof one === 'string' ? one : this.#get(one.snapshot).committed)));
  }

  async prepare(parent: readonly Parent[], signal?: AbortSignal): Promise<Snapshot> {
    throwIfAborted(signal);
    const chain = await this.#digests(parent);
    throwIfAborted(signal);
    const id = this.#trees.reserve();
    const tree = this.#trees.pathOf(id);
    try {
      if (!(await this.#goOn(chain, id, signal))) {
        const files = chain.map((diffId) => this.#trees.filesOf(diffId));
        const job = { tree, chain: files, what: 'merged', opaque: '', scan: `${tree}.scan` } as const;
        await this.#store.pool.run({ kind: 'unpack', job }, { signal });
      }
    } catch (error) {
      await this.#trees.remove(id);
      throw error;
    }
    let settle: Working['settle'] = () => undefined;
    const committed = new Promise<Digest>((resolve) => (settle = resolve));
    // Whoever needs the layer awaits it; where nobody does, a failed commit has been reported already.
    committed.catch(() => undefined);
    this.#working.set(id, { chain, frozen: false, committed, settle });
    return { id, mount: { kind: 'bind', source: tree, readOnly: false } };
  }

  /** Makes a tree that was left the snapshot ID. False where there is none, or none that can be made this chain's. */
  async #goOn(chain: readonly Digest[], id: string, signal: AbortSignal | undefined): Promise<boolean> {
    const left = await this.#idle.take(chain);
    if (!left) return false;
    const [old, tree] = [this.#trees.pathOf(left.id), this.#trees.pathOf(id)];
    for (const suffix of ['.scan', '.touched', '']) await unlessMissing(rename(`${old}${suffix}`, `${tree}${suffix}`));
    await rm(`${old}.note`, { force: true });
    if (!left.turn) return true;
    const { history, shared } = left.turn;
    const filesOf = (layers: readonly Digest[]): LayerFiles[] => layers.map((diffId) => this.#trees.filesOf(diffId));
    const from = filesOf(untoldLayers(history, shared));
    const job = {
      ...{ tree, history, historyPath: `${tree}.touched`, scan: `${tree}.scan` },
      ...{ from, to: filesOf(chain), shared },
    };
    try {
      await this.#store.pool.run({ kind: 'turn', job }, { signal });
      return true;
    } catch (error) {
      if (signal?.aborted) throw error;
      // Unpacking needs nothing of this tree; what is wrong with the disk or the layers it tells itself.
      await this.#trees.remove(id);
      this.#trees.note(id);
      return false;
    }
  }

  async mountReadOnly(chain: readonly Parent[], signal?: AbortSignal): Promise<MountSpec> {
    throwIfAborted(signal);
    const digests = await this.#digests(chain);
    return { kind: 'bind', source: await this.#trees.merged(digests, signal), readOnly: true };
  }

  freeze(id: string): Promise<void> {
    this.#get(id).frozen = true;
    return Promise.resolve();
  }

  /** A step is given the tree of the one before it when that one's layer is written: there is nothing to be told sooner. */
  outline(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async commit(id: string, signal?: AbortSignal): Promise<LayerInfo> {
    const working = this.#get(id);
    if (!working.frozen) throw new Error(`snapshot ${id} is not frozen`);
    const task = this.#commit(id, working, signal);
    working.settle(task.then(({ diffId }) => diffId));
    return task;
  }

  async #commit(id: string, { chain }: Working, signal: AbortSignal | undefined): Promise<LayerInfo> {
    throwIfAborted(signal);
    const tree = this.#trees.pathOf(id);
    const files = chain.map((diffId) => this.#trees.filesOf(diffId));
    const job = { tree, chain: files, scan: `${tree}.scan`, history: `${tree}.touched` };
    const { blobs } = this.#store.layout;
    const info = await this.#store.layers.make(
      (tarPath, indexPath) => ({ kind: 'commit-copy', job, tarPath, indexPath, blobs }),
      undefined,
      { signal, sync: true },
    );
    if (!(await this.#idle.offer([...chain, info.diffId], id))) await this.#trees.remove(id);
    return info;
  }

  async discard(id: string): Promise<void> {
    const working = this.#working.get(id);
    if (!working) return;
    this.#working.delete(id);
    working.settle(Promise.reject<Digest>(snapshotNotFound(id)));
    await this.#trees.remove(id);
  }

  removeTree(path: string): Promise<void> {
    return this.#trees.removePath(path);
  }

  close(): Promise<void> {
    return this.#trees.settled();
  }
}
