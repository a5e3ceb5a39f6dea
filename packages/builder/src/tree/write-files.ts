import type { TreeView, ViewEntry } from '@strake/store';
import { textOfBytes } from '@strake/core';
import fs from 'node:fs';
import { chmod, lchown, link, lstat, lutimes, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { fsPath, joinTree } from './paths.js';

export interface WriteFilesOptions {
  /** The folder of the tree whose content is written; default: the root. */
  readonly from?: string | undefined;
  /** As root, with the tree's owners; else everything belongs to the caller. */
  readonly owners?: boolean | undefined;
  /** Remove what the tree does not have. */
  readonly clean?: boolean | undefined;
  /** The time of all files, in seconds since 1970, instead of their own. */
  readonly epoch?: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * Writes the content of a tree's folder into a folder of this machine, with modes and times.
 * What is in the way is replaced; no link is followed, neither of the tree nor of the folder.
 * @returns how many device nodes, fifos and the like were left out
 */
export async function writeFiles(view: TreeView, folder: string, options: WriteFilesOptions): Promise<number> {
  const { clean = false, signal } = options;
  const from = options.from ?? '';
  const chowns = options.owners === true && process.getuid?.() === 0;
  const firstNames = new Map<string, string | Buffer>();
  let skipped = 0;

  const writeEntry = async (entry: ViewEntry, at: string): Promise<void> => {
    const target = fsPath(at);
    const there = await lstat(target).catch(() => undefined);
    if (there && !(there.isDirectory() && entry.type === 'directory')) {
      await rm(target, { recursive: true, force: true });
    }
    const first = entry.inode === undefined ? undefined : firstNames.get(entry.inode);
    if (first !== undefined) {
      await link(first, target);
      return;
    }
    if (entry.inode !== undefined) firstNames.set(entry.inode, target);
    switch (entry.type) {
      case 'directory':
        if (!there?.isDirectory()) await mkdir(target);
        await writeFolder(entry.path, at);
        break;
      case 'symlink':
        await symlink(fsPath(entry.link ?? ''), target);
        break;
      case 'file':
        await pipeline(view.open(entry), fs.createWriteStream(target, { flags: 'wx' }), { signal });
        break;
      default:
        skipped++;
        return;
    }
    if (chowns) await lchown(target, entry.uid, entry.gid);
    if (entry.type !== 'symlink') await chmod(target, entry.mode);
    const time = options.epoch ?? entry.mtime;
    await lutimes(target, time, time);
  };

  const writeFolder = async (path: string, target: string): Promise<void> => {
    const names = view.list(path);
    if (clean) {
      const keep = new Set(names);
      for (const name of await readdir(fsPath(target), 'buffer')) {
        const text = textOfBytes(name);
        if (!keep.has(text)) await rm(fsPath(join(target, text)), { recursive: true, force: true });
      }
    }
    for (const name of names) {
      signal.throwIfAborted();
      const entry = view.lookup(joinTree(path, name));
      if (entry) await writeEntry(entry, join(target, name));
    }
  };

  await writeFolder(from, folder);
  return skipped;
}
