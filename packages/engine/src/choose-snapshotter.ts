import { StrakeError } from '@strake/core';
import { overlayFailure } from '@strake/runtime';

/** How file trees of steps are made, and why so. */
export interface SnapshotterChoice {
  readonly kind: 'overlay' | 'copy';
  /** In one line. */
  readonly reason: string;
  /** What would allow overlays, where there could be some. */
  readonly hint?: string | undefined;
}

/**
 * Overlay where it can be mounted and the executor takes mounts, else copies. SCRATCH: a folder on the store's file system.
 * CACHEFILE: what remembers that it can be mounted, on the same file system. Must be called in the agent.
 * @throws StrakeError `SNAPSHOTTER_UNAVAILABLE` where overlay was asked for and is not possible
 */
export async function chooseSnapshotter(
  asked: 'auto' | SnapshotterChoice['kind'],
  executor: 'oci' | 'native' | 'chroot',
  scratch: string,
  cacheFile: string | undefined,
): Promise<SnapshotterChoice> {
  if (asked === 'copy') return { kind: 'copy', reason: 'asked for' };
  const failure =
    executor === 'chroot'
      ? 'nothing can be mounted with the chroot isolation'
      : await overlayFailure(scratch, cacheFile);
  if (failure === undefined) return { kind: 'overlay', reason: 'an overlay was mounted' };
  if (asked === 'auto') {
    const hint = 'Keep the store on ext4, xfs or btrfs: --root FOLDER, or STRAKE_ROOT; in a container, on a volume.';
    return { kind: 'copy', reason: `no overlay: ${failure}`, ...(executor === 'chroot' ? {} : { hint }) };
  }
  throw new StrakeError({
    code: 'SNAPSHOTTER_UNAVAILABLE',
    message: `overlay snapshots are not possible here: ${failure}`,
    hint: 'Leave --snapshotter away, or use copy: strake doctor tells what it depends on.',
  });
}
