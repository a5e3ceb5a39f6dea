import type { Owner } from '../copy/owner.js';
import { FileTable } from '../tree/file-table.js';
import { LocalTree } from '../tree/local-tree.js';
import { TreeMemory } from '../tree/tree-memory.js';
import type { Witness } from '../witness.js';

export interface TemporaryTreeOptions {
  /** By path, where they are not 0:0. */
  readonly owners?: ReadonlyMap<string, Owner> | undefined;
  /** As of a {@link LocalTree}. */
  readonly timedRoot?: boolean | undefined;
  /** Whether what is read of it can be told afterwards. */
  readonly noted?: boolean | undefined;
  readonly witness?: Witness | undefined;
}

/** A folder that is gone after the build, or looked at once, as a tree: no digest of it is remembered, no extended attribute of it is meant. */
export function temporaryTree(
  root: string,
  { owners, timedRoot, noted, witness }: TemporaryTreeOptions = {},
): LocalTree {
  const memory = noted ? new TreeMemory() : undefined;
  return new LocalTree({ root, owners, timedRoot, table: new FileTable(), memory, xattrs: () => undefined, witness });
}
