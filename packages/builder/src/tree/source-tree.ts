import type { Digest } from '@strake/core';
import type { ContentSource, EntryFacts } from '@strake/store';

/** A path of a tree that COPY, ADD or a mount reads from. A hard link is shown as the file that it is. */
export interface SourceEntry extends EntryFacts {
  /** Equal for all names of one file. */
  readonly inode?: string | undefined;
}

/**
 * A file tree to copy from: a local context (what its ignore file hides is not there), or the layers of a stage or an image.
 * Paths relative to the root without leading slash; '' is the root.
 */
export interface SourceTree {
  /** The entry at exactly this path; links are not followed. */
  lookup(path: string): SourceEntry | undefined;
  /** Names in a folder, sorted by bytes. */
  list(path: string): readonly string[];
  /** The path with all links followed inside the root; with `nofollow` not the last one. */
  resolve(path: string, options?: { readonly nofollow?: boolean }): string;
  /** sha256 of each file among ENTRIES, by path. Remembered from earlier builds where that is safe. */
  digests(entries: readonly SourceEntry[], signal?: AbortSignal): Promise<ReadonlyMap<string, Digest>>;
  /** How the content of a file is put into a layer. DIGEST: what its content must have. */
  source(entry: SourceEntry, digest?: Digest): ContentSource;
  /** The content of a file, for ADD's archives. */
  read(entry: SourceEntry): AsyncIterable<Uint8Array>;
}
