import type { Digest } from '@strake/core';

/** A path that is asked about; `deep`: with all that is below it. */
export interface OutlinePath {
  readonly path: string;
  readonly deep: boolean;
}

/**
 * What a layer that is still being written has at some paths and on the way there. INDEX: as the index of a layer, files without
 * contents (`Snapshotter.outline`); ID stands for the layer in a view's entries.
 */
export interface LayerOutline {
  readonly id: Digest;
  readonly index: Uint8Array;
}
