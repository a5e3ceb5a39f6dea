import type { ByteStream, Digest } from '@strake/core';
import type { ContentSource, EntryFacts, LayerEntry, TreeView, ViewEntry } from '@strake/store';

import type { PlanBase } from '../copy/target-tree.js';
import { builderError } from '../errors.js';
import { joinTree, parentPath, resolveInTree } from './paths.js';

/** The folder of a layer for Windows that is drive C:. Beside it lie parts of the registry and of a virtual machine. */
const FILES = 'Files';
/** What each such layer has, be it empty. */
const TOP_FOLDERS = ['Hives', FILES];
/** Links are written as if their targets lay in the layer, too, as BuildKit does, and read accordingly. */
const LINKED = `${FILES}/`;

/** Where PATH of the tree lies in layers for Windows. */
function pathInLayers(path: string): string {
  return path === '' ? FILES : LINKED + path;
}

/** The tree of a chain of layers for Windows: of VIEW only what lies in the folder `Files`. */
export class WindowsView implements TreeView {
  readonly #view: TreeView;

  constructor(view: TreeView) {
    this.#view = view;
  }

  get chain(): readonly Digest[] {
    return this.#view.chain;
  }

  /** The root's facts are no layer's: what they say of `Files` is of no meaning. */
  lookup(path: string): ViewEntry | undefined {
    if (path !== '') return ownEntry(this.#view.lookup(pathInLayers(path)));
    const { layer } = this.#view.lookup('') as ViewEntry;
    return { path, type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0, layer };
  }

  list(path: string): readonly string[] {
    return this.#view.list(pathInLayers(path));
  }

  *children(path: string): Generator<ViewEntry> {
    for (const entry of this.#view.children(pathInLayers(path))) yield ownEntry(entry);
  }

  *walk(path: string): Generator<ViewEntry> {
    if (path === '') yield this.lookup(path) as ViewEntry;
    for (const entry of this.#view.walk(pathInLayers(path))) if (entry.path !== FILES) yield ownEntry(entry);
  }

  resolve(path: string, options: { readonly nofollow?: boolean } = {}): string {
    const resolved = resolveInTree(path, (at) => this.lookup(at), options.nofollow);
    if (resolved !== undefined) return resolved;
    throw builderError('COPY_CONFLICT', `"/${path}" leads in a circle of links`);
  }

  open(entry: ViewEntry): ByteStream {
    return this.#view.open(entry);
  }

  read(entry: ViewEntry, limit: number): Promise<Buffer> {
    return this.#view.read(entry, limit);
  }

  source(entry: ViewEntry): ContentSource {
    return this.#view.source(entry);
  }
}

function ownEntry<T extends ViewEntry | undefined>(entry: T): T {
  if (!entry) return entry;
  const { link } = entry;
  return {
    ...entry,
    path: entry.path.slice(LINKED.length),
    link: link?.startsWith(LINKED) ? link.slice(LINKED.length) : link,
  };
}

/**
 * A layer of ENTRIES as Windows reads it, for the tree BELOW: all of it in `Files`, and no folder on the way to something left out, as
 * Windows unpacks a layer by itself. It knows no opaque folders: what one hides is removed by name. TIME: of the top folders, in seconds.
 */
export function* windowsEntries(entries: Iterable<LayerEntry>, below: PlanBase, time: number): Generator<LayerEntry> {
  for (const path of TOP_FOLDERS) {
    yield { path, type: 'directory', mode: 0, uid: 0, gid: 0, size: 0, mtime: time, windows: true };
  }
  /** Folders that are in the layer. */
  const made = new Set(['']);
  /** Where a folder is not what it was below, and all that came after the first such one. */
  const emptied: string[] = [];
  const planned = new Map<string, LayerEntry>();
  for (const entry of entries) {
    const { path } = entry;
    // The root is not a layer's to change.
    if (path === '') continue;
    for (const folder of foldersTo(path, made)) {
      made.add(folder);
      const facts = below.lookup(folder);
      if (facts) yield inFiles(plainFolder(facts));
    }
    if (entry.type === 'directory') made.add(path);
    const opaque = entry.type === 'directory' && entry.opaque === true;
    if (opaque && below.lookup(path)?.type === 'directory') emptied.push(path);
    if (emptied.length > 0) planned.set(path, entry);
    yield inFiles(opaque ? { ...entry, opaque: undefined } : entry);
  }
  for (const path of emptied) yield* removals(path, below, planned);
}

/** The folders above PATH that are not MADE, the uppermost first. */
function foldersTo(path: string, made: ReadonlySet<string>): string[] {
  const folders: string[] = [];
  for (let at = parentPath(path); !made.has(at); at = parentPath(at)) folders.unshift(at);
  return folders;
}

function plainFolder({ path, mode, uid, gid, mtime, xattrs }: EntryFacts): EntryFacts {
  return { path, type: 'directory', mode, uid, gid, size: 0, mtime, xattrs };
}

function inFiles(entry: LayerEntry): LayerEntry {
  const path = pathInLayers(entry.path);
  if (entry.type === 'whiteout') return { ...entry, path, windows: true };
  const { link } = entry;
  return { ...entry, path, link: link === undefined ? undefined : LINKED + link, windows: true };
}

/** What the folder at PATH has BELOW and is not to have any more. */
function* removals(path: string, below: PlanBase, planned: ReadonlyMap<string, LayerEntry>): Generator<LayerEntry> {
  for (const name of below.list(path)) {
    const child = joinTree(path, name);
    const after = planned.get(child);
    if (!after) yield inFiles({ path: child, type: 'whiteout' });
    else if (after.type === 'directory' && below.lookup(child)?.type === 'directory') {
      yield* removals(child, below, planned);
    }
  }
}
