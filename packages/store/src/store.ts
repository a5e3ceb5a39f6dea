import { readFileSync } from 'node:fs';
import { lstat, mkdir, rm } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';

import { errnoOf, makeFolders, StrakeError, throwIfAborted, type ByteStream, type Digest } from '@strake/core';

import { FileBlobs } from './blobs.js';
import { CacheMounts } from './cache-mounts.js';
import { digestInPieces } from './digest-files.js';
import { storeDenied, storeVersion } from './errors.js';
import { randomName, readWhole, syncFolder, unlessMissing, writeFileWhole } from './files.js';
import type { Collector, CollectOptions } from './gc/collect.js';
import { UsageGate } from './gc/gate.js';
import type { Collected, CollectionLimits, Inventory } from './gc/types.js';
import { leaseOf, OwnHolder } from './holders.js';
import { FileJournal } from './journal.js';
import { FileLayers } from './layer/layers.js';
import {
  blobPath,
  FORMAT_VERSION,
  fileNameOf,
  layerInfoPath,
  notePath,
  recordPath,
  referencePath,
  storeLayout,
  type StoreLayout,
} from './layout.js';
import { findLeftovers, removeLeftovers } from './leftovers.js';
import { Locks } from './locks.js';
import { noteBoot, recoverFromPowerCut } from './power-cut.js';
import { FileRecords } from './records.js';
import { FileReferences } from './references.js';
import type { Archive, ContextNotes, Lease, Leftover, SizedPath, Store, StoredFile } from './types.js';
import { WorkerPool } from './worker-pool.js';

/** What {@link openStore} takes. */
export interface StoreOptions {
  /** The store's folder, absolute; made where it is missing. */
  readonly root: string;
  /** The script of the worker threads; default: `worker.js` beside this module. A bundle has it elsewhere. */
  readonly workerUrl?: URL | undefined;
  /** Worker threads at most; default: the number of cores, at least 2. */
  readonly workers?: number | undefined;
  /**
   * `holder` of the store of the process that this one ends with: the builder's, for its agent. Processes of other pid
   * namespaces cannot be seen from outside; this one lives as long as that does.
   */
  readonly parent?: string | undefined;
  /** Bytes of layers' indexes that stay in memory at most; default 96 MiB. */
  readonly indexMemory?: number | undefined;
}

/** The store on disk. */
export class FileStore implements Store {
  readonly root: string;
  readonly blobs: FileBlobs;
  readonly layers: FileLayers;
  readonly references: FileReferences;
  readonly records: FileRecords;
  readonly journal: FileJournal;
  readonly cacheMounts: CacheMounts;
  /** For this package's snapshotters. */
  readonly layout: StoreLayout;
  readonly own: OwnHolder;
  readonly pool: WorkerPool;
  readonly #locks: Locks;
  readonly #gate: UsageGate;

  constructor(layout: StoreLayout, options: StoreOptions) {
    this.layout = layout;
    this.root = layout.root;
    this.own = new OwnHolder(layout, options.parent);
    this.pool = new WorkerPool(options.workerUrl ?? new URL('./worker.js', import.meta.url), options.workers);
    this.blobs = new FileBlobs(layout, this.own);
    this.layers = new FileLayers(layout, this.own, this.blobs, this.pool, options.indexMemory);
    this.references = new FileReferences(layout, this.own, (image) => this.#secure(image));
    this.records = new FileRecords(layout, this.own);
    this.journal = new FileJournal(layout, this.own);
    this.cacheMounts = new CacheMounts(layout, this.own);
    this.#locks = new Locks(layout);
    this.#gate = new UsageGate(layout, this.own, this.#locks);
  }

  get holder(): string {
    return this.own.id;
  }

  /** Brings an image to the disk. */
  async #secure(image: Digest): Promise<void> {
    await this.layers.settled();
    const { imageContent } = await import('./gc/documents.js');
    const { chains } = await imageContent(this.blobs, image);
    // Written by others, or by a process that was killed: named here for the first time.
    for (const diffId of new Set(chains.flat())) await this.layers.secure(diffId);
    await syncFolder(this.layout.blobs);
  }

  contextNotes(context: string): ContextNotes {
    const path = `${this.layout.contexts}/${fileNameOf(context)}`;
    return {
      read: () => readWhole(path),
      write: (chunks) => writeFileWhole(path, chunks, this.own.temporaryPath('digests')),
    };
  }

  fileOf(what: StoredFile): string {
    if ('blob' in what) return blobPath(this.layout, what.blob);
    if ('layer' in what) return layerInfoPath(this.layout, what.layer);
    if ('record' in what) return recordPath(this.layout, what.record);
    if ('name' in what) return referencePath(this.layout, what.name);
    return notePath(this.layout, what.note);
  }

  digestFiles(
    root: string,
    files: Iterable<SizedPath>,
    found: (index: number, digest: Uint8Array | undefined) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    return digestInPieces(root, files, found, (job) => this.pool.run(job, { signal }), this.pool.size);
  }

  async archive(tar: ByteStream, signal?: AbortSignal): Promise<Archive> {
    const { readArchive } = await import('./archive.js');
    return readArchive(this.blobs, tar, signal);
  }

  async temporary(prefix: string): Promise<{ readonly path: string; remove(): Promise<void> }> {
    const path = this.own.temporaryPath(prefix.replace(/[^a-z0-9-]/gi, '-').slice(0, 20));
    await mkdir(path, { mode: 0o700 });
    return { path, remove: () => rm(path, { recursive: true, force: true }) };
  }

  async lease(what: readonly string[]): Promise<Lease> {
    return Promise.resolve(leaseOf(this.own.hold(what)));
  }

  use(what: string, signal?: AbortSignal): Promise<Lease> {
    this.layers.nextUse();
    return this.#gate.use(what, signal);
  }

  async inventory(): Promise<Inventory> {
    const { takeInventory } = await import('./gc/inventory.js');
    return takeInventory(this);
  }

  async measureNotes(): Promise<{ readonly count: number; readonly size: number }> {
    const { measureJournal } = await import('./gc/journal.js');
    return measureJournal(this.layout);
  }

  /** Loaded when it is needed: no cached build does. */
  async #collector(): Promise<Collector> {
    const { Collector } = await import('./gc/collect.js');
    return new Collector(this, this.#gate);
  }

  async collect(options: CollectOptions): Promise<Collected> {
    return (await this.#collector()).collect(options);
  }

  async keepWithin(
    limits: CollectionLimits,
    removeTree: (path: string) => Promise<void>,
    now: number,
    signal?: AbortSignal,
  ): Promise<Collected | undefined> {
    return (await this.#collector()).keepWithin(limits, removeTree, now, signal);
  }

  async defaultLimits(): Promise<CollectionLimits> {
    const { defaultLimits } = await import('./gc/collect.js');
    return defaultLimits(this.root);
  }

  async removeTree(path: string): Promise<void> {
    if (await unlessMissing(lstat(path))) await this.pool.run({ kind: 'remove', path });
  }

  lock(name: string, signal?: AbortSignal): Promise<Lease> {
    return this.#locks.acquire(name, signal);
  }

  tryLock(name: string): Promise<Lease | undefined> {
    return this.#locks.tryAcquire(name);
  }

  findLeftovers(): Promise<readonly Leftover[]> {
    return findLeftovers(this.layout, this.own.id);
  }

  removeLeftovers(): Promise<readonly Leftover[]> {
    return removeLeftovers(this.layout, this.own.id);
  }

  async close(): Promise<void> {
    await this.pool.close();
    try {
      await this.layers.settled();
      this.records.flush();
    } finally {
      this.own.close();
    }
  }
}

/** What stands in the store's file of the format version; undefined where there is no store. */
function formatNow(layout: StoreLayout): string | undefined {
  try {
    return readFileSync(layout.format, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** Makes the folders of a new store, or checks the version of an old one. */
async function prepareFolders(layout: StoreLayout): Promise<void> {
  const version = formatNow(layout);
  if (version !== undefined) {
    if (version.trim() !== String(FORMAT_VERSION)) throw storeVersion(layout.root, version.trim());
    return;
  }
  const { root, blobs, layers, refs, cache, contexts, mounts, snapshots, leases, locks, tmp } = layout;
  // Closed to others: setuid files of images lie in here.
  await makeFolders(root, 0o700);
  await Promise.all(
    [blobs, layers, refs, cache, contexts, mounts, snapshots, leases, locks, tmp].map((path) =>
      makeFolders(path, 0o700),
    ),
  );
  // Written last: it says that all folders are there. Two processes may do so at once.
  for (let attempt = 1; ; attempt++) {
    try {
      const temporary = `${tmp}/format.${randomName(8)}`;
      await noteBoot(layout, `${tmp}/boot.${randomName(8)}`);
      await syncFolder(dirname(blobs));
      await writeFileWhole(layout.format, `${FORMAT_VERSION}\n`, temporary, { durable: true });
      // A folder that others own need not be readable.
      await unlessMissing(syncFolder(dirname(root)), ['EACCES', 'EPERM']);
      return;
    } catch (error) {
      // Somebody who cleans up has taken it for a leftover: there is no lease yet that says otherwise.
      if (errnoOf(error) !== 'ENOENT' || attempt === 9) throw error;
    }
  }
}

/**
 * Opens the store at `root`, which is made where it is missing. What processes that were killed have left behind is removed.
 * Loads no native code. @throws StrakeError `STORE_VERSION`, `STORE_DENIED`, `DISK_FULL`
 */
export async function openStore(options: StoreOptions, signal?: AbortSignal): Promise<FileStore> {
  throwIfAborted(signal);
  if (!isAbsolute(options.root)) throw storeDenied(options.root, new Error('its path is not absolute'));
  const layout = storeLayout(options.root);
  try {
    await prepareFolders(layout);
    const store = new FileStore(layout, options);
    await removeLeftovers(layout, store.own.id, { quick: true });
    await recoverFromPowerCut(layout, store.own, () => new Locks(layout));
    return store;
  } catch (error) {
    if (error instanceof StrakeError || errnoOf(error) === undefined) throw error;
    throw storeDenied(options.root, error);
  }
}
