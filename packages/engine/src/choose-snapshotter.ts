import { StrakeError } from '@strake/core';

import { findStepIds, type StepIds } from './user-ids.js';

/** How file trees of steps are made. */
export interface SnapshotterChoice {
  readonly kind: 'overlay' | 'copy';
  /** Which ids its files can have: the agent needs a user namespace of its own but for `all`. */
  readonly ids: StepIds;
}

/**
 * Root works as it is, everyone else in a user namespace.
 * @throws StrakeError `SNAPSHOTTER_UNAVAILABLE`
 */
export function chooseSnapshotter(asked: 'auto' | 'overlay' | 'copy'): SnapshotterChoice {
  if (asked === 'copy') {
    throw new StrakeError({
      code: 'SNAPSHOTTER_UNAVAILABLE',
      message: 'copy snapshots are not there yet',
      hint: 'Leave --snapshotter away, or use overlay.',
    });
  }
  return { kind: 'overlay', ids: findStepIds().ids };
}
