import type { SizedPath } from '@strake/store';

import type { Witness } from '../witness.js';
import type { FileTable } from './file-table.js';
import type { IgnoreRules } from './ignore.js';
import type { FolderLook } from './recall.js';
import type { StatedDevice } from './stat.js';
import type { TreeMemory } from './tree-memory.js';

/** What is said of a path that its file does not show. */
export interface StatedFacts {
  readonly uid: number;
  readonly gid: number;
  readonly device?: StatedDevice | undefined;
}

/** What a tree of a folder of this machine is made with. */
export interface LocalTreeOptions {
  /** Absolute path of the context, free of links. */
  readonly root: string;
  readonly ignore?: IgnoreRules | undefined;
  /** An archive's owners of paths, and plain files that stand for device nodes, where that is more than 0:0. */
  readonly stated?: ReadonlyMap<string, StatedFacts> | undefined;
  /** Its files, with what is remembered of them from earlier builds. */
  readonly table: FileTable;
  /** Keeps the table for the next build. */
  readonly keep?: ((table: FileTable) => Promise<void>) | undefined;
  /** Where what is looked at is kept for a next build; without it each question is one to the file system. */
  readonly memory?: TreeMemory | undefined;
  /** Digests of many files, in order; where it is missing, or there are few, they are read here. */
  readonly digestFiles?:
    | ((
        files: Iterable<SizedPath>,
        found: (index: number, digest: Uint8Array | undefined) => void,
        signal?: AbortSignal,
      ) => Promise<void>)
    | undefined;
  /** Extended attributes of a path that belong into a layer. */
  readonly xattrs: (path: string) => Readonly<Record<string, string>> | undefined;
  readonly timedRoot?: boolean | undefined;
  /** What is remembered of selections counts only for trees with the same one: the text of the ignore file. */
  readonly rules?: string | undefined;
  /** Looks at remembered files below a folder; without it nothing that was selected is recalled. */
  readonly openLook?: ((root: string) => FolderLook) | undefined;
  readonly witness?: Witness | undefined;
}
