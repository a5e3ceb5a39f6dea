import {
  collect,
  formatPlatform,
  isDigest,
  isIndexType,
  isNestedDeeper,
  normalizePlatform,
  selectPlatform,
  type ByteStream,
  type Descriptor,
  type Digest,
  type ImageConfig,
  type ImageReference,
  type Index,
  type Manifest,
  type Platform,
} from '@strake/core';

import { builderError } from '../errors.js';
import type { LayerOrigin } from '../result.js';
import { imageConfigOf } from './image-shape.js';

/** Where an image's documents and layers are read from: a registry, an OCI layout, the store. Content is verified by whoever reads. */
export interface ImageContent {
  /** For messages. */
  readonly name: string;
  readonly reference?: ImageReference | undefined;
  blob(descriptor: Descriptor, signal?: AbortSignal): ByteStream;
}

/** An image for one platform. */
export interface LoadedImage {
  readonly manifest: Descriptor;
  readonly config: ImageConfig;
  readonly configDescriptor: Descriptor;
  readonly layers: readonly { readonly diffId: Digest; readonly origin: LayerOrigin }[];
  readonly platform: Platform;
}

/** Largest manifest, index or config that is read; the specification asks for 4 MiB. */
const DOCUMENT_LIMIT = 8 << 20;
/** Indexes may hold indexes, but not without end. */
const MAX_DEPTH = 4;
/** Lists and objects of a document in one another; the specification needs six. */
const MAX_NESTING = 64;

/**
 * Follows a descriptor to the image of one platform. Every document is checked for its shape before it is used.
 * @throws StrakeError `BASE_INVALID`, `PLATFORM_MISSING`
 */
export async function loadImage(
  content: ImageContent,
  root: Descriptor,
  platform: Platform,
  signal?: AbortSignal,
): Promise<LoadedImage> {
  let descriptor = soundDescriptor(content, root);
  for (let depth = 0; ; depth++) {
    const document = await readDocument(content, descriptor, signal);
    // What is both could be another image for each program that reads it (CVE-2021-41190).
    if (isThere(document['manifests']) && (isThere(document['layers']) || isThere(document['config']))) {
      throw invalid(content, `${descriptor.digest} is both a manifest and an index`);
    }
    const isIndex = isIndexType(descriptor.mediaType) || Array.isArray(document['manifests']);
    if (!isIndex) return loadManifest(content, descriptor, document as unknown as Manifest, platform, signal);
    if (depth >= MAX_DEPTH) throw invalid(content, 'its indexes are nested too deep');
    const index = document as unknown as Index;
    if (!Array.isArray(index.manifests))
      throw invalid(content, `${descriptor.digest} is not the index that it is said to be`);
    const entries = (index.manifests as readonly unknown[]).map((entry) => soundDescriptor(content, entry));
    const found =
      selectPlatform(entries, platform) ?? (entries.length === 1 && !entries[0]?.platform ? entries[0] : undefined);
    if (!found) {
      const has = entries.flatMap((entry) =>
        entry.platform && entry.platform.os !== 'unknown' ? [formatPlatform(entry.platform)] : [],
      );
      throw builderError('PLATFORM_MISSING', `${content.name}: no match for platform ${formatPlatform(platform)}`, {
        hint: has.length > 0 ? `The image is there for ${has.join(', ')}.` : 'The image has no platform at all.',
      });
    }
    descriptor = found;
  }
}

async function loadManifest(
  content: ImageContent,
  descriptor: Descriptor,
  manifest: Manifest,
  wanted: Platform,
  signal?: AbortSignal,
): Promise<LoadedImage> {
  const configDescriptor = soundDescriptor(content, manifest.config);
  const layers: unknown = (manifest as Partial<Manifest>).layers ?? [];
  if (!Array.isArray(layers)) throw invalid(content, `the layers of ${descriptor.digest} are no list`);
  const descriptors = (layers as readonly unknown[]).map((layer) => soundDescriptor(content, layer));
  if (descriptors.some(({ mediaType }) => mediaType.endsWith('+encrypted'))) {
    throw builderError('UNSUPPORTED', `${content.name}: its layers are encrypted, which is not supported`, {
      hint: 'Decrypt it with a tool that has its key (skopeo copy --decryption-key), and build on the copy.',
    });
  }
  const checked = imageConfigOf(await readDocument(content, configDescriptor, signal));
  if ('wrong' in checked) throw invalid(content, `of its config, ${checked.wrong}`);
  const { config } = checked;
  const diffIds: unknown = (config.rootfs as ImageConfig['rootfs'] | undefined)?.diff_ids ?? [];
  if (!Array.isArray(diffIds) || !diffIds.every(isDigest))
    throw invalid(content, 'its config has no sound rootfs.diff_ids');
  if (diffIds.length !== descriptors.length) {
    throw invalid(content, `it has ${descriptors.length} layers, its config speaks of ${diffIds.length}`);
  }
  const platform =
    typeof config.os === 'string' && config.os !== '' && typeof config.architecture === 'string'
      ? normalizePlatform({
          os: config.os,
          architecture: config.architecture,
          ...(typeof config.variant === 'string' ? { variant: config.variant } : {}),
        })
      : wanted;
  return {
    manifest: descriptor,
    config,
    configDescriptor,
    platform,
    layers: descriptors.map((layer, i) => ({
      diffId: diffIds[i] as Digest,
      origin: {
        descriptor: layer,
        reference: content.reference,
        fetch: (s?: AbortSignal) => content.blob(layer, s),
      },
    })),
  };
}

async function readDocument(
  content: ImageContent,
  descriptor: Descriptor,
  signal?: AbortSignal,
): Promise<Record<string, unknown>> {
  if (descriptor.size > DOCUMENT_LIMIT) throw invalid(content, `a document of it has ${descriptor.size} bytes`);
  const bytes = await collect(content.blob(descriptor, signal), DOCUMENT_LIMIT, 'an image document');
  if (isNestedDeeper(bytes, MAX_NESTING)) throw invalid(content, `the JSON of ${descriptor.digest} is nested too deep`);
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw invalid(content, `${descriptor.digest} is not JSON`, cause);
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw invalid(content, `${descriptor.digest} is not a JSON object`);
  }
  return document as Record<string, unknown>;
}

/** A descriptor whose digest and size may be used. */
function soundDescriptor(content: ImageContent, value: unknown): Descriptor {
  const d = (typeof value === 'object' && value !== null ? value : {}) as Partial<Descriptor>;
  if (!isDigest(d.digest)) throw invalid(content, 'a digest of it is not a sha256 digest');
  if (typeof d.size !== 'number' || !Number.isSafeInteger(d.size) || d.size < 0) {
    throw invalid(content, `the size of ${d.digest} is not a number of bytes`);
  }
  const platform: unknown = d.platform;
  if (isThere(platform) && !isPlatform(platform)) throw invalid(content, `the platform of ${d.digest} is none`);
  return { ...d, mediaType: typeof d.mediaType === 'string' ? d.mediaType : '', digest: d.digest, size: d.size };
}

function isThere(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isPlatform(value: unknown): boolean {
  if (typeof value !== 'object') return false;
  const { os, architecture, variant } = value as Record<string, unknown>;
  return [os, architecture, variant].every((field) => !isThere(field) || typeof field === 'string');
}

function invalid(content: ImageContent, why: string, cause?: unknown): Error {
  return builderError('BASE_INVALID', `${content.name} is not a sound image: ${why}`, {
    cause,
    hint: 'Nothing of it was used. Pull it again, or report it to who made it.',
  });
}
