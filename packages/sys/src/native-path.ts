import { bytesOfText, hasEscapedBytes } from '@strake/core';

/** A path as libc takes it: names that are no UTF-8 (core's `textOfBytes`) as bytes, ended by NUL. */
export function nativePath(path: string): string | Buffer {
  return hasEscapedBytes(path) ? Buffer.concat([bytesOfText(path), Buffer.of(0)]) : path;
}
