import { lstatSync, mkdirSync } from 'node:fs';
import { release } from 'node:os';

import { digestOf, isStrakeError, makeFolderNow, throwIfAborted, type Digest } from '@strake/core';

import { snapshotNotFound } from '../errors.js';
import type { RootFacts } from '../layer/layer-index.js';
import type { OutlinePath } from '../layer/layer-outline.js';
import type { FileStore } from '../store.js';
import type { LayerInfo } from '../types.js';
import type { MountSpec, Snapshot, Snapshotter } from './types.js';
import { readFacts } from './node-facts.js';
import { outlineOf } from './outline.js';
import { opaqueXattr } from './paths.js';
import { setFacts } from './set-facts.js';
import { isSmallTree } from './small-tree.js';
import { Trees } from './trees.js';
import type { LayerFiles } from './unpack.js';

type Parent = Digest | { readonly snapshot: string };

/** Lower folders of one mount; beyond that the lowest ones are merged into one, in steps, so that chains can share them. */
const MAX_LOWER = 128;
const STEP = 64;

interface Upper {
  readonly parent: readonly Parent[];
  frozen: boolean;
  /** Its layer, once that is written. */
  layer?: Digest;
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
  /** Snapshots that are no tree of a layer, though committed or unpacked; a running container may still stand on them. */
  readonly #superfluous = new Set<string>();
  /** Layers unpacked on chains that are not written yet, by their parents and themselves. */
  readonly #early = new Map<string, Promise<string>>();

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
        if (known || !layers.index(one).dependsOnLower) {
          return this.#trees.layer([...(known ? parents : []), one], known, signal);
        }
        return this.#onUnwritten(parents, one, signal);
      }),
    );
    // A layer twice in a chain: overlayfs refuses it, and the upper one says all that the lower one could.
    return [...new Set([...lower, ...trees].reverse())];
  }

  /** The tree of a layer that takes facts from layers below which need not be written yet. */
  async #onUnwritten(parents: readonly Parent[], diffId: Digest, signal: AbortSignal | undefined): Promise<string> {
    const key = JSON.stringify([parents, diffId]);
    for (let early = this.#early.get(key); early; early = this.#early.get(key)) {
      try {
        return await early;
      } catch (error) {
        // Who began with it gave it up.
        if (!isStrakeError(error, 'CANCELLED') || signal?.aborted) throw error;
      }
    }
    const isWritten = parents.every((one) => typeof one === 'string' || this.#upper(one.snapshot).layer !== undefined);
    const below = isWritten ? undefined : this.#outlines(parents, this.#store.layers.index(diffId).pathsBelow);
    if (!below) return this.#trees.layer([...(await this.#digests(parents)), diffId], false, signal);
    const making = this.#trees.unpackOn(below, diffId, signal).then((id) => {
      this.#superfluous.add(id);
      this.#adoptLater(parents, diffId, id, key);
      return this.#trees.pathOf(id);
    });
    this.#early.set(key, making);
    try {
      return await making;
    } catch (error) {
      this.#early.delete(key);
      throw error;
    }
  }

  /** Makes a snapshot the tree of its layer when the layers below are written. */
  #adoptLater(parents: readonly Parent[], diffId: Digest, id: string, key: string): void {
    const adopt = async (): Promise<void> => {
      const chain = [...(await this.#digests(parents)), diffId];
      if (await this.#trees.adopt(chain, id)) this.#superfluous.delete(id);
      this.#early.delete(key);
    };
    // Whoever asked for the layers below is told of what failed.
    adopt().catch(() => undefined);
  }

  /** What tells PATHS in a chain, as it is now; undefined where that takes whole layers. */
  #outlines(chain: readonly Parent[], paths: readonly string[] | undefined): LayerFiles[] | undefined {
    const wanted = paths?.map((path) => ({ path, deep: false }));
    const files: LayerFiles[] = [];
    for (const one of wanted ? chain : []) {
      const index = typeof one === 'string' ? undefined : this.#outline(one.snapshot, wanted ?? []);
      if (typeof one === 'string') files.push(this.#trees.filesOf(one));
      else if (index) files.push({ diffId: digestOf(one.snapshot), index, tar: '' });
      else return undefined;
    }
    return wanted && files;
  }

  #outline(id: string, paths: readonly OutlinePath[]): Buffer | undefined {
    return outlineOf(this.#trees.pathOf(id), opaqueXattr(this.#userNamespace), paths);
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
  #empty(): string {
    const path = this.#trees.pathOf('empty');
    makeFolderNow(path, 0o755);
    return path;
  }

  async prepare(parent: readonly Parent[], signal?: AbortSignal): Promise<Snapshot> {
    throwIfAborted(signal);
    const lower = await this.#lower(parent, signal);
    if (lower.length === 0) lower.push(this.#empty());
    const id = this.#trees.reserve();
    const upper = this.#trees.pathOf(id);
    const work = `${upper}.work`;
    try {
      mkdirSync(upper, { mode: 0o755 });
      mkdirSync(work, { mode: 0o700 });
      this.#rootFacts(upper, parent);
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
  #rootFacts(upper: string, parent: readonly Parent[]): void {
    let facts: RootFacts | undefined;
    for (const one of [...parent].reverse()) {
      if (typeof one === 'string') facts = this.#store.layers.index(one).root;
      else facts = readFacts(this.#trees.pathOf(one.snapshot), '', lstatSync(this.#trees.pathOf(one.snapshot)));
      if (facts) break;
    }
    setFacts(upper, facts ?? { mode: 0o755, uid: 0, gid: 0 }, { mode: -1, inherited: true });
  }

  async mountReadOnly(chain: readonly Parent[], signal?: AbortSignal): Promise<MountSpec> {
    throwIfAborted(signal);
    const lower = await this.#lower(chain, signal);
    // Once: of the same folder twice overlayfs says that it is a loop. Who mounts a single one adds a folder of its own.
    if (lower.length < 2) lower.push(this.#empty());
    return { kind: 'overlay', lower, options: this.#options(false) };
  }

  freeze(id: string): Promise<void> {
    this.#upper(id).frozen = true;
    return Promise.resolve();
  }

  async outline(id: string, paths: readonly OutlinePath[]): Promise<Uint8Array | undefined> {
    if (!this.#upper(id).frozen) throw new Error(`snapshot ${id} is not frozen`);
    return Promise.resolve(this.#outline(id, paths));
  }

  async commit(id: string, signal?: AbortSignal): Promise<LayerInfo> {
    const upper = this.#upper(id);
    if (!upper.frozen) throw new Error(`snapshot ${id} is not frozen`);
    const task = this.#commit(id, upper, signal);
    upper.settle(task.then(({ diffId }) => (upper.layer = diffId)));
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
    if (!(await this.#trees.adopt([...chain.map(({ diffId }) => diffId), info.diffId], id))) this.#superfluous.add(id);
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
    for (const id of this.#superfluous) await this.#trees.remove(id);
    this.#superfluous.clear();
    await this.#trees.settled();
  }
}
