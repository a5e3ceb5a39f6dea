import { Limiter, verified, type Descriptor, type Platform } from '@strake/core';
import { loadImage, type ImageContent, type LoadedImage } from '@strake/builder';
import type { Store } from '@strake/store';

/** Layers that are fetched at once. */
const PARALLEL = 4;

/** Content that is kept in the store when it is read, and comes from there if it is there already. */
function throughStore(content: ImageContent, store: Store): ImageContent {
  return {
    ...content,
    async *blob(wanted, signal) {
      if ((await store.blobs.size(wanted.digest)) === undefined) {
        await store.blobs.put(verified(content.blob(wanted, signal), wanted, 'blob'), wanted, signal);
      }
      yield* store.blobs.open(wanted.digest);
    },
  };
}

/**
 * Brings an image of one platform into the store: its documents, and its layers checked and indexed.
 * @param home the repository (`registry/path`) that has its layers
 * @throws StrakeError `BASE_INVALID`, `PLATFORM_MISSING`, `LAYER_INVALID`, `DIGEST_MISMATCH`
 */
export async function keepImage(
  store: Store,
  content: ImageContent,
  root: Descriptor,
  platform: Platform,
  options: { readonly home?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<LoadedImage> {
  const { home, signal } = options;
  const image = await loadImage(throughStore(content, store), root, platform, signal);
  const limiter = new Limiter(PARALLEL);
  const outcomes = await Promise.allSettled(
    image.layers.map(({ diffId, origin }) =>
      limiter.run(async () => {
        await store.layers.import(diffId, origin.descriptor, (s) => origin.fetch(s), signal);
        if (home !== undefined) await store.layers.addHome(diffId, origin.descriptor.digest, home);
      }, signal),
    ),
  );
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason as Error;
  return image;
}
