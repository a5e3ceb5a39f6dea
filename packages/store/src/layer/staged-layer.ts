import { link, rename, rm } from 'node:fs/promises';

import { errnoOf } from '@strake/core';

import { writeFailure } from '../errors.js';
import { syncData } from '../files.js';
import type { LayerInfo } from '../types.js';
import type { MadeLayer } from '../worker-protocol.js';

/** A layer that is written, but not yet in the store. One of both must be called. */
export interface StagedLayer {
  /** Resolves when the content of all entries has been read: what is left is the layer's own affair. */
  readonly read: Promise<void>;
  /** Puts the layer into the store, once it is written. */
  install(): Promise<LayerInfo>;
  drop(): Promise<void>;
}

/**
 * Has RUN write a layer into FILES, which only INSTALL puts into the store, at ROOT; RUN says when all has been read. After a failure
 * nothing is left of them.
 */
export function stageLayer(
  root: string,
  { tarPath, indexPath }: { readonly tarPath: string; readonly indexPath: string },
  run: (onRead: () => void) => Promise<MadeLayer | undefined>,
  install: (made: MadeLayer) => Promise<LayerInfo>,
): StagedLayer {
  const remove = async (): Promise<void> => {
    await Promise.all([rm(tarPath, { force: true }), rm(indexPath, { force: true })]);
  };
  const write = async (onRead: () => void): Promise<MadeLayer> => {
    try {
      const made = await run(onRead);
      if (!made) throw new Error('the job made no layer');
      return made;
    } catch (error) {
      await remove();
      throw writeFailure(error, root);
    }
  };
  let written: Promise<MadeLayer> | undefined;
  const read = new Promise<void>((resolve, reject) => {
    written = write(resolve);
    written.catch(reject);
  });
  return {
    read,
    install: async () => install((await written) as MadeLayer),
    drop: async () => {
      await written?.catch(() => undefined);
      await remove();
    },
  };
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
