import { exportResult, type OutputSpec, type PlatformResult } from '@strake/builder';
import {
  canonicalName,
  familiarName,
  isIndexType,
  MediaType,
  parseReference,
  type Descriptor,
  type Index,
} from '@strake/core';

import { findImage } from './image-names.js';
import { loadStored } from './images.js';
import type { Resources } from './resources.js';
import type { SaveImageOptions, TransferImageOptions } from './types.js';

/** Pushes an image of the local store under its name. Layers built here are compressed on the way, once. */
export async function pushStored(
  resources: Resources,
  name: string,
  options: TransferImageOptions = {},
): Promise<Descriptor> {
  return exportStored(resources, name, { verb: 'push', type: 'registry', attributes: {} }, options);
}

/**
 * Writes an image of the local store to an archive, which `strake load`, `docker load` and others read. Layers built here stay
 * uncompressed.
 * @param dest a file, or `-` for standard output
 */
export async function saveStored(
  resources: Resources,
  name: string,
  { dest, format, ...options }: SaveImageOptions,
): Promise<Descriptor> {
  const attributes = { dest, compression: 'uncompressed' };
  return exportStored(resources, name, { verb: 'save', type: format ?? 'docker', attributes }, options);
}

async function exportStored(
  resources: Resources,
  name: string,
  { verb, ...output }: OutputSpec & { readonly verb: string },
  { signal, onEvent }: TransferImageOptions,
): Promise<Descriptor> {
  const store = await resources.store();
  const found = await findImage(store, name);
  // Named by its digest, an image is saved under the first of its names.
  const reference = parseReference(output.type === 'registry' ? name : found.name);
  const results = await storedResults(resources, found.target, found.name);
  const emit = onEvent ?? ((): void => undefined);
  const id = `${verb} ${name}`;
  emit({ type: 'step', id, name: `${verb} ${familiarName(reference)}`, inputs: [] });
  emit({ type: 'step-started', id, time: Date.now() });
  try {
    const { descriptor } = await exportResult(output, results, {
      store,
      registry: () => resources.registry(),
      signal: signal ?? new AbortController().signal,
      emit,
      now: Date.now,
      stdout: process.stdout,
      id,
      names: [canonicalName(reference)],
      annotations: [],
    });
    emit({ type: 'step-finished', id, time: Date.now() });
    return descriptor ?? found.target;
  } catch (error) {
    emit({ type: 'step-finished', id, time: Date.now(), error: error instanceof Error ? error.message : 'failed' });
    throw error;
  }
}

/** The images behind a name as a build's results: one, or one a platform that is in the store. */
async function storedResults(resources: Resources, target: Descriptor, name: string): Promise<PlatformResult[]> {
  const store = await resources.store();
  const targets: Descriptor[] = [];
  if (isIndexType(target.mediaType)) {
    const index = JSON.parse((await store.blobs.read(target.digest, 8 << 20)).toString('utf8')) as Index;
    for (const entry of index.manifests) {
      if (entry.platform?.os !== 'unknown' && (await store.blobs.size(entry.digest)) !== undefined) targets.push(entry);
    }
  } else targets.push(target);
  const results: PlatformResult[] = [];
  for (const descriptor of targets) {
    const image = await loadStored(resources, descriptor, name);
    const configBytes = await store.blobs.read(image.configDescriptor.digest, 8 << 20);
    results.push({
      chain: { layers: [] },
      image: {
        platform: image.platform,
        config: image.config,
        configBytes,
        configDescriptor: image.configDescriptor,
        layers: image.layers.map(({ diffId, origin }) => ({
          diffId,
          // An uncompressed layer was built here: it is compressed for the registry.
          origin: origin.descriptor.mediaType === MediaType.ociLayer ? undefined : origin,
        })),
        baseHistory: image.config.history?.length ?? 0,
      },
    });
  }
  return results;
}
