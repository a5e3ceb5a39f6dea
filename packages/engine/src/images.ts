import {
  canonicalName,
  familiarName,
  hostPlatform,
  isIndexType,
  Limiter,
  parsePlatform,
  parseReference,
  verified,
  type Descriptor,
  type Index,
} from '@strake/core';
import { loadImage, type ImageContent, type LoadedImage } from '@strake/builder';
import type { Store } from '@strake/store';

import { findImage, imageNotFound } from './image-names.js';
import type { Resources } from './resources.js';
import type { ImageDetails, ImageSummary, TransferImageOptions } from './types.js';

const PARALLEL = 4;
const DOCUMENT_LIMIT = 8 << 20;

/** The image of a name in the local store, for this machine's platform or the one that it has. */
export async function loadStored(store: Store, target: Descriptor, name: string): Promise<LoadedImage> {
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
  return loadImage(content, target, platform);
}

export async function summarize(store: Store, name: string, target: Descriptor): Promise<ImageSummary> {
  const image = await loadStored(store, target, name);
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

export async function listImages({ store }: Resources): Promise<ImageSummary[]> {
  const opened = await store();
  const records = await opened.references.list();
  return Promise.all(records.map(({ name, target }) => summarize(opened, name, target)));
}

export async function inspectImage({ store }: Resources, name: string): Promise<ImageDetails> {
  const opened = await store();
  const found = await findImage(opened, name);
  const image = await loadStored(opened, found.target, found.name);
  const manifest: unknown = JSON.parse(
    (await opened.blobs.read(image.manifest.digest, DOCUMENT_LIMIT)).toString('utf8'),
  );
  const layers = [];
  for (const { diffId, origin } of image.layers) {
    const info = await opened.layers.info(diffId);
    layers.push({ diffId, size: info?.size ?? origin.descriptor.size, descriptor: origin.descriptor });
  }
  return { ...(await summarize(opened, found.name, found.target)), manifest, config: image.config, layers };
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
  const { descriptor, bytes } = await client.manifest(reference, { signal });
  await store.blobs.put(bytes, { digest: descriptor.digest }, signal);
  const content: ImageContent = {
    name: familiarName(reference),
    reference,
    async *blob(wanted, s) {
      if ((await store.blobs.size(wanted.digest)) === undefined) {
        if (/manifest|index/.test(wanted.mediaType)) {
          const child = { registry: reference.registry, repository: reference.repository, digest: wanted.digest };
          const fetched = await client.manifest(child, { signal: s, expected: wanted });
          await store.blobs.put(fetched.bytes, wanted, s);
        } else {
          await store.blobs.put(verified(client.blob(reference, wanted, { signal: s }), wanted, 'blob'), wanted, s);
        }
      }
      yield* store.blobs.open(wanted.digest);
    },
  };
  const platform = options.platform === undefined ? hostPlatform() : parsePlatform(options.platform);
  const image = await loadImage(content, descriptor, platform, signal);
  const limiter = new Limiter(PARALLEL);
  const outcomes = await Promise.allSettled(
    image.layers.map(({ diffId, origin }) =>
      limiter.run(async () => {
        const layer = origin.descriptor;
        if ((await store.blobs.size(layer.digest)) === undefined) {
          const onProgress = (current: number): void =>
            onEvent?.({
              type: 'progress',
              id,
              time: Date.now(),
              action: 'pull',
              subject: layer.digest,
              current,
              total: layer.size,
              done: current >= layer.size,
            });
          await store.blobs.put(client.blob(reference, layer, { signal, onProgress }), layer, signal);
        }
        await store.layers.import(diffId, layer, (s) => origin.fetch(s), signal);
      }, signal),
    ),
  );
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) {
    onEvent?.({ type: 'step-finished', id, time: Date.now(), error: 'failed' });
    throw failed.reason as Error;
  }
  const name = canonicalName(reference);
  await store.references.set(name, descriptor);
  onEvent?.({ type: 'step-finished', id, time: Date.now() });
  return summarize(store, name, descriptor);
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
