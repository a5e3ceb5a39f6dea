import { errnoOf, StrakeError, type Digest } from '@strake/core';

/** What can go wrong in the store. */
export type StoreErrorCode =
  | 'BLOB_NOT_FOUND'
  | 'COMPRESSION_UNSUPPORTED'
  | 'DIGEST_MISMATCH'
  | 'DISK_FULL'
  | 'LAYER_INVALID'
  | 'LAYER_NOT_FOUND'
  | 'LINK_LOOP'
  | 'NAME_UNREPRESENTABLE'
  | 'SNAPSHOT_NOT_FOUND'
  | 'SOURCE_CHANGED'
  | 'SOURCE_DENIED'
  | 'STORE_DENIED'
  | 'STORE_VERSION'
  | 'TOO_LARGE';

function storeError(code: StoreErrorCode, message: string, hint?: string, cause?: unknown): StrakeError {
  return new StrakeError({ code, message, hint, cause });
}

/** Bytes of NAME as they may be shown: one line, no control characters, not endless. */
export function shown(name: string): string {
  const clean = name.replace(/[\p{Cc}\ud800-\udfff]/gu, '?');
  return clean.length > 200 ? `${clean.slice(0, 200)}…` : clean;
}

export function blobNotFound(digest: Digest, cause?: unknown): StrakeError {
  return storeError('BLOB_NOT_FOUND', `the store has no blob ${digest}`, undefined, cause);
}

export function compressionUnsupported(compression: string): StrakeError {
  return storeError(
    'COMPRESSION_UNSUPPORTED',
    `this Node.js (${process.version}) cannot compress with ${compression}`,
    'zstd needs Node.js 22.15 or newer; gzip works everywhere.',
  );
}

export function digestMismatch(what: string, expected: string, actual: string): StrakeError {
  return storeError(
    'DIGEST_MISMATCH',
    `${what} does not have the digest that it claims: expected ${expected}, got ${actual}`,
    'It was damaged or replaced on its way. Nothing of it was used.',
  );
}

export function diskFull(path: string, cause?: unknown): StrakeError {
  return storeError(
    'DISK_FULL',
    `no space left for ${path}`,
    'Free some space, remove what is no longer used with `strake prune`, or choose another folder with --root.',
    cause,
  );
}

export function layerInvalid(why: string, cause?: unknown): StrakeError {
  return storeError(
    'LAYER_INVALID',
    `the layer is invalid: ${why}`,
    'The image was made wrongly, or to do harm. Nothing of the layer was unpacked.',
    cause,
  );
}

export function layerNotFound(diffId: Digest): StrakeError {
  return storeError('LAYER_NOT_FOUND', `the store has no layer ${diffId}`);
}

export function linkLoop(path: string): StrakeError {
  return storeError('LINK_LOOP', `too many symbolic links on the way to /${shown(path)}`);
}

export function nameUnrepresentable(path: string, why: string): StrakeError {
  return storeError(
    'NAME_UNREPRESENTABLE',
    `/${shown(path)} cannot be stored in an image layer: ${why}`,
    'Give the file another name, or remove it before the step ends.',
  );
}

export function snapshotNotFound(id: string): StrakeError {
  return storeError('SNAPSHOT_NOT_FOUND', `there is no snapshot ${id}`);
}

export function sourceChanged(path: string, why: string, cause?: unknown): StrakeError {
  return storeError(
    'SOURCE_CHANGED',
    `${shown(path)} changed while it was read: ${why}`,
    'Build again when nothing writes to the build context.',
    cause,
  );
}

export function sourceDenied(path: string, cause: unknown): StrakeError {
  const errno = errnoOf(cause) ?? 'EACCES';
  return storeError(
    'SOURCE_DENIED',
    `${shown(path)} cannot be read: ${['EACCES', 'EPERM'].includes(errno) ? 'permission denied' : errno}`,
    'Make it readable for the user who builds, or list it in .dockerignore.',
    cause,
  );
}

/** ERROR, named by the file at PATH where that is what could not be read: a bad disk, or a file that only looks like one. */
export function readFailure(path: string, error: unknown): unknown {
  return errnoOf(error) !== undefined && (error as { syscall?: unknown }).syscall === 'read'
    ? sourceDenied(path, error)
    : error;
}

export function storeDenied(path: string, cause: unknown): StrakeError {
  return storeError(
    'STORE_DENIED',
    `${path} cannot be used as a store: ${cause instanceof Error ? cause.message : String(cause)}`,
    'Choose a folder that you may write with --root or $STRAKE_ROOT.',
    cause,
  );
}

export function storeVersion(path: string, found: string): StrakeError {
  return storeError(
    'STORE_VERSION',
    `the store ${path} has format ${shown(found)}, which this version does not know`,
    'Use the newer strake that made it, or choose another folder with --root or $STRAKE_ROOT.',
  );
}

export function tooLarge(what: string, limit: number): StrakeError {
  return storeError('TOO_LARGE', `${what} is larger than ${limit} bytes`);
}

/** ERROR of a write below PATH, as DISK_FULL where that is what it means. */
export function writeFailure(error: unknown, path: string): unknown {
  const errno = errnoOf(error);
  return errno === 'ENOSPC' || errno === 'EDQUOT' ? diskFull(path, error) : error;
}
