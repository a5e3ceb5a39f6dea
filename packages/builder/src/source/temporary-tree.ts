import type { DigestCache } from '@strake/store';

import type { Owner } from '../copy/owner.js';
import { LocalTree } from '../tree/local-tree.js';

/** Remembers no digests. */
export const FORGETFUL: DigestCache = {
  get: () => undefined,
  set: () => undefined,
  forget: () => undefined,
  isPlain: () => true,
  setPlain: () => undefined,
  save: () => Promise.resolve(),
};

/**
 * A folder that is gone after the build as a tree: no digest of it is remembered, no extended attribute of it is meant. OWNERS: by
 * path, where they are not 0:0.
 */
export function temporaryTree(root: string, owners?: ReadonlyMap<string, Owner>): LocalTree {
  return new LocalTree({ root, owners, remembered: FORGETFUL, xattrs: () => undefined });
}
