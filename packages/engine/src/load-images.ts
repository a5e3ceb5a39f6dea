import {
  canonicalName,
  hostPlatform,
  isIndexType,
  parseReference,
  StrakeError,
  throwIfAborted,
  type ByteStream,
  type Descriptor,
  type Index,
} from '@strake/core';
import { openImageArchive, type ArchivedImage } from '@strake/builder';
import type { Store } from '@strake/store';

import { summarize } from './images.js';
import { keepImage } from './keep-image.js';
import type { Resources } from './resources.js';
import type { ImageSummary, LoadImagesOptions } from './types.js';

const DOCUMENT_LIMIT = 8 << 20;

/**
 * Brings the images of an archive into the store, under the names that the archive has for them or the one that is given.
 * @throws StrakeError `ARCHIVE_INVALID`; `ARCHIVE_UNNAMED` where an image would have no name; as `keepImage`
 */
export async function loadImages(
  resources: Resources,
  archive: ByteStream,
  { name, signal = new AbortController().signal }: LoadImagesOptions = {},
): Promise<ImageSummary[]> {
  const store = await resources.store();
  const images = await openImageArchive(archive, store, signal);
  const named = images.map((image) => ({ image, names: namesOf(image, name, images.length) }));
  const loaded: ImageSummary[] = [];
  for (const { image, names } of named) {
    await keepPlatforms(store, image, signal);
    for (const one of names) {
      throwIfAborted(signal);
      await store.references.set(one, image.root);
      loaded.push(await summarize(resources, one, image.root));
    }
  }
  return loaded;
}

/** Canonical names for an image of the archive. @throws StrakeError `ARCHIVE_UNNAMED`, `REFERENCE_INVALID` */
function namesOf({ names, root }: ArchivedImage, given: string | undefined, count: number): string[] {
  const wanted = given !== undefined && count === 1 ? [given] : names;
  if (wanted.length === 0) {
    throw new StrakeError({
      code: 'ARCHIVE_UNNAMED',
      message: `the archive has no name for the image ${root.digest}`,
      hint: count === 1 ? 'Give it one: strake load -t NAME.' : 'Save its images one by one, each with a name.',
    });
  }
  return wanted.map((name) => canonicalName({ ...parseReference(name), digest: undefined }));
}

/** An image, or those platforms of an index that the archive holds. */
async function keepPlatforms(store: Store, { root, content }: ArchivedImage, signal: AbortSignal): Promise<void> {
  if (!isIndexType(root.mediaType)) {
    await keepImage(store, content, root, hostPlatform(), { signal });
    return;
  }
  await store.blobs.put(content.blob(root, signal), root, signal);
  const index = JSON.parse((await store.blobs.read(root.digest, DOCUMENT_LIMIT)).toString('utf8')) as Partial<Index>;
  const entries: readonly Descriptor[] = index.manifests ?? [];
  for (const entry of entries) {
    // What attests to an image is no image.
    if (entry.platform?.os === 'unknown') continue;
    await keepImage(store, content, entry, entry.platform ?? hostPlatform(), { signal });
  }
}
