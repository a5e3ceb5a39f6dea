import fs from 'node:fs';

import { errnoOf } from '@strake/core';
import { closeDescriptor, openAt2, OpenFlag, ResolveFlag } from '@strake/sys';

/** A file or folder that had to be made as a mount point. */
export interface Stub {
  /** Absolute within the root; no component is a link. */
  readonly path: string;
  readonly kind: 'file' | 'folder';
  readonly inode: bigint;
  /** Times of the folder that it was made in, in nanoseconds: before it was made, and right after. */
  readonly parentTimes: { readonly before: bigint; readonly after: bigint };
}

/** Where a path of a root leads to. */
export interface Place {
  /** A handle (O_PATH) of the file or folder; the receiver closes it. */
  readonly fd: number;
  /** Absolute within the root, without links. */
  readonly path: string;
  readonly kind: 'file' | 'folder';
}

const MAX_LINKS = 255;
const STEP = ResolveFlag.beneath | ResolveFlag.noSymlinks | ResolveFlag.noMagicLinks;

/**
 * Walks PATH inside the root that ROOT is a descriptor of, one component at a time and each from a handle of the one before:
 * links count from the root, `..` stops there, and whoever swaps a component meanwhile gains nothing.
 * With `create`, what is missing is made: folders, and a last component of that kind (0755 or 0644, root's); each is told to `created`.
 * @throws SystemCallError `ENOENT` for what is missing without `create`; `ELOOP`, `ENOTDIR`
 */
export function walkRoot(
  root: number,
  path: string,
  options: { readonly create?: 'file' | 'folder'; readonly created?: (stub: Stub) => void } = {},
): Place {
  const stack: { name: string; fd: number }[] = [];
  const top = (): number => stack.at(-1)?.fd ?? root;
  const where = (name?: string): string =>
    `/${[...stack.map((s) => s.name), ...(name === undefined ? [] : [name])].join('/')}`;
  const pending = path.split('/').reverse();
  let links = 0;
  try {
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        const left = stack.pop();
        if (left) closeDescriptor(left.fd);
        continue;
      }
      const here = `/proc/self/fd/${top()}/${name}`;
      const last = pending.every((p) => p === '' || p === '.');
      let target: string | undefined;
      try {
        target = fs.readlinkSync(here);
      } catch (error) {
        if (errnoOf(error) === 'ENOENT' && options.create)
          make(top(), name, last ? options.create : 'folder', where(name), options.created);
        else if (errnoOf(error) !== 'EINVAL') throw error;
      }
      if (target !== undefined) {
        if (++links > MAX_LINKS) throw Object.assign(new Error(`ELOOP: too many links, '${path}'`), { code: 'ELOOP' });
        if (target.startsWith('/')) for (const left of stack.splice(0)) closeDescriptor(left.fd);
        pending.push(...target.split('/').reverse());
        continue;
      }
      const flags = OpenFlag.path | OpenFlag.nofollow | (last ? 0 : OpenFlag.directory);
      stack.push({ name, fd: openAt2(top(), name, flags, STEP) });
    }
    const place = where();
    const end = stack.pop();
    const fd = end?.fd ?? openAt2(root, '.', OpenFlag.path | OpenFlag.directory, STEP);
    return { fd, path: place, kind: fs.fstatSync(fd).isDirectory() ? 'folder' : 'file' };
  } finally {
    for (const left of stack) closeDescriptor(left.fd);
  }
}

function make(folder: number, name: string, kind: Stub['kind'], path: string, created?: (stub: Stub) => void): void {
  const parent = `/proc/self/fd/${folder}`;
  const before = fs.statSync(parent, { bigint: true }).mtimeNs;
  const made = `${parent}/${name}`;
  if (kind === 'folder') {
    fs.mkdirSync(made);
    fs.chmodSync(made, 0o755);
  } else {
    const fd = fs.openSync(
      made,
      fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_WRONLY | fs.constants.O_NOFOLLOW,
      0o644,
    );
    fs.fchmodSync(fd, 0o644);
    fs.closeSync(fd);
  }
  const inode = fs.lstatSync(made, { bigint: true }).ino;
  const after = fs.statSync(parent, { bigint: true }).mtimeNs;
  created?.({ path, kind, inode, parentTimes: { before, after } });
}
