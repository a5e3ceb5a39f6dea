import { bytesOfText, hasEscapedBytes } from '@strake/core';
import { posix } from 'node:path';

/** A path as trees name it: cleaned, `..` cut off at the root, no leading or trailing slash; '' for the root. */
export function treePath(path: string): string {
  return posix.join('/', path).replace(/\/+$/, '').slice(1);
}

/** A path below a folder of a tree. */
export function joinTree(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

/** The folder that a tree path lies in; '' for those in the root and for the root itself. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** The last component of a tree path; '' for the root. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** A path for node:fs, which takes names that are no UTF-8 (core's `textOfBytes`) as bytes only. */
export function fsPath(path: string): string | Buffer {
  return hasEscapedBytes(path) ? bytesOfText(path) : path;
}

/** Order of names by their bytes. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  // Without surrogates, the order of UTF-16 units is that of the bytes.
  if (!/[\ud800-\udfff]/.test(a) && !/[\ud800-\udfff]/.test(b)) return a < b ? -1 : 1;
  return Buffer.compare(bytesOfText(a), bytesOfText(b));
}

/** Sorts names by their bytes, in place. */
export function sortNames(names: string[]): string[] {
  return names.some((name) => /[\ud800-\udfff]/.test(name)) ? names.sort(compareBytes) : names.sort();
}

/** Links that a resolution may follow before it counts as a loop; as containerd's RootPath. */
export const MAX_LINKS = 255;

const PATH_MAX = 4096;

/** Bytes of the longest path that a layer may have: PATH_MAX less room for the place that a tree is unpacked to. */
export const LONGEST_PATH = 3800;

/**
 * Follows the links of PATH inside a tree's root. LOOKUP gives the type and link of exactly one path. Missing components stay.
 * Returns undefined after too many links.
 */
export function resolveInTree(
  path: string,
  lookup: (path: string) => { readonly type: string; readonly link?: string | undefined } | undefined,
  nofollow = false,
): string | undefined {
  let links = 0;
  /** The paths of the components so far; they share their beginnings. */
  const done: string[] = [];
  const todo = path.split('/').reverse();
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      done.pop();
      continue;
    }
    const current = joinTree(done.at(-1) ?? '', part);
    const last = nofollow && todo.every((rest) => rest === '' || rest === '.');
    // Nothing is at a path that is longer than a system takes; links can make one of a million components.
    const entry = last || current.length > PATH_MAX ? undefined : lookup(current);
    if (entry?.type === 'symlink' && entry.link !== undefined) {
      if (++links > MAX_LINKS) return undefined;
      if (entry.link.startsWith('/')) done.length = 0;
      todo.push(...entry.link.split('/').reverse());
      continue;
    }
    done.push(current);
  }
  return done.at(-1) ?? '';
}
