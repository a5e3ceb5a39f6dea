import { digestOf, MediaType, type Descriptor, type Index } from '@strake/core';

import { assembleManifest, mediaTypeIn, type BuiltManifest, type ManifestOptions } from '../image.js';
import { builderError } from '../errors.js';
import { annotationsFor, areForIndex } from './annotations.js';
import type { OutputContext, PlatformResult } from './output.js';

/** The manifests of a build's platforms, and the index where there are several, or one is asked for. */
export interface ImageSet {
  readonly manifests: readonly (BuiltManifest & { readonly result: PlatformResult })[];
  readonly root: { readonly descriptor: Descriptor; readonly bytes: Buffer };
}

/** Gives layers their final form and writes the manifests. */
export async function assembleImages(
  results: readonly PlatformResult[],
  options: ManifestOptions,
  { store, signal, multiPlatform }: OutputContext,
): Promise<ImageSet> {
  const manifests = [];
  for (const result of results) {
    manifests.push({ ...(await assembleManifest(result.image, options, store, signal)), result });
  }
  const ofIndex = annotationsFor(options.annotations, 'index');
  const ofDescriptor = annotationsFor(options.annotations, 'index-descriptor');
  const [only] = manifests;
  const hasIndex = manifests.length > 1 || multiPlatform;
  if (!hasIndex && areForIndex(options.annotations)) {
    throw builderError('OUTPUT_INVALID', 'index annotations not supported for single platform export', {
      hint: 'An image of one platform has no index. Annotate its manifest: --annotation manifest:key=value.',
    });
  }
  if (!hasIndex && only) {
    const { platform: _platform, ...descriptor } = only.descriptor;
    return { manifests, root: { descriptor, bytes: only.bytes } };
  }
  const index: Index = {
    schemaVersion: 2,
    mediaType: mediaTypeIn(options.family, MediaType.ociIndex),
    manifests: manifests.map(({ descriptor }) => descriptor),
    ...(ofIndex ? { annotations: ofIndex } : {}),
  };
  const bytes = Buffer.from(JSON.stringify(index, null, 2));
  const descriptor = {
    mediaType: index.mediaType ?? '',
    digest: digestOf(bytes),
    size: bytes.length,
    ...(ofDescriptor ? { annotations: ofDescriptor } : {}),
  };
  return { manifests, root: { descriptor, bytes } };
}
