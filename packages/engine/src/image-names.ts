import {
  canonicalName,
  hexOf,
  isIndexType,
  parseReference,
  StrakeError,
  type Descriptor,
  type Digest,
  type Manifest,
} from '@strake/core';
import type { Store } from '@strake/store';

const DOCUMENT_LIMIT = 8 << 20;

/** An image of the local store as a name or digest prefix found it. */
export interface FoundImage {
  /** Canonical; for an image found by digest, its first name. */
  readonly name: string;
  readonly target: Descriptor;
}

/** The error for a name that no image has. */
export function imageNotFound(name: string): StrakeError {
  return new StrakeError({
    code: 'IMAGE_NOT_FOUND',
    message: `no image "${name}" in the local store`,
    hint: 'strake images lists what is there; strake pull gets one from a registry.',
  });
}

/**
 * Looks an image up by name, or by the first digits of its id (the digest of its config) or of its manifest's digest.
 * @throws StrakeError `IMAGE_NOT_FOUND`
 */
export async function findImage(store: Store, text: string): Promise<FoundImage> {
  const hex = text.replace(/^sha256:/, '');
  if (!/^[0-9a-f]{64}$/.test(hex)) {
    const name = canonicalName(parseReference(text));
    const record = await store.references.get(name);
    if (record) return { name, target: record.target };
  }
  if (/^[0-9a-f]{6,64}$/.test(hex)) {
    const matching = [];
    for (const record of await store.references.list()) {
      const digests = [record.target.digest, await configDigest(store, record.target)];
      if (digests.some((digest) => digest !== undefined && hexOf(digest).startsWith(hex))) matching.push(record);
    }
    const [first] = matching;
    if (first && new Set(matching.map(({ target }) => target.digest)).size === 1) {
      return { name: first.name, target: first.target };
    }
  }
  throw imageNotFound(text);
}

/** The digest of an image's config; an index has none. */
async function configDigest(store: Store, target: Descriptor): Promise<Digest | undefined> {
  if (isIndexType(target.mediaType)) return undefined;
  const manifest = JSON.parse((await store.blobs.read(target.digest, DOCUMENT_LIMIT)).toString('utf8')) as Manifest;
  return manifest.config.digest;
}
