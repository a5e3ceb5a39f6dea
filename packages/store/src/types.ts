import type { ByteStream, Descriptor, Digest } from '@strake/core';

import type { ContentSource, EntryFacts, LayerEntry, Segments } from './entries.js';
import type { CollectOptions } from './gc/collect.js';
import type { Collected, CollectionLimits, Inventory } from './gc/types.js';
import type { LayerOutline } from './layer/layer-outline.js';
import type { StagedLayer } from './layer/staged-layer.js';

/** Content-addressed bytes on disk (`blobs/sha256/<hex>`). Every method is safe against other processes on the same store. */
export interface BlobStore {
  /** Size in bytes, or undefined where there is no such blob. */
  size(digest: Digest): Promise<number | undefined>;
  /** Absolute path of a blob that is there; its content never changes. For positioned reads. */
  path(digest: Digest): string;
  /** A part (`start` inclusive, `end` exclusive) or all of a blob. @throws StrakeError `BLOB_NOT_FOUND` */
  open(digest: Digest, range?: { readonly start?: number; readonly end?: number }): ByteStream;
  /** A small blob in memory. @throws StrakeError `BLOB_NOT_FOUND`, `TOO_LARGE` */
  read(digest: Digest, limit: number): Promise<Buffer>;
  /** Stores a stream: temporary file, digest and size checked, rename. @throws StrakeError `DIGEST_MISMATCH`, `DISK_FULL` */
  put(
    content: ByteStream | Uint8Array | string,
    expected?: { readonly digest?: Digest; readonly size?: number },
    signal?: AbortSignal,
  ): Promise<{ readonly digest: Digest; readonly size: number }>;
}

/** What is known of a layer. */
export interface LayerInfo {
  readonly diffId: Digest;
  /** Bytes of the uncompressed tar. */
  readonly size: number;
  /** Compressed forms that are in the store. */
  readonly compressed: readonly Descriptor[];
}

/** A path in the merged view of a chain of layers. */
export interface ViewEntry extends EntryFacts {
  /** The layer that the entry comes from. */
  readonly layer: Digest;
  /** sha256 of a file's content; undefined for all but files. A hard link is shown as the file that it is (type `file`), with `inode` equal for all its names. */
  readonly digest?: Digest | undefined;
  /** Position of a file's content in the layer's uncompressed tar. */
  readonly offset?: number | undefined;
  /** What is stored from `offset` on, of a sparse file; undefined where it is simply the content. */
  readonly segments?: Segments | undefined;
  /** Identity of the file among hard links: `<diffId>:<path of the first name>`. */
  readonly inode?: string | undefined;
}

/**
 * The file tree of a chain of layers, read from their indexes: nothing is unpacked and the kernel resolves no path.
 * Paths as in {@link EntryFacts.path}. All methods are synchronous: the indexes are loaded when the view is made.
 */
export interface TreeView {
  readonly chain: readonly Digest[];
  /** The entry at exactly this path (links are not followed, parents must be folders), or undefined. '' is the root, always a directory. */
  lookup(path: string): ViewEntry | undefined;
  /** Names in a folder, sorted by bytes, and its entries; none where it is no folder. */
  list(path: string): readonly string[];
  children(path: string): Iterable<ViewEntry>;
  /**
   * The path with all links followed inside the root (`..` stops at the root), the last component too unless `nofollow`.
   * Missing components are kept as they are. @throws StrakeError `LINK_LOOP` after 255 links
   */
  resolve(path: string, options?: { readonly nofollow?: boolean }): string;
  /** The entry and all below it, parents before children, sorted by bytes within a folder. */
  walk(path: string): Iterable<ViewEntry>;
  /** The content of a file entry. */
  open(entry: ViewEntry): ByteStream;
  /** The content of a small file entry. @throws StrakeError `TOO_LARGE` */
  read(entry: ViewEntry, limit: number): Promise<Buffer>;
  /** How to put a file entry's content into another layer. */
  source(entry: ViewEntry): ContentSource;
}

/** The compressed form of a layer while it is being made. */
export interface GrowingLayer {
  /** The bytes from the first one on, as they are made: each time anew. */
  open(): ByteStream;
  /** Resolves as soon as all bytes are known, before they are on the disk; rejects where making them fails. */
  readonly whole: Promise<Descriptor>;
  /** Resolves when it is in the store. Nothing runs for it any more once this has settled. */
  readonly stored: Promise<Descriptor>;
}

/** Layers by diff ID: their tars, indexes, compressed forms. */
export interface LayerStore {
  info(diffId: Digest): Promise<LayerInfo | undefined>;
  /** Bytes of its tar, undefined where the layer is not there: a fraction of the work of `info`. */
  size(diffId: Digest): Promise<number | undefined>;
  /**
   * Writes a layer as an uncompressed tar (a blob whose digest is the diff ID) with its index, on a worker thread.
   * Entries come parents first; of entries with the same path the last one counts. FORMER: a layer that is likely to have many of
   * the files under the same paths: contents with the right digest are taken from it.
   * @throws StrakeError `SOURCE_CHANGED` where a content source no longer has the digest or size stated, `SOURCE_DENIED`,
   * `NAME_UNREPRESENTABLE` for names that a layer cannot have, `DISK_FULL`
   */
  write(
    entries: Iterable<LayerEntry> | AsyncIterable<LayerEntry>,
    signal?: AbortSignal,
    former?: Digest,
  ): Promise<LayerInfo>;
  /**
   * Writes FORMER anew with ENTRIES, files and folders, in the places of those with the same paths: as {@link write} would write all of
   * it, for a fraction of the work. Undefined where that cannot be done. @throws StrakeError as {@link write} does
   */
  amend(former: Digest, entries: readonly LayerEntry[], signal?: AbortSignal): Promise<LayerInfo | undefined>;
  /**
   * Makes a layer of an image usable: its blob (compressed or not, fetched with `fetch` where the store lacks it) is
   * decompressed, its diff ID checked, its entries validated as hostile input, its index written.
   * @throws StrakeError `LAYER_INVALID`, `DIGEST_MISMATCH`
   */
  import(
    diffId: Digest,
    blob: Descriptor,
    fetch: (signal?: AbortSignal) => ByteStream,
    signal?: AbortSignal,
  ): Promise<LayerInfo>;
  /**
   * Writes a layer as {@link write} does, but leaves it to the caller whether there is to be such a layer. ONDIGESTS is given the
   * sha256 of each file among the entries, 32 bytes each, in their order, as they are read.
   */
  stage(entries: Iterable<LayerEntry>, onDigests: (digests: Uint8Array) => void, signal?: AbortSignal): StagedLayer;
  /**
   * The merged view of layers that are usable, lowest first; where one is an outline, right only at the paths that this is about.
   * @throws StrakeError `LAYER_NOT_FOUND`
   */
  view(chain: readonly (Digest | LayerOutline)[]): Promise<TreeView>;
  /** The uncompressed tar of a layer. */
  tar(diffId: Digest): ByteStream;
  /** The layer's compressed form, made where there is none (once; the bytes are the same on every machine). */
  compress(diffId: Digest, compression: 'gzip' | 'zstd', signal?: AbortSignal, level?: number): Promise<Descriptor>;
  /** As `compress`, to be read meanwhile; undefined where the form is there already, or being made for somebody else's SIGNAL. */
  compressing(
    diffId: Digest,
    compression: 'gzip' | 'zstd',
    signal?: AbortSignal,
    level?: number,
  ): Promise<GrowingLayer | undefined>;
  /** Notes that BLOB is a compressed form of the layer. */
  addCompressed(diffId: Digest, blob: Descriptor): Promise<void>;
  /** Repositories (`registry/path`) that had the blob DIGEST of the layer, the one seen last first. */
  homes(diffId: Digest, digest: Digest): Promise<readonly string[]>;
  /** Notes that REPOSITORY has the blob DIGEST of the layer, which the store itself need not have. */
  addHome(diffId: Digest, digest: Digest, repository: string): Promise<void>;
}

/** A named image in the local store. `name` is canonical (core's canonicalName). */
export interface ImageRecord {
  readonly name: string;
  readonly target: Descriptor;
  /** Milliseconds since 1970. */
  readonly updated: number;
  /** Fetched from a registry under this name, not built or tagged here. */
  readonly pulled?: boolean | undefined;
}

/** Names of images. */
export interface ReferenceStore {
  get(name: string): Promise<ImageRecord | undefined>;
  list(): Promise<readonly ImageRecord[]>;
  set(name: string, target: Descriptor, options?: { readonly pulled?: boolean }): Promise<void>;
  remove(name: string): Promise<boolean>;
}

/** Small JSON documents by key: the solver's cache records (`cache/`). */
export interface RecordStore {
  get<T>(key: Digest): Promise<T | undefined>;
  /** Notes for garbage collection that the record was used. */
  touch(key: Digest): void;
  put(key: Digest, record: unknown): Promise<void>;
  remove(key: Digest): Promise<void>;
  list(): AsyncIterable<{ readonly key: Digest; readonly used: number; readonly record: unknown }>;
}

/** Notes about builds, by name: what explains the next one (`builds/`). Nothing depends on them. */
export interface Journal {
  /** Undefined where there is none. */
  read(name: string): Promise<unknown>;
  /** Facts live as long as a note has their digest in it. */
  write(name: string, note: unknown): Promise<void>;
  /** Facts of files that a digest stands for; undefined where they are not kept. */
  facts(digest: Digest): Promise<unknown>;
  hasFacts(digest: Digest): Promise<boolean>;
  writeFacts(digest: Digest, facts: unknown): Promise<void>;
}

/** A file to be read, and the bytes that it is thought to have. */
export interface SizedPath {
  readonly path: string;
  readonly size: number;
}

/** What is remembered of one context's files (`contexts/`), as bytes: losing it costs time and nothing else. */
export interface ContextNotes {
  /** Undefined where there are none. */
  read(): Promise<Buffer | undefined>;
  /** Replaces them whole. */
  write(chunks: Iterable<Uint8Array>): Promise<void>;
}

/** The folder of a cache mount that a step uses: it stays until it is released, also where another takes its place. */
export interface HeldCacheMount extends Lease {
  readonly fd: number;
  /** Whether another has taken its place. */
  isGivenUp(): boolean;
}

/** The folders of cache mounts. */
export interface CacheMountStore {
  /** The folder of a cache mount, made where it is new. */
  folder(id: string): Promise<string>;
  /** Whether a folder has what it starts from. */
  isFilled(path: string): Promise<boolean>;
  /** Puts a new folder, made ready by FILL, in place of another, which goes on for whoever holds it. One at a time. */
  replace(path: string, fill: (fresh: string) => Promise<void>): Promise<void>;
  /** Keeps a folder; undefined where there is none at this moment. */
  hold(path: string): HeldCacheMount | undefined;
  /** Paths of folders that were given up and that nobody holds: files in them may belong to others. */
  givenUp(): readonly string[];
}

/** Something that a crash left behind. */
export interface Leftover {
  /** Absolute path. */
  readonly path: string;
  /** What it is, for people. */
  readonly what: string;
  /** Whether files of other owners may be in it: then it takes the agent's `removeTree`. */
  readonly privileged: boolean;
}

/** An entry of an archive as it states itself: its name and link may hold `..` or begin with a slash. */
export interface ArchiveEntry extends Omit<EntryFacts, 'path'> {
  readonly name: string;
  /** Where the content is stored in the archive's blob. */
  readonly offset: number;
  readonly digest?: Digest | undefined;
  readonly segments?: Segments | undefined;
}

/** A tar that is not a layer. */
export interface Archive {
  /** The blob of the tar. */
  readonly blob: Digest;
  readonly entries: readonly ArchiveEntry[];
}

/** A lock or hold of this process, given back by `release` or by the process's end. */
export interface Lease {
  release(): Promise<void>;
}

/** One file of the store: a blob, what is known of a layer, a record, a name, a note of the journal. */
export type StoredFile =
  | { readonly blob: Digest }
  | { readonly layer: Digest }
  | { readonly record: Digest }
  | { readonly name: string }
  | { readonly note: string };

/** Everything on disk, opened. */
export interface Store {
  readonly root: string;
  /** This process's lease. An agent that ends with this process opens the store with it as `parent`. */
  readonly holder: string;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly references: ReferenceStore;
  readonly records: RecordStore;
  readonly journal: Journal;
  contextNotes(context: string): ContextNotes;
  /** Absolute path of a file, which need not be there: for who must know later whether it is still the same. */
  fileOf(what: StoredFile): string;
  /**
   * The sha256 of files below ROOT, read by worker threads; FOUND is told each file's place in FILES, and 32 bytes or, of what is
   * gone or no longer a file, nothing. @throws StrakeError `SOURCE_DENIED`, `CANCELLED`
   */
  digestFiles(
    root: string,
    files: Iterable<SizedPath>,
    found: (index: number, digest: Uint8Array | undefined) => void,
    signal?: AbortSignal,
  ): Promise<void>;
  /**
   * Stores a tar (not compressed) and lists its entries: at most half a million.
   * @throws StrakeError `LAYER_INVALID` for what is malformed, cut short or too large
   */
  archive(tar: ByteStream, signal?: AbortSignal): Promise<Archive>;
  readonly cacheMounts: CacheMountStore;
  /** A folder for temporary files on the store's file system, removed with the lease or, after a crash, by the next command. */
  temporary(prefix: string): Promise<{ readonly path: string; readonly remove: () => Promise<void> }>;
  /**
   * Keeps collections away from layers and blobs, with their compressed forms and unpacked trees, by digest. What nothing else
   * refers to must be under a lease of `use` when this is called.
   */
  lease(what: readonly string[]): Promise<Lease>;
  /**
   * Keeps all layers and blobs where they are, also those that nothing refers to yet, until the lease is released: for whoever
   * makes images or reads what no name holds.
   */
  use(what: string, signal?: AbortSignal): Promise<Lease>;
  /** All that is here, and what holds it. */
  inventory(): Promise<Inventory>;
  /** Files and bytes of the notes of builds. */
  measureNotes(): Promise<{ readonly count: number; readonly size: number }>;
  /** Removes parts of the cache and what nothing refers to. Never harms who has a lease of `use`. */
  collect(options: CollectOptions): Promise<Collected>;
  /** What a build does at its end: keeps the cache within limits; undefined where there was nothing to do. */
  keepWithin(
    limits: CollectionLimits,
    removeTree: (path: string) => Promise<void>,
    now: number,
    signal?: AbortSignal,
  ): Promise<Collected | undefined>;
  /** The limits of a store of this size by default; BuildKit's. */
  defaultLimits(): Promise<CollectionLimits>;
  /** Removes a folder of the store in a worker thread, with all that this process has the right to remove. */
  removeTree(path: string): Promise<void>;
  /** An exclusive lock between processes and within this one, for example of a step's key or a cache mount. */
  lock(name: string, signal?: AbortSignal): Promise<Lease>;
  /** The same without waiting: undefined where another holds it. */
  tryLock(name: string): Promise<Lease | undefined>;
  /** What processes that are gone have left in the store. */
  findLeftovers(): Promise<readonly Leftover[]>;
  /** Removes what `findLeftovers` finds, except what is privileged; returns what it removed. */
  removeLeftovers(): Promise<readonly Leftover[]>;
  /** Ends worker threads, gives leases back, waits until what was written is on the disk. */
  close(): Promise<void>;
}
