/** A content identifier `sha256:<64 hex digits>`, as the OCI image specification writes them (descriptor.md, "Digests"). */
export type Digest = `sha256:${string}`;

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Whether TEXT is a digest that may be used as a file name and compared as text. Anything else from outside is refused. */
export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && DIGEST.test(text);
}

/** The 64 hex digits of a digest. */
export function hexOf(digest: Digest): string {
  return digest.slice(7);
}

/** The first twelve hex digits: how a digest is shown to people. */
export function shortDigest(digest: Digest): string {
  return digest.slice(7, 19);
}
