import { canonicalJson, digestOf, type Digest } from '@strake/core';

import type { RecordedParts } from './types.js';

/** The key of a step: the digest of its parts. */
export function keyOf(parts: RecordedParts): Digest {
  return digestOf(canonicalJson({ version: 1, ...parts }));
}

/** Where the digest of a part of a result is remembered. */
export function contentKey(identity: Digest, selector: unknown): Digest {
  return digestOf(canonicalJson({ version: 1, content: identity, selector }));
}
