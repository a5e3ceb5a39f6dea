import { rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

import { throwIfAborted } from '@strake/core';

import { writeFailure } from '../errors.js';
import type { LayerEntry } from '../entries.js';
import type { LayerInfo } from '../types.js';
import type { Job, MadeLayer } from '../worker-protocol.js';
import type { WorkerPool } from '../worker-pool.js';
import { encodeEntries } from './entry-batch.js';
import { stampOf } from './layer-facts.js';
import type { FormerFiles } from './former-contents.js';

interface Amending extends Omit<Extract<Job, { kind: 'amend' }>, 'kind' | 'entries'> {
  /** The former tar's stamp when it was written, where it is known. */
  readonly stamp: string | undefined;
}

/**
 * Has one thread amend a layer while another one, where it may have been touched, reads all of it: what is taken over is as good as the
 * former's digest. INSTALL puts
 * the new layer into the store. Undefined, and nothing left behind, where that was not to be.
 */
export async function amendInPool(
  pool: WorkerPool,
  { stamp, ...job }: Amending,
  entries: readonly LayerEntry[],
  signal: AbortSignal | undefined,
  install: (made: MadeLayer) => Promise<LayerInfo>,
): Promise<LayerInfo | undefined> {
  const { former, tarPath, indexPath } = job;
  const remove = async (): Promise<void> => {
    await Promise.all([rm(tarPath, { force: true }), rm(indexPath, { force: true })]);
  };
  const isUntouched = (): boolean => stamp !== undefined && stamp === stampOf(former.tarPath);
  const untouched = isUntouched();
  const [made, read] = await Promise.allSettled([
    pool.run({ kind: 'amend', ...job, entries: encodeEntries(entries) }, { signal }),
    untouched || isSound(pool, former, signal),
  ]);
  try {
    throwIfAborted(signal);
    if (made.status === 'rejected') throw made.reason as Error;
    // What was hashed and what was copied are two looks at the file: nobody may have touched it between them.
    const sound = read.status === 'fulfilled' && read.value && untouched === isUntouched();
    if (made.value && sound) return await install(made.value);
    await remove();
    return undefined;
  } catch (error) {
    await remove();
    throw writeFailure(error, dirname(dirname(former.tarPath)));
  }
}

/** Whether the tar of a layer has the bytes that its diff ID stands for. */
async function isSound(
  pool: WorkerPool,
  { tarPath, diffId }: FormerFiles,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const read = await pool.run({ kind: 'digest', root: dirname(tarPath), paths: basename(tarPath) }, { signal });
  return read !== undefined && Buffer.from(read.digests).toString('hex') === diffId.slice(7);
}
