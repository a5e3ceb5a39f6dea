import { readFile } from 'node:fs/promises';

import { hexOf, isDigest, makeFolderNow, type Descriptor, type Digest } from '@strake/core';

import type { FileBlobs } from '../blobs.js';
import { namesNow, readJsonNow, unlessMissing, writeFileWhole } from '../files.js';
import type { OwnHolder } from '../holders.js';
import { layerPath, type StoreLayout } from '../layout.js';

/** The file that says that the blob DIGEST is a compressed form of a layer. */
function formPath(layout: StoreLayout, diffId: Digest, digest: Digest): string {
  return `${layerPath(layout, diffId)}/blob-${hexOf(digest).slice(0, 20)}`;
}

/** Whether the layer was once unpacked from the blob with this digest, or compressed to it. */
export function isForm(layout: StoreLayout, diffId: Digest, digest: Digest): boolean {
  if (digest === diffId) return true;
  const form = readJsonNow(formPath(layout, diffId, digest)) as Partial<Descriptor> | undefined;
  return form?.digest === digest;
}

/** Notes that BLOB is a compressed form of the layer. */
export async function addForm(layout: StoreLayout, holder: OwnHolder, diffId: Digest, blob: Descriptor): Promise<void> {
  const { mediaType, digest, size } = blob;
  makeFolderNow(layerPath(layout, diffId), 0o700);
  const path = formPath(layout, diffId, digest);
  const text = JSON.stringify({ mediaType, digest, size });
  if ((await unlessMissing(readFile(path, 'utf8'))) === text) return;
  await writeFileWhole(path, text, holder.temporaryPath('form'));
}

/** The compressed forms of a layer that are in the store. */
export async function formsOf(layout: StoreLayout, blobs: FileBlobs, diffId: Digest): Promise<Descriptor[]> {
  const folder = layerPath(layout, diffId);
  const there: Descriptor[] = [];
  for (const file of namesNow(folder)) {
    if (!file.startsWith('blob-')) continue;
    const form = readJsonNow(`${folder}/${file}`) as Partial<Descriptor> | undefined;
    if (!isDigest(form?.digest) || typeof form.size !== 'number' || typeof form.mediaType !== 'string') continue;
    if ((await blobs.size(form.digest)) === form.size) there.push(form as Descriptor);
  }
  return there;
}
