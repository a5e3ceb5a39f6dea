import { writeFiles } from '@strake/builder';
import { isDigest } from '@strake/core';
import type { StepMount } from '@strake/builder';
import { requireOwner } from '@strake/runtime';
import type { Store } from '@strake/store';
import { chmod, chown } from 'node:fs/promises';

type CacheMount = Extract<StepMount, { readonly kind: 'cache' }>;

/**
 * Makes a cache mount's folder ready: a new one gets its mode and owner, or what `from=` has at its source.
 * One that was used before stays as it is, unless it is to be renewed: then another takes its place, and whoever uses the old one
 * keeps that. Runs in the agent: files may belong to anyone. Whether a folder was given up.
 */
async function prepareCacheFolder(
  mount: CacheMount,
  store: Store,
  renew: boolean,
  signal: AbortSignal,
): Promise<boolean> {
  const { folder, base, mode, uid, gid } = mount;
  if (!renew && (await store.cacheMounts.isFilled(folder))) return false;
  const lock = await store.lock(`fill ${folder}`, signal);
  try {
    if (!renew && (await store.cacheMounts.isFilled(folder))) return false;
    let root = { uid, gid, mode };
    await store.cacheMounts.replace(folder, async (fresh) => {
      if (base) {
        const view = await store.layers.view(base.chain.filter(isDigest));
        const from = base.path.replace(/^\/+/, '');
        const facts = view.lookup(from);
        if (facts?.type === 'directory') root = facts;
        await writeFiles(view, fresh, { from, owners: true, signal });
      }
      requireOwner(root, `the cache mount ${mount.target}`);
      await chown(fresh, root.uid, root.gid);
      await chmod(fresh, root.mode);
    });
    return true;
  } finally {
    await lock.release();
  }
}

/** A cache mount's folder, ready and kept until it is released. */
export async function openCacheFolder(
  mount: CacheMount,
  store: Store,
  removeTree: (path: string) => Promise<void>,
  signal: AbortSignal,
): Promise<{ readonly fd: number; release(): Promise<void> }> {
  for (let renew = mount.renew; ; renew = false) {
    if (await prepareCacheFolder(mount, store, renew, signal)) await removeGivenUp(store, removeTree);
    // Missing for the moment in which another build renews it.
    const held = store.cacheMounts.hold(mount.folder);
    if (held === undefined) continue;
    const release = async (): Promise<void> => {
      const isLast = held.isGivenUp();
      await held.release();
      if (isLast) await removeGivenUp(store, removeTree);
    };
    return { fd: held.fd, release };
  }
}

/** Removes folders that were given up once nobody uses them. What does not go stays for the next one, or for doctor. */
async function removeGivenUp(store: Store, removeTree: (path: string) => Promise<void>): Promise<void> {
  const lock = await store.lock('remove cache mounts');
  try {
    for (const path of store.cacheMounts.givenUp()) await removeTree(path).catch(() => undefined);
  } finally {
    await lock.release();
  }
}

/** Holds the folders of all cache mounts, whatever their sharing mode; in one order, so that no two wait for each other. */
export async function lockCaches(
  mounts: readonly StepMount[],
  store: Store,
  signal: AbortSignal,
): Promise<() => Promise<void>> {
  const folders = mounts.flatMap((mount) => (mount.kind === 'cache' ? [mount.folder] : []));
  const locks: { release(): Promise<void> }[] = [];
  const release = async (): Promise<void> => {
    for (const lock of locks.reverse()) await lock.release();
  };
  try {
    for (const folder of [...new Set(folders)].sort()) locks.push(await store.lock(`lend ${folder}`, signal));
    return release;
  } catch (error) {
    await release();
    throw error;
  }
}
