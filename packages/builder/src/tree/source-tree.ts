import type { Digest } from '@strake/core';
import type { ContentSource, EntryFacts } from '@strake/store';

import type { SelectionMemory } from './remembered-selections.js';

/** A path of a tree that COPY, ADD or a mount reads from. A hard link is shown as the file that it is. */
export interface SourceEntry extends EntryFacts {
  /** Equal for all names of one file. */
  readonly inode?: string | undefined;
  /** sha256 of a file's content, where the tree knows it from the start. */
  readonly digest?: Digest | undefined;
}

/**
 * A file tree to copy from: a local context (what its ignore file hides is not there), or the layers of a stage or an image.
 * Paths relative to the root without leading slash; '' is the root.
 */
export interface SourceTree {
  /** The entry at exactly this path; links are not followed. */
  lookup(path: string): SourceEntry | undefined;
  /** As `lookup`, but what is there now; of a tree that remembers what it has looked at, which this does not change. */
  lookNow?(path: string): SourceEntry | undefined;
  /** Names in a folder, sorted by bytes. */
  list(path: string): readonly string[];
  /** The entries in a folder, sorted by bytes: each is looked at when it is asked for. */
  children(path: string): Iterable<SourceEntry>;
  /** The path with all links followed inside the root; with `nofollow` not the last one. */
  resolve(path: string, options?: { readonly nofollow?: boolean }): string;
  /** Learns the sha256 of each file among ENTRIES. Remembered from earlier builds where that is safe. */
  learn(entries: Iterable<SourceEntry>, signal?: AbortSignal): Promise<void>;
  /** sha256 of a file that `learn` was asked about; undefined for all but files. */
  digest(entry: SourceEntry): Digest | undefined;
  /** How the content of a file is put into a layer; it must have the digest that was learned. */
  source(entry: SourceEntry): ContentSource;
  /** The content of a file, for ADD's archives. */
  read(entry: SourceEntry): AsyncIterable<Uint8Array>;
  /** Whether the root's time is said with the tree, as that of a commit; else a folder that it becomes has the time of the build. */
  readonly timedRoot?: boolean | undefined;
  /** What names these files across builds: the folder of a local context. */
  readonly place?: string | undefined;
  /** A number that the entry can be had back for: trees of many files have it, so that none must be kept as an object. */
  numberOf?(entry: SourceEntry): number;
  entryOf?(number: number): SourceEntry;
  /** The time of an entry by its number, in seconds. */
  secondsOf?(number: number): number;
  /** How many of these are files, and how many of them, of how many bytes, have digests that are not known. */
  unlearned?(numbers: Iterable<number>): { readonly files: number; readonly count: number; readonly bytes: number };
  /** Takes over a file's digest (32 bytes) that was learned while its content was copied. */
  setLearned?(number: number, digest: Uint8Array): void;
  /** As `learn`, of entries by their numbers. */
  learnNumbers?(numbers: Iterable<number>, signal?: AbortSignal): Promise<void>;
  /**
   * What was selected under NAME in an earlier build, by numbers, where it can be said without listing any folder; with a digest,
   * where all of it is as it was.
   */
  recall?(name: string): { readonly rows: Uint32Array; readonly digest: Digest | undefined } | undefined;
  /** What it remembers of what was selected under NAME, where it does. */
  selections?(name: string): SelectionMemory | undefined;
}
