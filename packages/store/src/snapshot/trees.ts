import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { lstat, rename, rm, symlink } from 'node:fs/promises';

import { errnoOf, isStrakeError, makeFolderNow, type Digest } from '@strake/core';
import { spreadSubfolders } from '@strake/sys';

import { linkNow, randomName, sizeNow, unlessMissing } from '../files.js';
import { bootId } from '../holders.js';
import { layerPath } from '../layout.js';
import type { FileStore } from '../store.js';
import { returnLoans } from './loans.js';
import { FEW_BYTES, FEW_ENTRIES } from '../small.js';
import type { LayerFiles, UnpackJob } from './unpack.js';

const ID_LENGTH = 8;

/**
 * Unpacked trees of layers. A tree is a folder `snapshots/<id>`, made by one process and written by nobody afterwards;
 * `layers/<hex>/tree-<kind>-<boot>[-<chain>]` is a link to it. Trees are not synced, so they count in one boot of the machine
 * only: after a power cut they are unpacked again from the layer's tar.
 */
export class Trees {
  readonly #store: FileStore;
  readonly #kind: string;
  readonly #opaque: string;
  readonly #boot: string = bootId() || 'boot';
  readonly #running = new Map<string, Promise<string>>();
  #cleaning: Promise<void> | undefined;

  /** KIND tells apart trees of different marks. */
  constructor(store: FileStore, kind: string, opaque: string) {
    this.#store = store;
    this.#kind = kind;
    this.#opaque = opaque;
  }

  pathOf(id: string): string {
    return `${this.#store.layout.snapshots}/${id}`;
  }

  /**
   * Once, at the first snapshot of this process: removes snapshots of processes that are gone. And new trees are to lie apart from
   * removed ones: ext4 without a journal does not use an inode again for minutes, and looks at each such one for every new file.
   */
  #clean(): void {
    if (this.#cleaning) return;
    spreadSubfolders(this.#store.layout.snapshots);
    this.#cleaning = (async () => {
      for (const { path, privileged } of await this.#store.findLeftovers()) {
        if (privileged || path.startsWith(`${this.#store.layout.snapshots}/`)) await this.removePath(path);
      }
    })();
    // What cannot be removed stays for `doctor` to name.
    this.#cleaning.catch(() => undefined);
  }

  /** Resolves when nothing is being removed. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#cleaning]);
  }

  /** Notes a new snapshot as this process's, so that nobody takes it for a leftover. Its folder is yet to be made. */
  reserve(): string {
    this.#clean();
    for (;;) {
      const id = randomName(ID_LENGTH);
      if (this.note(id)) return id;
    }
  }

  /** Removes a snapshot's folders and its note. */
  async remove(id: string): Promise<void> {
    for (const path of [this.pathOf(id), `${this.pathOf(id)}.work`]) await this.removePath(path);
    for (const suffix of ['scan', 'touched', 'note']) await rm(`${this.pathOf(id)}.${suffix}`, { force: true });
  }

  /** Removes a folder in a worker thread; SMALL: or at once. */
  async removePath(path: string, small = false): Promise<void> {
    if (path.startsWith(`${this.#store.layout.snapshots}/`)) await returnLoans(path.replace(/\.lent$/, ''));
    if (!(await unlessMissing(lstat(path)))) return;
    await this.#store.pool.run({ kind: 'remove', path }, { small });
  }

  filesOf(diffId: Digest): LayerFiles {
    const { layout } = this.#store;
    return { diffId, index: `${layerPath(layout, diffId)}/index`, tar: `${layout.blobs}/${diffId.slice(7)}` };
  }

  /** The link from a layer to its tree; to that on CHAIN. KIND: where it is not one of these trees. */
  linkOf(diffId: Digest, chain: readonly Digest[] | undefined, kind: string = this.#kind): string {
    const suffix = chain ? `-${createHash('sha256').update(chain.join()).digest('hex').slice(0, 16)}` : '';
    return `${layerPath(this.#store.layout, diffId)}/tree-${kind}-${this.#boot}${suffix}`;
  }

  /** Notes a snapshot as this process's. False where it is someone else's. */
  note(id: string): boolean {
    const holder = this.#store.own.ensure();
    try {
      writeFileSync(`${this.pathOf(id)}.note`, JSON.stringify({ holder }), { mode: 0o600, flag: 'wx' });
      return true;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw error;
    }
  }

  /** The folder that a link leads to, where both are there. */
  linked(link: string): string | undefined {
    const target = linkNow(link);
    if (target === undefined) return undefined;
    const path = this.pathOf(target.slice(target.lastIndexOf('/') + 1));
    return sizeNow(path) === undefined ? undefined : path;
  }

  /**
   * The topmost layer of CHAIN unpacked for overlayfs. With KNOWN the whole chain is given, and what a snapshot on it was made to will
   * do; else the others are needed only where the layer leaves facts to them.
   */
  async layer(chain: readonly Digest[], known: boolean, signal?: AbortSignal): Promise<string> {
    const diffId = chain.at(-1) as Digest;
    const dependent = this.#store.layers.index(diffId).dependsOnLower;
    if (known && !dependent) {
      const unpacked = this.linked(this.linkOf(diffId, undefined));
      const adopted = unpacked === undefined ? this.linked(this.linkOf(diffId, chain)) : undefined;
      if (unpacked ?? adopted) return (unpacked ?? adopted) as string;
    }
    return this.#tree(diffId, dependent ? chain : undefined, dependent ? chain : [diffId], 'layer', signal);
  }

  /** Unpacks a layer on a chain of which some layers are not written yet: the id of a snapshot. @see adopt */
  async unpackOn(below: readonly LayerFiles[], diffId: Digest, signal?: AbortSignal): Promise<string> {
    const id = this.reserve();
    try {
      const chain = [...below, this.filesOf(diffId)];
      const job = { tree: this.pathOf(id), chain, what: 'layer', opaque: this.#opaque } as const;
      await this.#store.pool.run({ kind: 'unpack', job }, { signal, small: this.#isSmall([diffId], 'layer') });
    } catch (error) {
      await this.remove(id);
      throw error;
    }
    return id;
  }

  /** All layers of CHAIN merged into one tree. */
  merged(chain: readonly Digest[], signal?: AbortSignal): Promise<string> {
    return this.#tree(chain.at(-1) as Digest, ['sha256:merged', ...chain], chain, 'merged', signal);
  }

  async #tree(
    diffId: Digest,
    key: readonly Digest[] | undefined,
    chain: readonly Digest[],
    what: UnpackJob['what'],
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const link = this.linkOf(diffId, key);
    for (;;) {
      const running = this.#running.get(link);
      if (!running) break;
      try {
        return await running;
      } catch (error) {
        if (!isStrakeError(error, 'CANCELLED') || signal?.aborted) throw error;
      }
    }
    const task = this.#make(link, chain, what, signal);
    this.#running.set(link, task);
    try {
      return await task;
    } finally {
      this.#running.delete(link);
    }
  }

  async #make(
    link: string,
    chain: readonly Digest[],
    what: UnpackJob['what'],
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const known = this.linked(link);
    if (known) return known;
    const lock = await this.#store.lock(`unpack ${link}`, signal);
    try {
      const made = this.linked(link);
      if (made) return made;
      const id = this.reserve();
      const tree = this.pathOf(id);
      try {
        const job = { tree, chain: chain.map((diffId) => this.filesOf(diffId)), what, opaque: this.#opaque };
        await this.#store.pool.run({ kind: 'unpack', job }, { signal, small: this.#isSmall(chain, what) });
        await this.point(link, id);
      } catch (error) {
        await this.remove(id);
        throw error;
      }
      await rm(`${tree}.note`, { force: true });
      return tree;
    } finally {
      await lock.release();
    }
  }

  /** Whether a layer is unpacked in the time that a worker takes to start. */
  #isSmall(chain: readonly Digest[], what: UnpackJob['what']): boolean {
    const top = chain.at(-1);
    if (what !== 'layer' || top === undefined || this.#store.layers.index(top).count > FEW_ENTRIES) return false;
    return (sizeNow(this.filesOf(top).tar) ?? Infinity) <= FEW_BYTES;
  }

  /** Makes LINK lead to a tree, whatever dead link is there. */
  async point(link: string, id: string): Promise<void> {
    const temporary = this.#store.own.temporaryPath('link');
    await symlink(`../../snapshots/${id}`, temporary);
    await rename(temporary, link);
  }

  /**
   * Makes a snapshot the tree of its layer on this very CHAIN. False where there is one already: then the snapshot is superfluous. On
   * another chain it would show what is no part of the layer: files that were copied up and are as they were, marks of new folders.
   */
  async adopt(chain: readonly Digest[], id: string): Promise<boolean> {
    const diffId = chain.at(-1) as Digest;
    const link = this.linkOf(diffId, chain);
    const dependent = this.#store.layers.index(diffId).dependsOnLower;
    if ((!dependent && this.linked(this.linkOf(diffId, undefined))) || this.linked(link)) return false;
    makeFolderNow(layerPath(this.#store.layout, diffId), 0o700);
    try {
      await symlink(`../../snapshots/${id}`, link);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      // Either someone was faster, or the link is dead.
      if (this.linked(link)) return false;
      await this.point(link, id);
    }
    await rm(`${this.pathOf(id)}.note`, { force: true });
    return true;
  }
}
