import { bytesOfText, hasEscapedBytes } from '@strake/core';

/** A path for node:fs. */
export function fsPath(path: string): string | Buffer {
  return hasEscapedBytes(path) ? bytesOfText(path) : path;
}

/**
 * A path for @strake/sys. Its functions pass on what they are given; for names that are no UTF-8 that must be bytes, ended by
 * NUL, which their types do not tell.
 */
export function sysPath(path: string): string {
  return hasEscapedBytes(path) ? (Buffer.concat([bytesOfText(path), Buffer.of(0)]) as unknown as string) : path;
}

/** Where overlayfs keeps its marks: user.overlay.* where it is mounted with `userxattr`, in a user namespace. */
export function opaqueXattr(userNamespace: boolean): string {
  return userNamespace ? 'user.overlay.opaque' : 'trusted.overlay.opaque';
}

/** Owners that this user namespace has no id for: `uid:gid`. Read back when a step's changes become a layer. */
export const OWNER_XATTR = 'user.strake.owner';
