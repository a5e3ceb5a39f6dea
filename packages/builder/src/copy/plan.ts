import type { ContentSource, EntryFacts, LayerEntry } from '@strake/store';

import { builderError } from '../errors.js';
import { baseName, joinTree, parentPath, treePath } from '../tree/paths.js';
import type { SourceEntry } from '../tree/source-tree.js';
import type { SelectedSource } from './selection.js';
import type { FolderFacts, TargetFacts, TargetNode, TargetTree } from './target-tree.js';

/** What the flags of a COPY or ADD ask for. */
export interface CopyFacts {
  /** `--chown`, resolved; undefined: owners as in the source. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** `--chmod`: an octal mode, or a symbolic one as a function; undefined: modes as in the source. */
  readonly mode?: number | ((mode: number, isDirectory: boolean) => number) | undefined;
}

/** Mode and owner of folders that are made on the way to a destination. */
export function madeFolder({ owner, mode }: CopyFacts): FolderFacts {
  return { mode: typeof mode === 'number' ? mode & 0o777 : 0o755, uid: owner?.uid ?? 0, gid: owner?.gid };
}

/** The mode of a copied entry. */
function copiedMode(entry: EntryFacts, { mode }: CopyFacts): number {
  if (mode === undefined || entry.type === 'symlink') return entry.mode;
  return typeof mode === 'number' ? mode : mode(entry.mode, entry.type === 'directory');
}

/** A copied entry at PATH. One literal: a copy makes as many of them as there are files. */
function copiedEntry(
  entry: EntryFacts,
  facts: CopyFacts,
  path: string,
  mtime: number,
  content?: ContentSource,
): EntryFacts & { readonly content?: ContentSource | undefined } {
  const { type, size, link, device, xattrs } = entry;
  const { uid, gid } = facts.owner ?? entry;
  return { path, type, mode: copiedMode(entry, facts), uid, gid, size, mtime, link, device, xattrs, content };
}

/** Where a source goes: the path of a file, or the folder that takes a folder's contents. */
interface Placed {
  readonly to: string;
  /** Whether nothing is at that path, neither planned nor below: then nothing can be in the way of what goes there. */
  readonly fresh: boolean;
}

/**
 * Plans the copy of one source, as BuildKit's fsutil copies: links in the destination are followed; a folder's contents go into
 * the destination folder, which keeps mode and owner where it exists; folders below take the source's; a file never replaces a
 * folder nor a folder a file. The digests of the source must have been learned.
 * @param destination as written, absolute; a trailing slash makes it a folder
 * @throws StrakeError `COPY_CONFLICT`
 */
export function planCopy(target: TargetTree, source: SelectedSource, destination: string, facts: CopyFacts): void {
  const copied = new Map<string, { path: string; node: TargetNode }>();
  const put = (path: string, entry: SourceEntry): void => {
    const linkTo = entry.inode === undefined ? undefined : copied.get(entry.inode);
    const node: TargetNode = {
      facts: copiedEntry(entry, facts, path, entry.mtime),
      ...(linkTo ? { linkTo } : {}),
      ...(entry.type === 'file' && !linkTo ? { content: source.tree.source(entry) } : {}),
    };
    if (entry.inode !== undefined && !linkTo) copied.set(entry.inode, { path, node });
    target.put(path, node);
  };
  const { to } = place(target, source, destination, facts);
  if (source.entry.type !== 'directory') {
    put(to, source.entry);
    return;
  }
  if (!target.lookup(to)) put(to, source.entry);
  for (const { relative, entry, implied } of source.below) {
    const path = joinTree(to, relative);
    const there = refuseConflict(target, path, entry);
    if (implied && there) target.put(path, { facts: passedFolder(target, there, entry) });
    else put(path, implied ? { ...entry, mtime: target.now } : entry);
  }
}

/**
 * The entries of a layer that copies one source onto TARGET, on which nothing is planned yet: as {@link planCopy} makes them, but
 * one after the other as they are asked for, and without keeping them. TOOK is told each file whose content goes in.
 * @throws StrakeError `COPY_CONFLICT`, also on the way
 */
export function* copyEntries(
  target: TargetTree,
  source: SelectedSource,
  destination: string,
  facts: CopyFacts,
  took?: (entry: SourceEntry) => void,
): Generator<LayerEntry> {
  const firstNames = new Map<string, string>();
  const layerEntry = (path: string, entry: SourceEntry, mtime: number): LayerEntry => {
    const { inode } = entry;
    if (entry.type !== 'file') return copiedEntry(entry, facts, path, mtime);
    const first = inode === undefined ? undefined : firstNames.get(inode);
    if (first !== undefined) {
      const { type, size } = entry;
      const node = { type, size, content: source.tree.source(entry) };
      return { ...copiedEntry(entry, facts, path, mtime), type: 'hardlink', size: 0, link: first, node };
    }
    if (inode !== undefined) firstNames.set(inode, path);
    took?.(entry);
    return copiedEntry(entry, facts, path, mtime, source.tree.source(entry));
  };
  const { to, fresh } = place(target, source, destination, facts);
  yield* target.entries();
  if (source.entry.type !== 'directory') {
    yield layerEntry(to, source.entry, source.entry.mtime);
    return;
  }
  if (fresh && !target.node(to)) yield layerEntry(to, source.entry, source.entry.mtime);
  /** Within a folder that is new there is nothing that could be in the way. */
  let free = fresh ? `${to}/` : undefined;
  for (const { relative, entry, implied } of source.below) {
    const path = joinTree(to, relative);
    let there: TargetFacts | undefined;
    if (free === undefined || !path.startsWith(free)) {
      there = refuseConflict(target, path, entry);
      free = there || entry.type !== 'directory' ? undefined : `${path}/`;
    }
    if (implied && there) yield { ...passedFolder(target, there, entry), path };
    else yield layerEntry(path, entry, implied ? target.now : entry.mtime);
  }
}

/**
 * Of the entries that {@link copyEntries} makes of a folder those of SOME, which are known to be in nobody's way, and those of the
 * folders that lead there. Undefined where one is not a file or folder with nothing but its facts.
 */
export function someEntries(
  target: TargetTree,
  source: SelectedSource,
  destination: string,
  facts: CopyFacts,
  some: Iterable<SourceEntry>,
): LayerEntry[] | undefined {
  const { to, fresh } = place(target, source, destination, facts);
  const root = source.entry.path;
  const start = root === '' ? 0 : root.length + 1;
  const entries = [...target.entries()];
  for (const entry of some) {
    const plain = entry.type === 'file' || entry.type === 'directory';
    if (!plain || entry.inode !== undefined) return undefined;
    if (entry.path === root && !(fresh && !target.node(to))) continue;
    const at = entry.path === root ? to : joinTree(to, entry.path.slice(start));
    // It may have to be left out, being there already.
    const there = fresh ? undefined : target.lookup(at);
    if (there && (there.type === 'directory' || there.mtime === entry.mtime)) return undefined;
    const content = entry.type === 'file' ? source.tree.source(entry) : undefined;
    entries.push(copiedEntry(entry, facts, at, entry.mtime, content));
  }
  return entries;
}

/** A folder that is there and only leads to what is copied: it keeps its owner, and takes the mode of the source's, whatever --chmod says. */
function passedFolder(target: TargetTree, there: TargetFacts, { mode }: SourceEntry): Omit<EntryFacts, 'path'> {
  const { uid, gid, xattrs } = there;
  return { type: 'directory', size: 0, mode, uid, gid, mtime: target.now, xattrs };
}

/** Plans what leads to the place of a source, and finds that place. */
function place(target: TargetTree, source: SelectedSource, destination: string, facts: CopyFacts): Placed {
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
  if (!isFolder) {
    refuseFolder(target, to);
    return { to, fresh: false };
  }
  const root = target.lookup(to);
  if (!root) return { to, fresh: true };
  if (root.type !== 'directory') {
    throw builderError('COPY_CONFLICT', `cannot copy to non-directory: /${to} is a ${root.type}, the source a folder`);
  }
  // The destination folder keeps what it is, but takes the source's time. Most roots have none: builders make them anew.
  const isRoot = source.contentsOnly && source.entry.path === '' && !source.tree.timedRoot;
  const mtime = isRoot ? target.now : source.entry.mtime;
  if (to !== '') target.put(to, { facts: { ...root, type: 'directory', size: 0, mtime } });
  return { to, fresh: target.isNew(to) };
}

/** What is at PATH. @throws StrakeError `COPY_CONFLICT` where ENTRY cannot take its place */
function refuseConflict(target: TargetTree, path: string, entry: SourceEntry): TargetFacts | undefined {
  const there = target.lookup(path);
  if (entry.type !== 'directory') refuseFolder(target, path);
  else if (there && there.type !== 'directory') {
    throw builderError(
      'COPY_CONFLICT',
      `cannot copy to non-directory: /${path} is a ${there.type}, the source a folder`,
    );
  }
  return there;
}

function refuseFolder(target: TargetTree, path: string): void {
  if (target.lookup(path)?.type === 'directory') {
    throw builderError('COPY_CONFLICT', `cannot replace to directory /${path} with file`, {
      hint: `"/${baseName(path)}" is a folder there: remove it first, or copy under another name.`,
    });
  }
}
