import {
  digestOf,
  isDigest,
  MediaType,
  type Descriptor,
  type Digest,
  type ImageReference,
  type Index,
} from '@strake/core';
import { isStrakeError } from '@strake/core';
import { getManifest, putManifest } from './manifests.js';
import type { Session } from './session.js';
import type { TransferOptions } from './types.js';

type Fields = Readonly<Record<string, unknown>>;

/** The tag that lists the referrers of a manifest where the registry has no referrers API (OCI distribution-spec). */
export function referrersTag(digest: Digest): string {
  return digest.replace(':', '-');
}

/** What an index of referrers says of a manifest with a `subject`; undefined where it has none. */
export function referrerOf(
  descriptor: Descriptor,
  bytes: Uint8Array,
): { subject: Digest; entry: Descriptor } | undefined {
  let manifest: Fields;
  try {
    manifest = JSON.parse(Buffer.from(bytes).toString('utf8')) as Fields;
  } catch {
    return undefined;
  }
  const subject = (manifest['subject'] as Fields | undefined)?.['digest'];
  if (!isDigest(subject)) return undefined;
  const config = (manifest['config'] as Fields | undefined)?.['mediaType'];
  const artifactType = manifest['artifactType'] ?? config;
  const annotations = manifest['annotations'] as Record<string, string> | undefined;
  const entry: Descriptor = {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: descriptor.size,
    ...(typeof artifactType === 'string' ? { artifactType } : {}),
    ...(annotations ? { annotations } : {}),
  };
  return { subject, entry };
}

/** The entries of a subject's referrers tag, none where there is no such tag. */
export async function taggedReferrers(
  session: Session,
  reference: ImageReference,
  subject: Digest,
  options: TransferOptions,
): Promise<readonly Descriptor[]> {
  const { registry, repository } = reference;
  try {
    const { bytes } = await getManifest(
      session,
      { registry, repository, tag: referrersTag(subject) },
      undefined,
      options,
    );
    return (JSON.parse(bytes.toString('utf8')) as Partial<Index>).manifests ?? [];
  } catch (error) {
    if (isStrakeError(error, 'IMAGE_NOT_FOUND')) return [];
    throw error;
  }
}

/** Adds a manifest to its subject's referrers tag, for registries that did not do it themselves. */
export async function tagReferrer(
  session: Session,
  reference: ImageReference,
  referrer: { readonly subject: Digest; readonly entry: Descriptor },
  options: TransferOptions,
): Promise<void> {
  const { registry, repository } = reference;
  const known = await taggedReferrers(session, reference, referrer.subject, options);
  if (known.some((entry) => entry.digest === referrer.entry.digest)) return;
  const index: Index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [...known, referrer.entry] };
  const bytes = Buffer.from(JSON.stringify(index));
  const descriptor = { mediaType: MediaType.ociIndex, digest: digestOf(bytes), size: bytes.length };
  await putManifest(session, { registry, repository, tag: referrersTag(referrer.subject) }, descriptor, bytes, options);
}
