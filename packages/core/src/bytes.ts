import type { Digest } from './digest.js';
import { Hasher } from './hash.js';
import { StrakeError } from './errors.js';

/** A stream of bytes: what blobs, tars and bodies are passed as. Whoever stops reading early calls `return()` (for-await does). */
export type ByteStream = AsyncIterable<Uint8Array>;

/**
 * All bytes of a stream in one buffer.
 * @throws StrakeError `TOO_LARGE` where there are more than LIMIT bytes: nothing from outside is read without bound
 */
export async function collect(stream: ByteStream, limit: number, what = 'input'): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > limit) throw new StrakeError({ code: 'TOO_LARGE', message: `${what} is larger than ${limit} bytes` });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/**
 * STREAM unchanged, with its digest and size checked before its end is reported.
 * @throws StrakeError `DIGEST_MISMATCH`
 */
export async function* verified(
  stream: ByteStream,
  expected: { readonly digest: Digest; readonly size?: number | undefined },
  what = 'content',
): AsyncGenerator<Uint8Array> {
  const hasher = new Hasher();
  const fail = (why: string): never => {
    throw new StrakeError({
      code: 'DIGEST_MISMATCH',
      message: `${what} ${expected.digest} does not have the digest and size that it claims: ${why}`,
      hint: 'It was damaged or replaced on its way. Nothing of it was used.',
    });
  };
  for await (const chunk of stream) {
    hasher.update(chunk);
    if (expected.size !== undefined && hasher.size > expected.size) fail(`it has more than ${expected.size} bytes`);
    yield chunk;
  }
  if (expected.size !== undefined && hasher.size !== expected.size) {
    fail(`it has ${hasher.size} bytes instead of ${expected.size}`);
  }
  const actual = hasher.digest();
  if (actual !== expected.digest) fail(`its digest is ${actual}`);
}
