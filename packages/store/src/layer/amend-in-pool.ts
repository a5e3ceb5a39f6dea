import { rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

import { throwIfAborted } from '@strake/core';

import { writeFailure } from '../errors.js';
import type { LayerEntry, LayerInfo } from '../types.js';
import type { Job, MadeLayer } from '../worker-protocol.js';
import type { WorkerPool } from '../worker-pool.js';
import { encodeEntries } from './entry-batch.js';

type AmendJob = Omit<Extract<Job, { kind: 'amend' }>, 'kind' | 'entries'>;

/**
 * Has one thread amend a layer while another one reads all of it: what is taken over is as good as the former's digest. INSTALL puts
 * the new layer into the store. Undefined, and nothing left behind, where that was not to be.
 */
export async function amendInPool(
  pool: WorkerPool,
  job: AmendJob,
  entries: readonly LayerEntry[],
  signal: AbortSignal | undefined,
  install: (made: MadeLayer) => Promise<LayerInfo>,
): Promise<LayerInfo | undefined> {
  const { former, tarPath, indexPath } = job;
  const remove = async (): Promise<void> => {
    await Promise.all([rm(tarPath, { force: true }), rm(indexPath, { force: true })]);
  };
  const [made, read] = await Promise.allSettled([
    pool.run({ kind: 'amend', ...job, entries: encodeEntries(entries) }, { signal }),
    pool.run({ kind: 'digest', root: dirname(former.tarPath), paths: basename(former.tarPath) }, { signal }),
  ]);
  try {
    throwIfAborted(signal);
    if (made.status === 'rejected') throw made.reason as Error;
    const digests = read.status === 'fulfilled' ? read.value?.digests : undefined;
    const sound = digests !== undefined && Buffer.from(digests).toString('hex') === former.diffId.slice(7);
    if (made.value && sound) return await install(made.value);
    await remove();
    return undefined;
  } catch (error) {
    await remove();
    throw writeFailure(error, dirname(dirname(former.tarPath)));
  }
}
