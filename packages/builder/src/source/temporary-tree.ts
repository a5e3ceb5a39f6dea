import { relative } from 'node:path';

import { FileTable } from '../tree/file-table.js';
import { LocalTree } from '../tree/local-tree.js';
import type { StatedFacts } from '../tree/local-tree-options.js';
import { TreeMemory } from '../tree/tree-memory.js';
import type { Witness } from '../witness.js';

/** What an archive says of a file that the file itself does not show. */
export interface Stated extends StatedFacts {
  /** Values as latin1 text. */
  readonly xattrs?: Readonly<Record<string, string>> | undefined;
}

export interface TemporaryTreeOptions {
  /** By path, where it is more than 0:0. */
  readonly stated?: ReadonlyMap<string, Stated> | undefined;
  /** As of a {@link LocalTree}. */
  readonly timedRoot?: boolean | undefined;
  /** Whether what is read of it can be told afterwards. */
  readonly noted?: boolean | undefined;
  readonly witness?: Witness | undefined;
}

/** A folder that is gone after the build, or looked at once, as a tree: no digest of it is remembered, no extended attribute of its files is meant. */
export function temporaryTree(
  root: string,
  { stated, timedRoot, noted, witness }: TemporaryTreeOptions = {},
): LocalTree {
  const memory = noted ? new TreeMemory() : undefined;
  const xattrs = (full: string): Stated['xattrs'] => stated?.get(relative(root, full))?.xattrs;
  return new LocalTree({ root, stated, timedRoot, table: new FileTable(), memory, xattrs, witness });
}
