import type { Owner } from '../copy/owner.js';
import { FileTable } from '../tree/file-table.js';
import { LocalTree } from '../tree/local-tree.js';
import { TreeMemory } from '../tree/tree-memory.js';

/**
 * A folder that is gone after the build as a tree: no digest of it is remembered, no extended attribute of it is meant. OWNERS: by
 * path, where they are not 0:0. NOTED: what is read of it can be told.
 */
export function temporaryTree(root: string, owners?: ReadonlyMap<string, Owner>, noted = false): LocalTree {
  const memory = noted ? new TreeMemory() : undefined;
  return new LocalTree({ root, owners, table: new FileTable(), memory, xattrs: () => undefined });
}
