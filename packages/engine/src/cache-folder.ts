import { writeFiles } from '@strake/builder';
import { isDigest } from '@strake/core';
import type { StepMount } from '@strake/builder';
import type { Store } from '@strake/store';
import { chmod, chown, stat, writeFile } from 'node:fs/promises';

/**
 * Makes a cache mount's folder ready: a new one gets its mode and owner, and the content of `from=` where that was asked for.
 * One that was used before stays as it is. Runs in the agent: files may belong to anyone.
 */
export async function prepareCacheFolder(
  mount: Extract<StepMount, { readonly kind: 'cache' }>,
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  const { folder, base, mode, uid, gid } = mount;
  const marker = `${folder}.ready`;
  if (await stat(marker).catch(() => undefined)) return;
  const lock = await store.lock(`fill ${folder}`, signal);
  try {
    if (await stat(marker).catch(() => undefined)) return;
    if (base) {
      const view = await store.layers.view(base.chain.filter(isDigest));
      await writeFiles(view, folder, { from: base.path.replace(/^\/+/, ''), clean: true, signal });
    }
    await chown(folder, uid, gid);
    await chmod(folder, mode);
    await writeFile(marker, '');
  } finally {
    await lock.release();
  }
}
