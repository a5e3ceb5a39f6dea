import {
  canonicalJson,
  wellFormed,
  digestOf,
  MediaType,
  normalizePlatform,
  type Descriptor,
  type Digest,
  type HistoryEntry,
  type ImageConfig,
  type Manifest,
  type Platform,
} from '@strake/core';
import type { Store } from '@strake/store';

import { annotationsFor, type Annotation } from './outputs/annotations.js';
import { EXPORTER_COMMENT, fillTimes, HISTORY_COMMENT, type HistoryItem } from './lower/history.js';
import type { StageState } from './lower/stage-state.js';
import type { LayerOrigin } from './result.js';

/** How layers that were built here are compressed where the image goes. */
export type Compression = 'uncompressed' | 'gzip' | 'zstd';

/** A built image before its layers get their final form. */
export interface BuiltImage {
  readonly platform: Platform;
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
  readonly configDescriptor: Descriptor;
  readonly layers: readonly { readonly diffId: Digest; readonly origin?: LayerOrigin | undefined }[];
  /** How many entries of the history, from the first, came with the base image. */
  readonly baseHistory: number;
}

export interface AssembleOptions {
  readonly labels: Readonly<Record<string, string>>;
  /** Set where `--platform` was given. */
  readonly platform: Platform | undefined;
  /** Seconds since 1970: SOURCE_DATE_EPOCH. */
  readonly epoch: number | undefined;
  /** When a step's result was made; milliseconds. */
  readonly createdAt: (item: Pick<HistoryItem, 'vertex'>) => Promise<number | undefined>;
}

/** The image config of a stage, as BuildKit writes it. */
export async function assembleConfig(
  state: StageState,
  diffIds: readonly Digest[],
  options: AssembleOptions,
): Promise<ImageConfig> {
  const rfc3339 = (milliseconds: number): string => new Date(milliseconds).toISOString();
  const added: HistoryEntry[] = [];
  for (const item of state.history) {
    const created = options.epoch !== undefined ? options.epoch * 1000 : await options.createdAt(item);
    added.push({
      ...(created !== undefined && (options.epoch !== undefined || !item.emptyLayer)
        ? { created: rfc3339(created) }
        : {}),
      created_by: item.createdBy,
      comment: HISTORY_COMMENT,
      ...(item.emptyLayer ? { empty_layer: true } : {}),
    });
  }
  // Where the base's history lacks entries (files have none), BuildKit's exporter finds so many layers too many, and names the last.
  const { layers, unnamed, layerName } = state.base;
  const built = state.history.filter(({ emptyLayer }) => !emptyLayer);
  for (let i = layers + built.length - unnamed; i < layers + built.length; i++) {
    const item = built[i - layers];
    const created = options.epoch !== undefined ? options.epoch * 1000 : await options.createdAt(item ?? state);
    added.push({
      ...(created !== undefined ? { created: rfc3339(created) } : {}),
      created_by: item ? (item.layerName ?? item.vertex?.name ?? '') : layerName,
      comment: EXPORTER_COMMENT,
    });
  }
  const history = fillTimes([...state.baseHistory, ...added]);
  const config = structuredClone(state.config);
  if (Object.keys(options.labels).length > 0) config.Labels = { ...config.Labels, ...options.labels };
  const created = history.at(-1)?.created;
  return {
    ...withPlatform(state.image, options.platform),
    ...(created === undefined ? {} : { created }),
    config,
    rootfs: { type: 'layers', diff_ids: [...diffIds] },
    history,
  };
}

/** An image for PLATFORM. Of a base for the same processor the variant stays, and the version of its system; of another's nothing. */
function withPlatform(image: StageState['image'], platform: Platform | undefined): StageState['image'] {
  const { os, architecture, variant, 'os.version': version, 'os.features': features, ...rest } = image;
  const same = !platform || (platform.os === os && platform.architecture === architecture);
  const named: Platform = {
    os: os || 'linux', // an image may lack both
    architecture: architecture || '',
    ...(same && variant ? { variant } : {}),
    ...(same && version ? { 'os.version': version } : {}),
    ...(features ? { 'os.features': features } : {}),
    ...platform,
  };
  const { 'os.features': list, ...normal } = normalizePlatform(named);
  return { ...rest, ...normal, ...(list ? { 'os.features': [...list] } : {}) };
}

/** The config with its bytes and descriptor. */
export function describeConfig(
  given: ImageConfig,
  layers: BuiltImage['layers'],
): Pick<BuiltImage, 'config' | 'configBytes' | 'configDescriptor' | 'layers'> {
  const config = wellFormed(given);
  const configBytes = Buffer.from(canonicalJson(config));
  return {
    config,
    configBytes,
    configDescriptor: { mediaType: MediaType.ociConfig, digest: digestOf(configBytes), size: configBytes.length },
    layers,
  };
}

/** A manifest with its bytes and descriptor. */
export interface BuiltManifest {
  readonly manifest: Manifest;
  readonly bytes: Buffer;
  readonly descriptor: Descriptor;
}

const DOCKER_TYPES: Readonly<Record<string, string>> = {
  [MediaType.ociManifest]: MediaType.dockerManifest,
  [MediaType.ociConfig]: MediaType.dockerConfig,
  [MediaType.ociLayer]: MediaType.dockerLayer,
  [MediaType.ociLayerGzip]: MediaType.dockerLayerGzip,
  [MediaType.ociIndex]: MediaType.dockerIndex,
};

/** A media type in the family asked for: of the OCI, or Docker's. */
export function mediaTypeIn(family: 'oci' | 'docker', mediaType: string): string {
  if (family === 'docker') return DOCKER_TYPES[mediaType] ?? mediaType;
  return Object.entries(DOCKER_TYPES).find(([, docker]) => docker === mediaType)?.[0] ?? mediaType;
}

export interface ManifestOptions {
  readonly compression: Compression;
  readonly level?: number | undefined;
  /** Compress layers of the base anew where they have another compression. */
  readonly force?: boolean | undefined;
  readonly family: 'oci' | 'docker';
  readonly annotations: readonly Annotation[];
}

/** The manifest of an image; layers that were built here get their compressed form. BuildKit indents manifests by two blanks. */
export async function assembleManifest(
  image: BuiltImage,
  options: ManifestOptions,
  store: Store,
  signal: AbortSignal,
): Promise<BuiltManifest> {
  const layers: Descriptor[] = [];
  for (const { diffId, origin } of image.layers) {
    const descriptor = await layerDescriptor(diffId, origin, options, store, signal);
    layers.push({ ...descriptor, mediaType: mediaTypeIn(options.family, descriptor.mediaType) });
  }
  const annotations = annotationsFor(options.annotations, 'manifest', image.platform);
  const described = annotationsFor(options.annotations, 'manifest-descriptor', image.platform);
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypeIn(options.family, MediaType.ociManifest),
    config: { ...image.configDescriptor, mediaType: mediaTypeIn(options.family, MediaType.ociConfig) },
    layers,
    ...(annotations ? { annotations } : {}),
  };
  const bytes = Buffer.from(JSON.stringify(manifest, null, 2));
  return {
    manifest,
    bytes,
    descriptor: {
      mediaType: manifest.mediaType ?? MediaType.ociManifest,
      digest: digestOf(bytes),
      size: bytes.length,
      platform: image.platform,
      ...(described ? { annotations: described } : {}),
    },
  };
}

async function layerDescriptor(
  diffId: Digest,
  origin: LayerOrigin | undefined,
  { compression, force, level }: ManifestOptions,
  store: Store,
  signal: AbortSignal,
): Promise<Descriptor> {
  if (origin && !force) {
    const { mediaType, digest, size } = origin.descriptor;
    return { mediaType: mediaType || MediaType.ociLayerGzip, digest, size };
  }
  if (compression !== 'uncompressed') return store.layers.compress(diffId, compression, signal, level);
  const size = (await store.layers.size(diffId)) ?? 0;
  return { mediaType: MediaType.ociLayer, digest: diffId, size };
}

/**
 * The bytes of a manifest's layer: from the store, or from where the base image came from. That a base image's layer has the diff
 * ID that its config claims is checked first, also where no step has read it.
 * @throws StrakeError `LAYER_INVALID`, `DIGEST_MISMATCH`
 */
export async function* layerBytes(
  image: BuiltImage,
  descriptor: Descriptor,
  store: Store,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let source: LayerOrigin | undefined;
  for (const { diffId, origin } of image.layers) {
    if (origin?.descriptor.digest !== descriptor.digest) continue;
    await store.layers.import(diffId, origin.descriptor, (s) => origin.fetch(s), signal);
    source = origin;
  }
  if ((await store.blobs.size(descriptor.digest)) !== undefined) yield* store.blobs.open(descriptor.digest);
  else if (source) yield* source.fetch(signal);
  else throw new Error(`no content for layer ${descriptor.digest}`);
}
