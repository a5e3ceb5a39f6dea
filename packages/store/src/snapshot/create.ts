import { FileStore } from '../store.js';
import type { Store } from '../types.js';
import type { Snapshotter } from './types.js';
import { CopySnapshotter } from './copy.js';
import { OverlaySnapshotter } from './overlay.js';

/** What {@link createSnapshotter} takes. */
export interface SnapshotterOptions {
  /** As `openStore` gave it, in this process. */
  readonly store: Store;
  readonly kind: 'overlay' | 'copy';
  /** Whether this process is root in a user namespace only: overlay mounts then need `userxattr`. */
  readonly userNamespace: boolean;
}

/** A snapshotter for the process that has the privileges for it. Two of different kinds may use one store. */
export function createSnapshotter({ store, kind, userNamespace }: SnapshotterOptions): Snapshotter {
  if (!(store instanceof FileStore)) throw new TypeError('the store was not made by openStore');
  return kind === 'copy' ? new CopySnapshotter(store) : new OverlaySnapshotter(store, userNamespace);
}
