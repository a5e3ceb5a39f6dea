import type { Digest } from '@strake/core';
import type { Vertex } from '@strake/solver';
import type { Store } from '@strake/store';

import { baseLayer, EMPTY_CHAIN, type ChainResult, type LayerOrigin } from '../result.js';

/** The empty image `scratch`. */
export function scratchVertex(id: string): Vertex<ChainResult> {
  return {
    id,
    name: 'FROM scratch',
    inputs: [],
    caching: 'none',
    key: () => ({ operation: { kind: 'layers', diffIds: [] } }),
    run: () => Promise.resolve(EMPTY_CHAIN),
  };
}

/**
 * The layers of a base image. Its key is the chain of diff IDs: an image that was tagged or compressed anew with the same layers
 * is the same base. Nothing is downloaded until a later step reads a layer.
 */
export function baseImageVertex(options: {
  readonly id: string;
  readonly name: string;
  readonly store: Store;
  readonly layers: readonly { readonly diffId: Digest; readonly origin: LayerOrigin }[];
  /** Whether the image is one for Windows: the same layers are another tree then. */
  readonly windows: boolean;
}): Vertex<ChainResult> {
  const layers = options.layers.map(({ diffId, origin }) => baseLayer(options.store, diffId, origin));
  const form = options.windows ? { windows: true } : {};
  return {
    id: options.id,
    name: options.name,
    inputs: [],
    caching: 'none',
    key: () => ({ operation: { kind: 'layers', diffIds: options.layers.map(({ diffId }) => diffId), ...form } }),
    run: () => Promise.resolve({ layers, ...form }),
  };
}

/** A chain on top of another: what `--link` makes of the image and its own layer. Costs nothing and is never recorded. */
export function mergeVertex(
  id: string,
  name: string,
  lower: Vertex<ChainResult>,
  upper: Vertex<ChainResult>,
): Vertex<ChainResult> {
  return {
    id,
    name,
    inputs: [{ vertex: lower }, { vertex: upper }],
    caching: 'none',
    key: () => ({ operation: { kind: 'merge' } }),
    run: ([a = EMPTY_CHAIN, b = EMPTY_CHAIN]) => Promise.resolve({ ...a, layers: [...a.layers, ...b.layers] }),
  };
}
