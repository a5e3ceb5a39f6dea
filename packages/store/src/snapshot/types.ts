import type { Digest } from '@strake/core';

import type { OutlinePath } from '../layer/layer-outline.js';
import type { LayerInfo } from '../types.js';

/** What must be mounted to see a file tree; see mount(8). */
export type MountSpec =
  | {
      readonly kind: 'overlay';
      /**
       * Topmost first. Folders `<root>/snapshots/<8 characters>`, at most 130 of them: what is longer than overlayfs (500
       * layers) or a page of mount options (4096 bytes) takes has been merged. With the folder `snapshots` as the working
       * directory, or in a link with a short path, all fit in one mount(2).
       */
      readonly lower: readonly string[];
      /** Absent for a read-only mount. */
      readonly upper?: string | undefined;
      readonly work?: string | undefined;
      /** Further mount options, for example `userxattr`. */
      readonly options: readonly string[];
    }
  | { readonly kind: 'bind'; readonly source: string; readonly readOnly: boolean };

/** A writable file tree on top of a chain, for one RUN. */
export interface Snapshot {
  readonly id: string;
  readonly mount: MountSpec;
}

/**
 * Unpacked trees and writable snapshots. Runs where mounts, ownership and device nodes are allowed: in the agent process.
 * Folders of a snapshot are written by its one user only.
 */
export interface Snapshotter {
  readonly name: 'overlay' | 'copy';
  /** A writable snapshot on PARENT, layers lowest first: diff IDs, or ids of frozen snapshots whose layers are still being written. */
  prepare(parent: readonly (Digest | { readonly snapshot: string })[], signal?: AbortSignal): Promise<Snapshot>;
  /** A read-only mount of a chain, for bind mounts. */
  mountReadOnly(chain: readonly (Digest | { readonly snapshot: string })[], signal?: AbortSignal): Promise<MountSpec>;
  /** No writing from here on; the snapshot may serve as a parent while `commit` reads it. */
  freeze(id: string): Promise<void>;
  /**
   * What a frozen snapshot has at PATHS and on the way there, as the bytes of the index of a layer whose files have no contents: for
   * whoever would else wait for its layer. Undefined where that cannot be told sooner.
   */
  outline(id: string, paths: readonly OutlinePath[]): Promise<Uint8Array | undefined>;
  /** Turns what was written on a frozen snapshot into a layer; its tree becomes the layer's unpacked tree. */
  commit(id: string, signal?: AbortSignal): Promise<LayerInfo>;
  /** Forgets a snapshot that will not be committed. */
  discard(id: string): Promise<void>;
  /** Removes a folder of the store whatever owners and modes its files have. */
  removeTree(path: string): Promise<void>;
  /** Removes what nobody will ask for again; to be called before the process ends. */
  close?(): Promise<void>;
}
