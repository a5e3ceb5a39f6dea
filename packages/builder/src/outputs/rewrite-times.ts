import { MediaType, type Digest } from '@strake/core';

import { builderError } from '../errors.js';
import { describeConfig } from '../image.js';
import { clampTimes } from './clamp-times.js';
import type { OutputContext, PlatformResult } from './output.js';

/** SOURCE_DATE_EPOCH for an output: its own `source-date-epoch` (none where that is empty), else the build's. @throws StrakeError `OUTPUT_INVALID` */
export function outputEpoch(
  attributes: Readonly<Record<string, string>>,
  { epoch }: Pick<OutputContext, 'epoch'>,
): number | undefined {
  const own = attributes['source-date-epoch'];
  if (own === undefined) return epoch;
  if (own === '') return undefined;
  if (!/^-?\d{1,12}$/.test(own)) throw builderError('OUTPUT_INVALID', `"${own}" is no number of seconds since 1970`);
  return Number(own);
}

/**
 * `rewrite-timestamp=true`: the results with every layer that was built here written anew, so that nothing in it is later than
 * SOURCE_DATE_EPOCH. Layers of the base stay what they are.
 */
export async function rewriteTimes(
  results: readonly PlatformResult[],
  attributes: Readonly<Record<string, string>>,
  context: OutputContext,
): Promise<readonly PlatformResult[]> {
  const epoch = outputEpoch(attributes, context);
  if (epoch === undefined) return results;
  const { store, signal } = context;
  const rewritten = new Map<Digest, Promise<Digest>>();
  const rewrite = async (diffId: Digest): Promise<Digest> => {
    const { digest, size } = await store.blobs.put(clampTimes(store.layers.tar(diffId), epoch), undefined, signal);
    await store.layers.import(
      digest,
      { mediaType: MediaType.ociLayer, digest, size },
      () => store.blobs.open(digest),
      signal,
    );
    return digest;
  };
  const all: PlatformResult[] = [];
  for (const { image, chain } of results) {
    const layers = [];
    for (const layer of image.layers) {
      if (layer.origin) {
        layers.push(layer);
        continue;
      }
      const digest = rewritten.get(layer.diffId) ?? rewrite(layer.diffId);
      rewritten.set(layer.diffId, digest);
      layers.push({ diffId: await digest });
    }
    const config = {
      ...image.config,
      rootfs: { ...image.config.rootfs, diff_ids: layers.map(({ diffId }) => diffId) },
    };
    all.push({ chain, image: { ...image, ...describeConfig(config, layers) } });
  }
  return all;
}
