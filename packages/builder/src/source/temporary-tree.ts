import type { DigestCache } from '@strake/store';

import { LocalTree } from '../tree/local-tree.js';

const FORGETFUL: DigestCache = {
  get: () => undefined,
  set: () => undefined,
  isPlain: () => true,
  setPlain: () => undefined,
  save: () => Promise.resolve(),
};

/** A folder that is gone after the build as a tree: no digest of it is remembered, no extended attribute of it is meant. */
export function temporaryTree(root: string): LocalTree {
  return new LocalTree({ root, remembered: FORGETFUL, xattrs: () => undefined });
}
