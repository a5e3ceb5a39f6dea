import { isDigest, isIndexType, isManifestType, isNestedDeeper, MediaType, type ImageReference } from '@strake/core';
import { manifestInvalid } from './errors.js';

/** Media types of manifests and indexes that are asked for, in order of preference. */
export const MANIFEST_TYPES: readonly string[] = [
  MediaType.ociIndex,
  MediaType.ociManifest,
  MediaType.dockerIndex,
  MediaType.dockerManifest,
];

/** Content types that say nothing: registries made of static files send them. */
const VAGUE = new Set(['', 'application/json', 'text/plain', 'application/octet-stream', 'binary/octet-stream']);
const MAX_DESCRIPTORS = 10_000;

type Fields = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** The media type in a Content-Type header, without parameters. */
export function bareType(contentType: string | undefined): string {
  return (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/**
 * Checks a manifest or index as it came, and returns its media type: Content-Type and `mediaType` must agree, it must not be
 * both a manifest and an index (CVE-2021-41190), and every descriptor needs a usable digest and size.
 * @throws StrakeError `MANIFEST_INVALID`
 */
export function checkManifest(reference: ImageReference, bytes: Uint8Array, contentType: string | undefined): string {
  const refuse = (why: string): never => {
    throw manifestInvalid(reference, why);
  };
  if (isNestedDeeper(bytes, 64)) return refuse('its JSON is nested too deep');
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    return refuse('it is not JSON');
  }
  if (!isObject(parsed)) return refuse('it is not an object');
  const announced = bareType(contentType);
  if (parsed['schemaVersion'] === 1 || announced.includes('docker.distribution.manifest.v1+')) {
    return refuse('it has the format of Docker before 2016 (schema 1), which holds no digests of layers');
  }
  if (parsed['schemaVersion'] !== 2) return refuse('its schemaVersion is not 2');
  const own = parsed['mediaType'];
  if (own !== undefined && typeof own !== 'string') return refuse('its mediaType is no text');
  if (own !== undefined && !VAGUE.has(announced) && own !== announced) {
    return refuse('its Content-Type and its mediaType differ');
  }
  const hasManifests = parsed['manifests'] !== undefined;
  const hasLayers = parsed['layers'] !== undefined || parsed['config'] !== undefined;
  if (hasManifests && hasLayers) return refuse('it is both a manifest and an index');
  const type = own ?? (VAGUE.has(announced) ? (hasManifests ? MediaType.ociIndex : MediaType.ociManifest) : announced);
  if (isIndexType(type)) checkDescriptors(parsed['manifests'], 'manifests', refuse);
  else if (isManifestType(type)) {
    checkDescriptors([parsed['config']], 'config', refuse);
    checkDescriptors(parsed['layers'], 'layers', refuse);
  } else return refuse('its media type is none of an image');
  return type;
}

function checkDescriptors(list: unknown, where: string, refuse: (why: string) => never): void {
  if (!Array.isArray(list)) return refuse(`"${where}" is no list`);
  if (list.length > MAX_DESCRIPTORS) return refuse(`"${where}" has more than ${MAX_DESCRIPTORS} entries`);
  for (const entry of list as unknown[]) {
    if (!isObject(entry)) return refuse(`"${where}" holds something that is no descriptor`);
    const { digest, size, mediaType } = entry;
    if (!isDigest(digest)) return refuse(`"${where}" has a digest that is not sha256`);
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
      return refuse(`"${where}" has no valid size`);
    if (typeof mediaType !== 'string') return refuse(`"${where}" has an entry without a mediaType`);
  }
}
