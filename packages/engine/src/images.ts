import {
  canonicalName,
  familiarName,
  hostPlatform,
  isIndexType,
  parsePlatform,
  parseReference,
  verified,
  type ByteStream,
  type Descriptor,
  type Digest,
  type Index,
} from '@strake/core';
import { loadImage, type ImageContent, type LoadedImage } from '@strake/builder';

import { findImage, imageNotFound } from './image-names.js';
import { keepImage } from './keep-image.js';
import type { Resources } from './resources.js';
import type { ImageDetails, ImageSummary, TransferImageOptions } from './types.js';

const DOCUMENT_LIMIT = 8 << 20;

/**
 * The image of a name in the local store, for this machine's platform or the one that it has. Layers that were never downloaded
 * come from a repository that had them.
 */
export async function loadStored(resources: Resources, target: Descriptor, name: string): Promise<LoadedImage> {
  const store = await resources.store();
  const content: ImageContent = {
    name,
    blob: (descriptor) => store.blobs.open(descriptor.digest),
  };
  let platform = hostPlatform();
  if (isIndexType(target.mediaType)) {
    const index = JSON.parse((await store.blobs.read(target.digest, DOCUMENT_LIMIT)).toString('utf8')) as Index;
    const here = [];
    for (const entry of index.manifests) if (await store.blobs.size(entry.digest)) here.push(entry);
    const [first] = here;
    if (here.length === 1 && first?.platform) platform = first.platform;
  }
  const image = await loadImage(content, target, platform);
  const layers = image.layers.map(({ diffId, origin: { descriptor } }) => ({
    diffId,
    origin: { descriptor, fetch: (signal?: AbortSignal) => storedLayer(resources, diffId, descriptor, signal) },
  }));
  return { ...image, layers };
}

/** @throws StrakeError `BLOB_NOT_FOUND` where neither the store nor any repository has it */
async function* storedLayer(
  resources: Resources,
  diffId: Digest,
  layer: Descriptor,
  signal: AbortSignal | undefined,
): ByteStream {
  const store = await resources.store();
  const [home] =
    (await store.blobs.size(layer.digest)) === undefined ? await store.layers.homes(diffId, layer.digest) : [];
  if (home === undefined) yield* store.blobs.open(layer.digest);
  else yield* verified((await resources.registry()).blob(parseReference(home), layer, { signal }), layer, 'layer');
}

export async function summarize(resources: Resources, name: string, target: Descriptor): Promise<ImageSummary> {
  const store = await resources.store();
  const image = await loadStored(resources, target, name);
  let size = 0;
  for (const { diffId, origin } of image.layers) {
    size += (await store.layers.info(diffId))?.size ?? origin.descriptor.size;
  }
  return {
    name,
    target,
    configDigest: image.configDescriptor.digest,
    created: image.config.created,
    size,
    platform: image.platform,
  };
}

export async function listImages(resources: Resources): Promise<ImageSummary[]> {
  const records = await (await resources.store()).references.list();
  return Promise.all(records.map(({ name, target }) => summarize(resources, name, target)));
}

export async function inspectImage(resources: Resources, name: string): Promise<ImageDetails> {
  const opened = await resources.store();
  const found = await findImage(opened, name);
  const image = await loadStored(resources, found.target, found.name);
  const manifest: unknown = JSON.parse(
    (await opened.blobs.read(image.manifest.digest, DOCUMENT_LIMIT)).toString('utf8'),
  );
  const layers = [];
  for (const { diffId, origin } of image.layers) {
    const info = await opened.layers.info(diffId);
    layers.push({ diffId, size: info?.size ?? origin.descriptor.size, descriptor: origin.descriptor });
  }
  return { ...(await summarize(resources, found.name, found.target)), manifest, config: image.config, layers };
}

/** Fetches an image with all its layers. What the store has already is not fetched again. */
export async function pullImage(
  resources: Resources,
  text: string,
  options: TransferImageOptions & { readonly platform?: string | undefined } = {},
): Promise<ImageSummary> {
  const reference = parseReference(text);
  const { signal, onEvent } = options;
  const [store, client] = await Promise.all([resources.store(), resources.registry()]);
  const id = `pull ${text}`;
  onEvent?.({ type: 'step', id, name: `pull ${familiarName(reference)}`, inputs: [] });
  onEvent?.({ type: 'step-started', id, time: Date.now() });
  try {
    const { descriptor, bytes } = await client.manifest(reference, { signal });
    await store.blobs.put(bytes, { digest: descriptor.digest }, signal);
    const content: ImageContent = {
      name: familiarName(reference),
      reference,
      async *blob(wanted, s) {
        if (/manifest|index/.test(wanted.mediaType)) {
          const child = { registry: reference.registry, repository: reference.repository, digest: wanted.digest };
          yield (await client.manifest(child, { signal: s, expected: wanted })).bytes;
        } else yield* client.blob(reference, wanted, { signal: s, onProgress: progressOf(id, wanted, onEvent) });
      },
    };
    const platform = options.platform === undefined ? hostPlatform() : parsePlatform(options.platform);
    const home = `${reference.registry}/${reference.repository}`;
    await keepImage(store, content, descriptor, platform, { home, signal });
    const name = canonicalName(reference);
    await store.references.set(name, descriptor, { pulled: true });
    onEvent?.({ type: 'step-finished', id, time: Date.now() });
    return await summarize(resources, name, descriptor);
  } catch (error) {
    const message = error instanceof Error ? error.message : 'failed';
    onEvent?.({ type: 'step-finished', id, time: Date.now(), error: message });
    throw error;
  }
}

/** Tells how much of a blob has come. */
function progressOf(
  id: string,
  { digest, size }: Descriptor,
  onEvent: TransferImageOptions['onEvent'],
): (current: number) => void {
  return (current) =>
    onEvent?.({
      type: 'progress',
      id,
      time: Date.now(),
      action: 'pull',
      subject: digest,
      current,
      total: size,
      done: current >= size,
    });
}

export async function tagImage({ store }: Resources, source: string, target: string): Promise<void> {
  const opened = await store();
  const found = await findImage(opened, source);
  const reference = parseReference(target);
  await opened.references.set(canonicalName({ ...reference, digest: undefined }), found.target);
}

export async function removeImage({ store }: Resources, name: string): Promise<void> {
  const opened = await store();
  const found = await findImage(opened, name);
  if (!(await opened.references.remove(found.name))) throw imageNotFound(name);
}
