import fs from 'node:fs';
import path from 'node:path';

import { errnoOf, isStrakeError, makeFolderNow } from '@strake/core';
import { getXattr, unmount, UnmountFlag } from '@strake/sys';

import { mountTree } from './mount-points.js';
import { removeTree } from './remove-tree.js';
import { ProbeCache } from './probe-cache.js';
import { inUserNamespace } from './user-namespace.js';

/**
 * Why no overlay can be mounted with its changes below SCRATCH, in one line; undefined where it can. Actually mounts one, removes a
 * file and replaces a folder in it: not every file system can hold the marks that overlayfs leaves then. Must be called in a
 * mount namespace of one's own.
 */
export function probeOverlay(scratch: string): string | undefined {
  makeFolderNow(scratch);
  const own = fs.mkdtempSync(path.join(scratch, 'overlay-'));
  const [lower, upper, work, merged] = ['l', 'u', 'w', 'm'].map((name) => path.join(own, name)) as [
    string,
    string,
    string,
    string,
  ];
  const mark = inUserNamespace() ? 'user' : 'trusted';
  let mounted = false;
  try {
    for (const folder of [lower, upper, work, merged]) fs.mkdirSync(folder);
    fs.mkdirSync(path.join(lower, 'folder/old'), { recursive: true });
    const options = inUserNamespace() ? ['userxattr'] : [];
    mountTree({ kind: 'overlay', lower: [lower], upper, work, options }, merged, lower, 0);
    mounted = true;
    fs.rmSync(path.join(merged, 'folder'), { recursive: true });
    fs.mkdirSync(path.join(merged, 'folder'));
    const opaque = getXattr(path.join(upper, 'folder'), `${mark}.overlay.opaque`)?.toString();
    return opaque === 'y' ? undefined : 'the file system of the store keeps no extended attributes';
  } catch (error) {
    if (!isStrakeError(error) && errnoOf(error) === undefined) throw error;
    return (error as Error).message;
  } finally {
    if (mounted) unmount(merged, UnmountFlag.detach);
    removeTree(own);
  }
}

/** As {@link probeOverlay}, unless the cache file, which must lie on the same file system, knows that it can. */
export async function overlayFailure(scratch: string, cacheFile: string | undefined): Promise<string | undefined> {
  const cache = new ProbeCache(cacheFile);
  const folder = path.dirname(cacheFile ?? scratch);
  if ((await cache.get(folder, 'overlay')) !== undefined) return undefined;
  const failure = probeOverlay(scratch);
  if (failure === undefined) await cache.set(folder, 'overlay', 'an overlay was mounted');
  return failure;
}
