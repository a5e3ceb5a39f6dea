import { canonicalName, hexOf, parseReference, StrakeError, type Descriptor } from '@strake/core';
import type { Store } from '@strake/store';

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

/** Looks an image up by name, or by the first digits of its manifest's digest. @throws StrakeError `IMAGE_NOT_FOUND` */
export async function findImage(store: Store, text: string): Promise<FoundImage> {
  const hex = text.replace(/^sha256:/, '');
  if (!/^[0-9a-f]{64}$/.test(hex)) {
    const name = canonicalName(parseReference(text));
    const record = await store.references.get(name);
    if (record) return { name, target: record.target };
  }
  if (/^[0-9a-f]{6,64}$/.test(hex)) {
    const matching = (await store.references.list()).filter(({ target }) => hexOf(target.digest).startsWith(hex));
    const [first] = matching;
    if (first && new Set(matching.map(({ target }) => target.digest)).size === 1) {
      return { name: first.name, target: first.target };
    }
  }
  throw imageNotFound(text);
}
