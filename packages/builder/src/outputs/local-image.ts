import { assembleImages } from './image-set.js';
import { manifestOptions, type OutputContext, type OutputResult, type PlatformResult } from './output.js';

/** `type=image` without push: the image under its names in the local store. Layers stay uncompressed until a push needs more. */
export async function storeImage(
  results: readonly PlatformResult[],
  attributes: Readonly<Record<string, string>>,
  context: OutputContext,
): Promise<OutputResult> {
  const options = manifestOptions(attributes, 'uncompressed', context.annotations);
  const { manifests, root } = await assembleImages(results, options, context);
  const { blobs, references } = context.store;
  for (const { bytes, descriptor, result } of manifests) {
    // Together, as each waits for the disk; and both have ended before this fails.
    const put = [
      blobs.put(result.image.configBytes, result.image.configDescriptor, context.signal),
      blobs.put(bytes, { digest: descriptor.digest }, context.signal),
    ];
    await Promise.allSettled(put);
    await Promise.all(put);
    await rememberHomes(result, context);
  }
  if (manifests.length !== 1) await blobs.put(root.bytes, { digest: root.descriptor.digest }, context.signal);
  for (const name of context.names) await references.set(name, root.descriptor);
  return { descriptor: root.descriptor, names: context.names };
}

/**
 * Layers of the base may not have been downloaded: the image is of use only as long as somebody knows where they are. What no
 * registry has, the layer of a layout, is copied.
 */
async function rememberHomes({ image }: PlatformResult, { store, signal }: OutputContext): Promise<void> {
  for (const { diffId, origin } of image.layers) {
    if (!origin) continue;
    const { descriptor, reference } = origin;
    const { digest } = descriptor;
    if (reference) await store.layers.addHome(diffId, digest, `${reference.registry}/${reference.repository}`);
    else if ((await store.blobs.size(digest)) === undefined && (await store.layers.homes(diffId, digest)).length === 0)
      await store.blobs.put(origin.fetch(signal), descriptor, signal);
  }
}
