import { writeFiles } from '@strake/builder';
import { isDigest } from '@strake/core';
import type { StepMount } from '@strake/builder';
import { requireOwner } from '@strake/runtime';
import type { Store } from '@strake/store';
import { chmod, chown, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Makes a cache mount's folder ready: a new one gets its mode and owner, or what `from=` has at its source.
 * One that was used before stays as it is, unless it is to be renewed. Runs in the agent: files may belong to anyone.
 */
export async function prepareCacheFolder(
  mount: Extract<StepMount, { readonly kind: 'cache' }>,
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  const { folder, base, mode, uid, gid, renew } = mount;
  const marker = `${folder}.ready`;
  const isReady = async (): Promise<boolean> => (await stat(marker).catch(() => undefined)) !== undefined;
  if (!renew && (await isReady())) return;
  const lock = await store.lock(`fill ${folder}`, signal);
  try {
    if (!renew && (await isReady())) return;
    await rm(marker, { force: true });
    for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
    let root = { uid, gid, mode };
    if (base) {
      const view = await store.layers.view(base.chain.filter(isDigest));
      const from = base.path.replace(/^\/+/, '');
      const facts = view.lookup(from);
      if (facts?.type === 'directory') root = facts;
      await writeFiles(view, folder, { from, owners: true, signal });
    }
    requireOwner(root, `the cache mount ${mount.target}`);
    await chown(folder, root.uid, root.gid);
    await chmod(folder, root.mode);
    await writeFile(marker, '');
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
