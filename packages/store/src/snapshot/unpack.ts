import type { Digest } from '@strake/core';

import { writeFailure } from '../errors.js';
import { loadIndex } from '../layer/layer-index.js';
import { MergedView } from '../layer/tree-view.js';
import { ContentReader } from './content-reader.js';
import { saveScan, scanTree } from './scan.js';
import { Unpacker } from './unpacker.js';

/** A layer's files; of one that is still being written, the bytes of an index that says enough. */
export interface LayerFiles {
  readonly diffId: Digest;
  readonly index: string | Uint8Array;
  readonly tar: string;
}

/** A tree to be made: one layer as overlayfs wants it, or a whole chain merged. */
export interface UnpackJob {
  /** A folder that does not exist yet. */
  readonly tree: string;
  /** Lowest first. */
  readonly chain: readonly LayerFiles[];
  /** `layer`: the topmost of the chain alone, with whiteouts; the others only tell what it lacks. */
  readonly what: 'layer' | 'merged';
  /** The attribute that marks an opaque folder. */
  readonly opaque: string;
  /** Where a scan of the tree is written to, where one is wanted. */
  readonly scan?: string | undefined;
}

/**
 * Unpacks layers that are in the store into a new folder.
 * @throws StrakeError `DISK_FULL`, `LAYER_INVALID`; the folder is the caller's to remove then
 */
export function unpackTree(job: UnpackJob, aborted: () => boolean): void {
  const indexes = job.chain.map(({ diffId, index }) => loadIndex(diffId, index));
  const view = new MergedView(
    job.chain.map(({ diffId }) => diffId),
    indexes,
    undefined,
  );
  const contents = new ContentReader(new Map(job.chain.map(({ diffId, tar }) => [diffId, tar])));
  try {
    const unpacker = Unpacker.into(job.tree, contents);
    const check = (): void => {
      if (aborted()) throw new Error('aborted');
    };
    if (job.what === 'merged') {
      for (const entry of view.walk('')) {
        check();
        unpacker.add(entry);
      }
    } else {
      for (const { entry, whiteout, opaque } of view.topLayer()) {
        check();
        if (entry === undefined) unpacker.whiteout(whiteout ?? '');
        else unpacker.add(entry);
        if (entry !== undefined && opaque && entry.path !== '') unpacker.mark(entry.path, job.opaque);
      }
    }
    unpacker.finish();
    if (job.scan !== undefined) saveScan(scanTree(job.tree), job.scan);
  } catch (error) {
    throw writeFailure(error, job.tree);
  } finally {
    contents.close();
  }
}
