import { rename, rm, stat } from 'node:fs/promises';

import { errnoOf, isStrakeError, makeFolderNow, type ByteStream, type Descriptor, type Digest } from '@strake/core';

import { layerNotFound, writeFailure } from '../errors.js';
import { readJsonNow, sizeNow, syncData, writeFileWhole } from '../files.js';
import { bootId, type OwnHolder } from '../holders.js';
import { layerPath, type StoreLayout } from '../layout.js';
import type { FileBlobs } from '../blobs.js';
import type { LayerEntry } from '../entries.js';
import type { GrowingLayer, LayerInfo, LayerStore, TreeView } from '../types.js';
import type { Job, MadeLayer } from '../worker-protocol.js';
import type { WorkerPool } from '../worker-pool.js';
import { amendInPool } from './amend-in-pool.js';
import { batchesOf, isSmall, startingWith, type EntryBatch } from './entry-batch.js';
import type { FormerFiles } from './former-contents.js';
import { IndexCache } from './index-cache.js';
import { loadIndex, type LayerIndex } from './layer-index.js';
import { LayerCompressions } from './layer-compressions.js';
import { addForm, formsOf, isForm } from './layer-forms.js';
import { LayerHomes } from './layer-homes.js';
import { isOfThisBoot, stampOf, type LayerFacts } from './layer-facts.js';
import type { LayerOutline } from './layer-outline.js';
import { placeTar, stageLayer, type StagedLayer } from './staged-layer.js';
import { MergedView } from './tree-view.js';

/** A layer that a worker has made, with its files where they were put. */
interface Made {
  readonly tarPath: string | undefined;
  readonly indexPath: string;
}

interface MakeOptions {
  readonly signal?: AbortSignal | undefined;
  /** See `WorkerPool.run`. */
  readonly small?: boolean | undefined;
  /** Whether tar and index are on the disk before it counts as made. */
  readonly sync?: boolean | undefined;
}

/** Layers as files: the tar is a blob, `layers/<hex>/` has `info`, `index` and a file for each compressed form. */
export class FileLayers implements LayerStore {
  readonly #layout: StoreLayout;
  readonly #holder: OwnHolder;
  readonly #blobs: FileBlobs;
  readonly #pool: WorkerPool;
  readonly #homes: LayerHomes;
  readonly #compressions: LayerCompressions;
  readonly #indexes: IndexCache<LayerIndex>;
  /** By diff ID and the blob's digest. */
  readonly #imports = new Map<string, Promise<LayerInfo>>();
  readonly #syncing = new Set<Promise<void>>();

  constructor(layout: StoreLayout, holder: OwnHolder, blobs: FileBlobs, pool: WorkerPool, indexMemory?: number) {
    this.#indexes = new IndexCache(indexMemory);
    this.#layout = layout;
    this.#holder = holder;
    this.#blobs = blobs;
    this.#pool = pool;
    this.#homes = new LayerHomes(layout, holder);
    this.#compressions = new LayerCompressions(layout, holder, blobs, pool);
  }

  async info(diffId: Digest): Promise<LayerInfo | undefined> {
    const size = this.#sizeNow(diffId);
    return size === undefined ? undefined : { diffId, size, compressed: await this.#compressed(diffId) };
  }

  size(diffId: Digest): Promise<number | undefined> {
    return new Promise((resolve) => resolve(this.#sizeNow(diffId)));
  }

  #factsNow(diffId: Digest): LayerFacts | undefined {
    return readJsonNow(`${layerPath(this.#layout, diffId)}/info`) as LayerFacts | undefined;
  }

  #sizeNow(diffId: Digest): number | undefined {
    const facts = this.#factsNow(diffId);
    // A power cut may have taken what was not yet on the disk.
    const whole =
      facts &&
      sizeNow(this.#blobs.path(diffId)) === facts.size &&
      sizeNow(`${layerPath(this.#layout, diffId)}/index`) === facts.index &&
      isOfThisBoot(facts);
    return whole ? facts.size : undefined;
  }

  #compressed(diffId: Digest): Promise<Descriptor[]> {
    return formsOf(this.#layout, this.#blobs, diffId);
  }

  async write(
    entries: Iterable<LayerEntry> | AsyncIterable<LayerEntry>,
    signal?: AbortSignal,
    former?: Digest,
  ): Promise<LayerInfo> {
    const { blobs } = this.#layout;
    const batches = batchesOf(entries);
    const first = await batches.next();
    const info = await this.make(
      (tarPath, indexPath) => ({ kind: 'write', tarPath, indexPath, blobs, former: former && this.#filesOf(former) }),
      first.done ? batches : startingWith(first.value, batches),
      { signal, small: first.done === true || isSmall(first.value) },
    );
    this.#secureLater(info.diffId);
    return info;
  }

  #filesOf(diffId: Digest): FormerFiles {
    return { diffId, tarPath: this.#blobs.path(diffId), indexPath: `${layerPath(this.#layout, diffId)}/index` };
  }

  #temporaryFiles(): { readonly tarPath: string; readonly indexPath: string } {
    return { tarPath: this.#holder.temporaryPath('tar'), indexPath: this.#holder.temporaryPath('index') };
  }

  async amend(former: Digest, entries: readonly LayerEntry[], signal?: AbortSignal): Promise<LayerInfo | undefined> {
    const files = this.#temporaryFiles();
    const job = {
      former: this.#filesOf(former),
      stamp: this.#factsNow(former)?.stamp,
      ...files,
      blobs: this.#layout.blobs,
    };
    return amendInPool(this.#pool, job, entries, signal, (made) => this.#place(made, files));
  }

  stage(entries: Iterable<LayerEntry>, onDigests: (digests: Uint8Array) => void, signal?: AbortSignal): StagedLayer {
    const files = this.#temporaryFiles();
    const job = { kind: 'write', ...files, blobs: this.#layout.blobs, former: undefined, digests: true } as const;
    const run = (onRead: () => void): Promise<MadeLayer | undefined> =>
      this.#pool.run(job, { batches: batchesOf(entries), signal, onDigests, onRead });
    return stageLayer(this.#layout.root, files, run, (made) => this.#place(made, files));
  }

  async #place({ diffId, size }: MadeLayer, files: Made): Promise<LayerInfo> {
    await this.#install(diffId, size, files, false);
    this.#secureLater(diffId);
    return { diffId, size, compressed: await this.#compressed(diffId) };
  }

  /** Runs a job that makes a layer, and puts tar and index in their places. */
  async make(
    job: (tarPath: string, indexPath: string) => Exclude<Job, { kind: 'digest' | 'compress' }>,
    batches: AsyncIterable<EntryBatch> | undefined,
    options: MakeOptions = {},
  ): Promise<LayerInfo> {
    const { tarPath, indexPath } = this.#temporaryFiles();
    try {
      const made = await this.#pool.run(job(tarPath, indexPath), batches ? { ...options, batches } : options);
      if (!made) throw new Error('the job made no layer');
      if (options.sync) await Promise.all([syncData(tarPath), syncData(indexPath)]);
      await this.#install(made.diffId, made.size, { tarPath, indexPath }, options.sync ?? false);
      return { diffId: made.diffId, size: made.size, compressed: await this.#compressed(made.diffId) };
    } catch (error) {
      await Promise.all([rm(tarPath, { force: true }), rm(indexPath, { force: true })]);
      throw writeFailure(error, this.#layout.root);
    }
  }

  /**
   * Puts a layer's files in their places. The facts of one that is not SYNCED come first and say so: no power cut leaves its tar
   * without them. What is there already is never replaced: a name may promise it.
   */
  async #install(diffId: Digest, size: number, { tarPath, indexPath }: Made, synced: boolean): Promise<void> {
    const folder = layerPath(this.#layout, diffId);
    if (tarPath !== undefined && this.#sizeNow(diffId) === size) {
      await Promise.all([rm(tarPath), rm(indexPath)]);
      return;
    }
    makeFolderNow(folder, 0o700);
    const { size: index } = await stat(indexPath);
    await this.#writeFacts(diffId, { size, index, ...(!synced && { boot: bootId() }) });
    await rename(indexPath, `${folder}/index`);
    if (tarPath !== undefined) await placeTar(tarPath, this.#blobs.path(diffId), synced);
  }

  #writeFacts(diffId: Digest, facts: LayerFacts): Promise<void> {
    const path = `${layerPath(this.#layout, diffId)}/info`;
    return writeFileWhole(path, JSON.stringify(facts), this.#holder.temporaryPath('info'));
  }

  /** Brings a layer to the disk, where it is not yet, and notes that. One that is not there is left out. */
  async secure(diffId: Digest): Promise<void> {
    const facts = this.#factsNow(diffId);
    if (facts?.boot === undefined || this.#sizeNow(diffId) === undefined) return;
    const path = this.#blobs.path(diffId);
    try {
      await Promise.all([syncData(path), syncData(`${layerPath(this.#layout, diffId)}/index`)]);
      await this.#writeFacts(diffId, { size: facts.size, index: facts.index, stamp: stampOf(path) });
    } catch (error) {
      // Collected meanwhile.
      if (errnoOf(error) !== 'ENOENT') throw writeFailure(error, path);
    }
  }

  /** The same while the build goes on; `settled` waits for it. */
  #secureLater(diffId: Digest): void {
    const done = this.secure(diffId);
    // Reported by `settled`.
    done.catch(() => undefined);
    this.#syncing.add(done);
    void done.then(
      () => this.#syncing.delete(done),
      () => undefined,
    );
  }

  /** Resolves when all that was written is on the disk. */
  async settled(): Promise<void> {
    await Promise.all(this.#syncing);
  }

  async import(
    diffId: Digest,
    blob: Descriptor,
    fetch: (signal?: AbortSignal) => ByteStream,
    signal?: AbortSignal,
  ): Promise<LayerInfo> {
    const key = `${diffId} ${blob.digest}`;
    for (;;) {
      const running = this.#imports.get(key);
      if (!running) break;
      try {
        return await running;
      } catch (error) {
        // Whoever began it has given up; we have not.
        if (!isStrakeError(error, 'CANCELLED') || signal?.aborted) throw error;
      }
    }
    const task = this.#import(diffId, blob, fetch, signal);
    this.#imports.set(key, task);
    try {
      return await task;
    } finally {
      this.#imports.delete(key);
    }
  }

  async #import(
    diffId: Digest,
    blob: Descriptor,
    fetch: (signal?: AbortSignal) => ByteStream,
    signal: AbortSignal | undefined,
  ): Promise<LayerInfo> {
    // A layer that is known says nothing of a blob that only claims to hold it: that one is unpacked and compared.
    const known = isForm(this.#layout, diffId, blob.digest) ? await this.info(diffId) : undefined;
    if (known) return known;
    if ((await this.#blobs.size(blob.digest)) !== blob.size) await this.#blobs.put(fetch(signal), blob, signal);
    const plain = blob.digest === diffId;
    const tarPath = plain ? undefined : this.#holder.temporaryPath('tar');
    const indexPath = this.#holder.temporaryPath('index');
    try {
      const job = { diffId, mediaType: blob.mediaType, blobPath: this.#blobs.path(blob.digest), tarPath };
      const made = await this.#pool.run({ kind: 'import', job, indexPath }, { signal });
      await syncData(indexPath);
      await this.#install(diffId, made?.size ?? 0, { tarPath, indexPath }, true);
    } catch (error) {
      await rm(indexPath, { force: true });
      if (tarPath !== undefined) await rm(tarPath, { force: true });
      throw writeFailure(error, this.#layout.root);
    }
    if (!plain) await this.addCompressed(diffId, blob);
    const info = await this.info(diffId);
    if (!info) throw layerNotFound(diffId);
    return info;
  }

  /** The index of a usable layer. @throws StrakeError `LAYER_NOT_FOUND` */
  index(diffId: Digest): LayerIndex {
    let index = this.#indexes.get(diffId);
    if (!index) {
      try {
        index = loadIndex(diffId, `${layerPath(this.#layout, diffId)}/index`);
      } catch (error) {
        const missing =
          error instanceof RangeError || (error instanceof Error && 'code' in error && error.code === 'ENOENT');
        throw missing ? layerNotFound(diffId) : error;
      }
      this.#indexes.add(diffId, index);
    }
    return index;
  }

  /** A build, or another use of the store, begins: what none of the last ones has asked for need not stay in memory. */
  nextUse(): void {
    this.#indexes.nextUse();
  }

  view(chain: readonly (Digest | LayerOutline)[]): Promise<TreeView> {
    return Promise.resolve().then(() => {
      const ids = chain.map((one) => (typeof one === 'string' ? one : one.id));
      const indexes = chain.map((one) => (typeof one === 'string' ? this.index(one) : loadIndex(one.id, one.index)));
      return new MergedView(ids, indexes, this.#blobs);
    });
  }

  tar(diffId: Digest): ByteStream {
    return this.#blobs.open(diffId);
  }

  compress(diffId: Digest, compression: 'gzip' | 'zstd', signal?: AbortSignal, level?: number): Promise<Descriptor> {
    return this.#compressions.compress(diffId, compression, signal, level);
  }

  compressing(
    diffId: Digest,
    compression: 'gzip' | 'zstd',
    signal?: AbortSignal,
    level?: number,
  ): Promise<GrowingLayer | undefined> {
    return this.#compressions.compressing(diffId, compression, signal, level);
  }

  homes(diffId: Digest, digest: Digest): Promise<readonly string[]> {
    return this.#homes.list(diffId, digest);
  }

  addHome(diffId: Digest, digest: Digest, repository: string): Promise<void> {
    return this.#homes.add(diffId, digest, repository);
  }

  addCompressed(diffId: Digest, blob: Descriptor): Promise<void> {
    return addForm(this.#layout, this.#holder, diffId, blob);
  }
}
