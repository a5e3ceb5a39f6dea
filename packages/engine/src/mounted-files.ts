import { resolveInTree } from '@strake/builder';
import { errnoOf } from '@strake/core';
import type { MountSpec, UserFiles } from '@strake/runtime';
import { getXattr } from '@strake/sys';
import fs from 'node:fs';
import { join } from 'node:path';

/** Bytes of a file that are read at the most; the reader of user files sets its own limit below this. */
const LIMIT = 32 << 20;

/**
 * Small files of a file tree that is described but not mounted: the folders of an overlay are looked through from the top, links
 * are followed inside the tree.
 */
export function mountedFiles(mount: MountSpec): UserFiles {
  const folders =
    mount.kind === 'bind' ? [mount.source] : [...(mount.upper === undefined ? [] : [mount.upper]), ...mount.lower];
  const find = (path: string): { full: string; stat: fs.Stats } | undefined => {
    for (const folder of folders) {
      const full = join(folder, path);
      const stat = lstat(full);
      if (stat) return stat.isCharacterDevice() && stat.rdev === 0 ? undefined : { full, stat };
      if (hidesLower(folder, path)) return undefined;
    }
    return undefined;
  };
  return {
    read: (path) => {
      const resolved = resolveInTree(path, (part) => {
        const found = find(part);
        if (!found) return undefined;
        return found.stat.isSymbolicLink() ? { type: 'symlink', link: fs.readlinkSync(found.full) } : { type: 'other' };
      });
      const found = resolved === undefined ? undefined : find(resolved);
      if (!found?.stat.isFile() || found.stat.size > LIMIT) return Promise.resolve(undefined);
      return Promise.resolve(fs.readFileSync(found.full));
    },
  };
}

function lstat(path: string): fs.Stats | undefined {
  try {
    return fs.lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Whether a layer's folder hides what the ones below it have at PATH: a parent is no folder there, is removed, or is opaque. */
function hidesLower(folder: string, path: string): boolean {
  const parts = path.split('/');
  for (let depth = 1; depth < parts.length; depth++) {
    const parent = join(folder, ...parts.slice(0, depth));
    const stat = lstat(parent);
    if (!stat) return false;
    if (!stat.isDirectory()) return true;
    for (const name of ['trusted.overlay.opaque', 'user.overlay.opaque']) {
      if (getXattr(parent, name)?.toString() === 'y') return true;
    }
  }
  return false;
}
