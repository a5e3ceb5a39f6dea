import { Limiter, MediaType, parseReference, type Descriptor, type Digest, type ImageReference } from '@strake/core';
import type { RegistryClient } from '@strake/registry';
import type { Store } from '@strake/store';

import { builderError } from '../errors.js';
import { layerBytes, type BuiltImage, type ManifestOptions } from '../image.js';
import { assembleImages, type ImageSet } from './image-set.js';
import { storeImage } from './local-image.js';
import { manifestOptions, type OutputContext, type OutputResult, type PlatformResult } from './output.js';

/** Uploads at once. */
const PARALLEL = 4;

/** `type=image,push=true`, `type=registry`, `--push`: to the registry, and under the same names in the local store. */
export async function pushImage(
  results: readonly PlatformResult[],
  attributes: Readonly<Record<string, string>>,
  context: OutputContext,
): Promise<OutputResult> {
  if (context.names.length === 0) {
    throw builderError('OUTPUT_INVALID', 'tag is needed when pushing to registry', {
      hint: 'Name the image with -t registry/repository:tag.',
    });
  }
  const options = manifestOptions(attributes, 'gzip', context.annotations);
  const client = await context.registry();
  const [first] = context.names;
  const stop = new AbortController();
  const under = { ...context, signal: AbortSignal.any([context.signal, stop.signal]) };
  // While layers are compressed they are sent to the first name; what it has then is mounted or only looked for.
  const early =
    first === undefined ? [] : sendWhileCompressed(parseReference(first), results, options, client, under, stop);
  for (const sent of early) sent.catch((error: unknown) => stop.abort(error));
  let images: ImageSet;
  try {
    images = await assembleImages(results, options, under);
    await Promise.all(early);
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    await Promise.allSettled(early);
  }
  for (const name of context.names) await pushTo(parseReference(name), images, client, context);
  await storeImage(results, { ...attributes, compression: options.compression }, context);
  return { descriptor: images.root.descriptor, names: context.names };
}

/**
 * Compresses the layers that were built here and sends each while that goes on; of a failure STOP is told. Layers that have the form
 * already are left out.
 */
function sendWhileCompressed(
  reference: ImageReference,
  results: readonly PlatformResult[],
  { compression, level, force }: ManifestOptions,
  client: RegistryClient,
  context: OutputContext,
  stop: AbortController,
): Promise<void>[] {
  const { signal, store } = context;
  if (compression === 'uncompressed' || force) return [];
  const built = results.flatMap(({ image }) => image.layers.filter(({ origin }) => origin === undefined));
  const limiter = new Limiter(PARALLEL);
  const send = async (diffId: Digest): Promise<void> => {
    const growing = await store.layers.compressing(diffId, compression, signal, level);
    if (!growing) return;
    const tell = progressOf({ digest: diffId }, context);
    try {
      await client.pushGrowing(reference, growing, { signal, onProgress: tell });
    } catch (error) {
      stop.abort(error);
      await growing.stored.catch(() => undefined);
      throw error;
    }
    const { digest, size } = await growing.whole;
    tell(size, size);
    await growing.stored;
    await store.layers.addHome(diffId, digest, `${reference.registry}/${reference.repository}`);
  };
  return [...new Set(built.map(({ diffId }) => diffId))].map((diffId) => limiter.run(() => send(diffId), signal));
}

async function pushTo(
  reference: ImageReference,
  images: ImageSet,
  client: RegistryClient,
  context: OutputContext,
): Promise<void> {
  const { signal, store } = context;
  const limiter = new Limiter(PARALLEL);
  const sent = new Set<string>();
  const uploads: Promise<unknown>[] = [];
  for (const { manifest, result } of images.manifests) {
    for (const [i, layer] of manifest.layers.entries()) {
      if (sent.has(layer.digest) || layer.mediaType === MediaType.ociConfig) continue;
      sent.add(layer.digest);
      const built = result.image.layers[i];
      if (!built) continue;
      uploads.push(
        limiter.run(async () => {
          await client.pushBlob(reference, layer, () => layerBytes(result.image, layer, store, signal), {
            signal,
            mountFrom: await repositoriesWith(built, layer, reference.registry, store),
            onProgress: progressOf(layer, context),
          });
          await store.layers.addHome(built.diffId, layer.digest, `${reference.registry}/${reference.repository}`);
        }, signal),
      );
    }
    const { configBytes } = result.image;
    uploads.push(
      limiter.run(() => client.pushBlob(reference, manifest.config, () => oneChunk(configBytes), { signal }), signal),
    );
  }
  const outcomes = await Promise.allSettled(uploads);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason as Error;
  // Children before the index that names them.
  const { manifests, root } = images;
  if (manifests.length !== 1) {
    for (const { descriptor, bytes } of manifests) {
      const child = { registry: reference.registry, repository: reference.repository, digest: descriptor.digest };
      await client.pushManifest(child, descriptor, bytes, { signal });
    }
  }
  const tagged = { ...reference, tag: reference.tag ?? 'latest', digest: undefined };
  await client.pushManifest(tagged, root.descriptor, root.bytes, { signal });
}

/** Repositories of the registry that have a layer's blob, so that it can be mounted from there. */
async function repositoriesWith(
  { diffId, origin }: BuiltImage['layers'][number],
  { digest }: Descriptor,
  registry: string,
  store: Store,
): Promise<readonly string[]> {
  const start = `${registry}/`;
  const homes = await store.layers.homes(diffId, digest);
  const known = homes.filter((home) => home.startsWith(start)).map((home) => home.slice(start.length));
  return origin?.reference?.registry === registry ? [origin.reference.repository, ...known] : known;
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

/** Where the size is not known from the beginning, it comes with the last call. */
function progressOf(
  { digest, size }: Pick<Descriptor, 'digest'> & { readonly size?: number },
  { emit, id, now }: OutputContext,
): (bytes: number, total?: number) => void {
  return (current, total = size) => {
    const done = total !== undefined && current >= total;
    emit({ type: 'progress', id, time: now(), action: 'push', subject: digest, current, total, done });
  };
}
