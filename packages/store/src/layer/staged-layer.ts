import { link, rename, rm } from 'node:fs/promises';

import { errnoOf } from '@strake/core';

import { writeFailure } from '../errors.js';
import { syncData } from '../files.js';
import type { LayerInfo } from '../types.js';
import type { MadeLayer } from '../worker-protocol.js';

/** A layer that is written, but not yet in the store. One of both must be called. */
export interface StagedLayer {
  /** sha256 of each file among the entries, 32 bytes each, in their order. */
  readonly digests: Uint8Array;
  install(): Promise<LayerInfo>;
  drop(): Promise<void>;
}

/**
 * Has RUN write a layer into FILES, which only INSTALL puts into the store, at ROOT. After a failure nothing is left of them.
 */
export async function stageLayer(
  root: string,
  { tarPath, indexPath }: { readonly tarPath: string; readonly indexPath: string },
  run: () => Promise<MadeLayer | undefined>,
  install: (made: MadeLayer) => Promise<LayerInfo>,
): Promise<StagedLayer> {
  const drop = async (): Promise<void> => {
    await Promise.all([rm(tarPath, { force: true }), rm(indexPath, { force: true })]);
  };
  try {
    const made = await run();
    if (!made?.digests) throw new Error('the job made no layer');
    return { digests: made.digests, install: () => install(made), drop };
  } catch (error) {
    await drop();
    throw writeFailure(error, root);
  }
}

/** Puts a tar in its place. One that is not SYNCED never replaces another, which a name may promise. */
export async function placeTar(tarPath: string, target: string, synced: boolean): Promise<void> {
  if (!synced) {
    try {
      await link(tarPath, target);
      await rm(tarPath);
      return;
    } catch (error) {
      // Else the file system has no hard links.
      if (errnoOf(error) === 'EEXIST') await syncData(tarPath);
    }
  }
  await rename(tarPath, target);
}
