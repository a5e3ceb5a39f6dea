import { isDigest, type Digest } from '@strake/core';

import type { BlobStore } from '../types.js';

const DOCUMENT_LIMIT = 8 << 20;
/** Records are flat; images are indexes of manifests, hardly ever of indexes. */
const MAX_DEPTH = 8;

/** Every digest in a JSON value. */
export function digestsIn(value: unknown, into: Set<Digest> = new Set(), depth = 0): Set<Digest> {
  if (isDigest(value)) into.add(value);
  else if (typeof value === 'object' && value !== null && depth < MAX_DEPTH) {
    for (const one of Object.values(value)) digestsIn(one, into, depth + 1);
  }
  return into;
}

interface Document {
  readonly manifests?: unknown;
  readonly config?: unknown;
  readonly layers?: unknown;
  readonly rootfs?: { readonly diff_ids?: unknown } | undefined;
}

async function readDocument(blobs: BlobStore, digest: Digest): Promise<Document | undefined> {
  const size = await blobs.size(digest);
  if (size === undefined || size > DOCUMENT_LIMIT) return undefined;
  try {
    const value = JSON.parse((await blobs.read(digest, DOCUMENT_LIMIT)).toString('utf8')) as unknown;
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch (error) {
    // A root may be anything that someone pushed under a name.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function descriptors(value: unknown): Digest[] {
  const all: unknown[] = Array.isArray(value) ? value : [value];
  return all.map((one) => (one as { digest?: unknown } | null)?.digest).filter(isDigest);
}

/** What an image consists of: documents, layers as blobs and by diff ID. Platforms that were never fetched are left out. */
export async function imageContent(
  blobs: BlobStore,
  root: Digest,
): Promise<{ readonly holds: Set<Digest>; readonly chains: Digest[][] }> {
  const holds = new Set<Digest>();
  const chains: Digest[][] = [];
  const visit = async (digest: Digest, depth: number): Promise<void> => {
    if (holds.has(digest) || depth > MAX_DEPTH) return;
    holds.add(digest);
    const document = await readDocument(blobs, digest);
    if (!document) return;
    for (const child of descriptors(document.manifests ?? [])) await visit(child, depth + 1);
    for (const layer of descriptors(document.layers ?? [])) holds.add(layer);
    for (const config of document.layers === undefined ? [] : descriptors(document.config)) {
      holds.add(config);
      const ids = (await readDocument(blobs, config))?.rootfs?.diff_ids;
      const chain = Array.isArray(ids) ? ids.filter(isDigest) : [];
      chains.push(chain);
      for (const diffId of chain) holds.add(diffId);
    }
  };
  await visit(root, 0);
  return { holds, chains };
}
