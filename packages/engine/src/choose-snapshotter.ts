import { StrakeError } from '@strake/core';

/** How file trees of steps are made. */
export interface SnapshotterChoice {
  readonly kind: 'overlay' | 'copy';
  /** Whether the agent needs a user namespace of its own. */
  readonly userNamespace: boolean;
}

/**
 * Root works as it is, everyone else in a user namespace.
 * @throws StrakeError `SNAPSHOTTER_UNAVAILABLE`
 */
export function chooseSnapshotter(asked: 'auto' | 'overlay' | 'copy'): SnapshotterChoice {
  const userNamespace = process.getuid?.() !== 0;
  if (asked === 'copy') {
    throw new StrakeError({
      code: 'SNAPSHOTTER_UNAVAILABLE',
      message: 'copy snapshots are not there yet',
      hint: 'Leave --snapshotter away, or use overlay.',
    });
  }
  return { kind: 'overlay', userNamespace };
}
