import type { EntryFacts } from '@strake/store';
import type { Digest } from '@strake/core';

import { builderError } from '../errors.js';
import { baseName, joinTree, parentPath, treePath } from '../tree/paths.js';
import type { SourceEntry } from '../tree/source-tree.js';
import type { SelectedSource } from './selection.js';
import type { FolderFacts, TargetNode, TargetTree } from './target-tree.js';

/** What the flags of a COPY or ADD ask for. */
export interface CopyFacts {
  /** `--chown`, resolved; undefined: owners as in the source. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** `--chmod`: an octal mode, or a symbolic one as a function; undefined: modes as in the source. */
  readonly mode?: number | ((mode: number, isDirectory: boolean) => number) | undefined;
}

/** Mode and owner of folders that are made on the way to a destination. */
export function madeFolder({ owner, mode }: CopyFacts): FolderFacts {
  return { mode: typeof mode === 'number' ? mode & 0o777 : 0o755, uid: owner?.uid ?? 0, gid: owner?.gid ?? 0 };
}

/** Mode and owner of a copied entry. */
export function copiedFacts(entry: EntryFacts, { owner, mode }: CopyFacts): Omit<EntryFacts, 'path'> {
  const { path: _path, ...facts } = entry;
  const isDirectory = entry.type === 'directory';
  return {
    ...facts,
    uid: owner?.uid ?? entry.uid,
    gid: owner?.gid ?? entry.gid,
    mode:
      entry.type === 'symlink' || mode === undefined
        ? entry.mode
        : typeof mode === 'number'
          ? mode
          : mode(entry.mode, isDirectory),
  };
}

/**
 * Plans the copy of one source, as BuildKit's fsutil copies: links in the destination are followed; a folder's contents go into
 * the destination folder, which keeps mode and owner where it exists; folders below take the source's; a file never replaces a
 * folder nor a folder a file.
 * @param destination as written, absolute; a trailing slash makes it a folder
 * @throws StrakeError `COPY_CONFLICT`
 */
export function planCopy(
  target: TargetTree,
  source: SelectedSource,
  destination: string,
  facts: CopyFacts,
  digests: ReadonlyMap<string, Digest>,
): void {
  const made = madeFolder(facts);
  const isFolder = source.entry.type === 'directory';
  const ensured = treePath(destination.endsWith('/') ? destination : parentPath(destination));
  target.makeFolders(target.resolve(ensured), made);
  let to = target.resolve(treePath(destination));
  const existing = target.lookup(to);
  // A remote tree has no name: its contents go into the folder itself.
  if (existing?.type === 'directory' && source.name !== '' && (!isFolder || !source.contentsOnly)) {
    to = joinTree(to, source.name);
  }
  target.makeFolders(isFolder && source.contentsOnly && !existing ? to : parentPath(to), made);

  const copied = new Map<string, { path: string; node: TargetNode }>();
  const put = (path: string, entry: SourceEntry): void => {
    const linkTo = entry.inode === undefined ? undefined : copied.get(entry.inode);
    const node: TargetNode = {
      facts: copiedFacts(entry, facts),
      ...(linkTo ? { linkTo } : {}),
      ...(entry.type === 'file' && !linkTo ? { content: source.tree.source(entry, digests.get(entry.path)) } : {}),
    };
    if (entry.inode !== undefined && !linkTo) copied.set(entry.inode, { path, node });
    target.put(path, node);
  };

  if (!isFolder) {
    refuseFolder(target, to);
    put(to, source.entry);
    return;
  }
  const root = target.lookup(to);
  if (!root) put(to, source.entry);
  else if (root.type !== 'directory') {
    throw builderError('COPY_CONFLICT', `cannot copy to non-directory: /${to} is a ${root.type}, the source a folder`);
  } else if (to !== '') {
    // The destination folder keeps what it is, but takes the source's time.
    target.put(to, { facts: { ...root, type: 'directory', size: 0, mtime: source.entry.mtime } });
  }
  for (const { relative, entry: found, implied } of source.below) {
    const entry = implied ? { ...found, mtime: target.now } : found;
    const path = joinTree(to, relative);
    if (entry.type === 'directory') {
      const there = target.lookup(path);
      if (there && there.type !== 'directory') {
        throw builderError(
          'COPY_CONFLICT',
          `cannot copy to non-directory: /${path} is a ${there.type}, the source a folder`,
        );
      }
    } else refuseFolder(target, path);
    put(path, entry);
  }
}

function refuseFolder(target: TargetTree, path: string): void {
  if (target.lookup(path)?.type === 'directory') {
    throw builderError('COPY_CONFLICT', `cannot replace to directory /${path} with file`, {
      hint: `"/${baseName(path)}" is a folder there: remove it first, or copy under another name.`,
    });
  }
}
