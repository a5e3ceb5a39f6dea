import { Limiter, MediaType, parseReference, type Descriptor, type ImageReference } from '@strake/core';
import type { RegistryClient } from '@strake/registry';
import type { Store } from '@strake/store';

import { builderError } from '../errors.js';
import { layerBytes, type BuiltImage } from '../image.js';
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
  const options = manifestOptions(attributes, { compression: 'gzip', family: 'oci' }, context.annotations);
  const images = await assembleImages(results, options, context);
  const client = await context.registry();
  for (const name of context.names) await pushTo(parseReference(name), images, client, context);
  await storeImage(results, { ...attributes, compression: options.compression }, context);
  return { descriptor: images.root.descriptor, names: context.names };
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

function progressOf(layer: Descriptor, { emit, id, now }: OutputContext): (bytes: number) => void {
  return (current) => {
    emit({
      type: 'progress',
      id,
      time: now(),
      action: 'push',
      subject: layer.digest,
      current,
      total: layer.size,
      done: current >= layer.size,
    });
  };
}
