import { isDigest, StrakeError, verified, type Descriptor, type Digest, type ImageReference } from '@strake/core';
import type { RegistryClient } from '@strake/registry';
import type { ResultCodec } from '@strake/solver';
import type { Store } from '@strake/store';

import { baseLayer, storedLayer, type ChainResult, type LayerRef } from './result.js';

/** A layer in a cache record. Layers of a base image say where they can be had again. */
interface RecordedLayer {
  readonly diffId: Digest;
  readonly origin?: { readonly descriptor: Descriptor; readonly reference?: ImageReference | undefined } | undefined;
}

/**
 * Chains of layers in cache records. A record counts only while all its layers are in the store, or, for layers of a base image,
 * can be fetched again.
 */
export function chainCodec(store: Store, registry: () => Promise<RegistryClient>): ResultCodec<ChainResult> {
  return {
    save: async ({ layers, windows }) => ({
      layers: await Promise.all(layers.map(recordLayer)),
      ...(windows ? { windows } : {}),
    }),
    load: async (value) => {
      const { layers: recorded, windows } = (value ?? {}) as { layers?: unknown; windows?: unknown };
      if (!Array.isArray(recorded)) return undefined;
      const layers: LayerRef[] = [];
      for (const layer of recorded as RecordedLayer[]) {
        if (!isDigest((layer as Partial<RecordedLayer> | null)?.diffId)) return undefined;
        const ref = await restore(layer, store, registry);
        if (!ref) return undefined;
        layers.push(ref);
      }
      return windows === true ? { layers, windows } : { layers };
    },
  };
}

async function recordLayer(layer: LayerRef): Promise<RecordedLayer> {
  const diffId = await layer.diffId();
  if (!layer.origin) return { diffId };
  const { descriptor, reference } = layer.origin;
  return { diffId, origin: { descriptor, reference } };
}

async function restore(
  { diffId, origin }: RecordedLayer,
  store: Store,
  registry: () => Promise<RegistryClient>,
): Promise<LayerRef | undefined> {
  const there = (await store.layers.size(diffId)) !== undefined;
  if (!origin) return there ? storedLayer(diffId) : undefined;
  const { descriptor, reference } = origin as Partial<typeof origin>;
  if (!isDigest(descriptor?.digest) || !Number.isSafeInteger(descriptor.size)) return undefined;
  if (reference && (typeof reference.registry !== 'string' || typeof reference.repository !== 'string'))
    return undefined;
  // What a folder gave and collection took: where the tar is still there it is a layer as any other.
  if (!reference && (await store.blobs.size(descriptor.digest)) === undefined) {
    return there ? storedLayer(diffId) : undefined;
  }
  return baseLayer(store, diffId, {
    descriptor,
    reference,
    async *fetch(signal) {
      if ((await store.blobs.size(descriptor.digest)) !== undefined) {
        yield* store.blobs.open(descriptor.digest);
      } else if (reference) {
        yield* verified((await registry()).blob(reference, descriptor, { signal }), descriptor, 'layer');
      } else {
        throw new StrakeError({
          code: 'BASE_INVALID',
          message: `layer ${descriptor.digest} of the base image is gone`,
          hint: 'Build again with --no-cache.',
        });
      }
    },
  });
}
