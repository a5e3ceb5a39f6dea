import { throwIfAborted, type Digest } from '@strake/core';
import type { EntryFacts, Store, TreeView } from '@strake/store';
import type { Vertex } from '@strake/solver';

import type { ChainResult } from '../result.js';
import type { CopyStep } from '../steps/copy.js';
import { parentPath, treePath } from '../tree/paths.js';
import type { SourceEntry, SourceTree } from '../tree/source-tree.js';
import { textReader } from '../tree/text-reader.js';
import { resolveOwner } from './owner.js';
import { planCopy } from './plan.js';
import type { SelectOptions } from './select.js';
import type { SelectedEntry } from './selection.js';
import { TargetTree } from './target-tree.js';

/** Steps that only bring files: where only they ran, a container needs no more than these files. */
export const BRINGS_FILES: RegExp = /^(?:\[[^\]]*\] )?(?:COPY|ADD|WORKDIR) /;

/** A step that reads files of a folder of this machine. */
export interface ContextReader {
  readonly tree: SourceTree;
  readonly patterns: readonly string[];
  /** Of a COPY or ADD. */
  readonly copy?:
    | {
        readonly vertex: Vertex<ChainResult>;
        readonly select: SelectOptions;
        readonly facts: Pick<CopyStep, 'destination' | 'chown' | 'mode'>;
      }
    | undefined;
}

/** What a file of the context is, or is no more, in the image that will be built. */
export type AheadChange =
  | { readonly kind: 'put'; readonly facts: EntryFacts; readonly content: Uint8Array }
  | { readonly kind: 'remove'; readonly path: string };

/** Larger files wait for the image. */
const LARGEST = 1 << 20;

/** A trailing COPY of the image: nothing runs after it. */
interface Trailing {
  readonly reader: ContextReader;
  readonly copy: NonNullable<ContextReader['copy']>;
  /** Number of its layer in the chain. */
  readonly layer: number;
}

/**
 * Which steps of a build read which files of local contexts: what tells, before the next build has run, what a saved file will be
 * in its image. Says nothing wherever that is not plain.
 */
export class ContextReaders {
  #noted: ContextReader[] = [];
  #readers: readonly ContextReader[] = [];
  #target: Vertex<ChainResult> | undefined;
  #chain: readonly Digest[] = [];

  /** A build begins. */
  begin(): void {
    this.#noted = [];
  }

  note(reader: ContextReader): void {
    this.#noted.push(reader);
  }

  /** The build has gone well; TARGET's result is CHAIN. */
  settle(target: Vertex<ChainResult> | undefined, chain: readonly Digest[]): void {
    this.#readers = this.#noted;
    this.#target = target;
    this.#chain = chain;
  }

  /**
   * What the file at PATH of TREE becomes in the image; undefined where that takes a build: something that runs may see it, it is
   * no plain file, or more than its own path in the image changes.
   */
  async changes(
    tree: SourceTree,
    path: string,
    store: Store,
    signal?: AbortSignal,
  ): Promise<AheadChange[] | undefined> {
    const readers = this.#readers.filter((one) => one.tree === tree && one.patterns.some((p) => reads(tree, p, path)));
    const trailing = this.#trailing();
    const all = await store.layers.view(this.#chain);
    const changes: AheadChange[] = [];
    for (const reader of readers) {
      const found = trailing.find(({ copy }) => copy === reader.copy);
      const planned = found && (await this.#plan(found, path, all, store));
      throwIfAborted(signal);
      if (!planned) return undefined;
      changes.push(...planned);
    }
    return changes.length > 0 ? changes : undefined;
  }

  /** The last COPYs of the target, as far back as nothing runs after them. */
  #trailing(): Trailing[] {
    const found: Trailing[] = [];
    let layer = this.#chain.length - 1;
    for (let vertex = this.#target; vertex && BRINGS_FILES.test(vertex.name); vertex = vertex.inputs[0]?.vertex) {
      const reader = this.#readers.find(({ copy }) => copy?.vertex === vertex);
      if (reader?.copy) found.push({ reader, copy: reader.copy, layer });
      layer--;
    }
    return found;
  }

  async #plan(
    { reader, copy, layer }: Trailing,
    path: string,
    all: TreeView,
    store: Store,
  ): Promise<AheadChange[] | undefined> {
    const { tree, patterns } = reader;
    const { select, facts } = copy;
    if (select.unpack || select.parents || select.exclude.length > 0 || patterns.some(isWild)) return undefined;
    const below = await store.layers.view(this.#chain.slice(0, layer));
    const owner = facts.chown ? await resolveOwner(facts.chown, layer > 0 ? textReader(below) : undefined) : undefined;
    const entry = tree.lookNow ? tree.lookNow(path) : tree.lookup(path);
    if (entry && (entry.type !== 'file' || entry.inode !== undefined || entry.size > LARGEST)) return undefined;
    const content = entry && (await contentOf(tree, entry));
    const changes: AheadChange[] = [];
    for (const pattern of patterns.filter((one) => reads(tree, one, path))) {
      const planned = planOne(tree, pattern, entry ?? removed(path), new TargetTree(below, 0), { owner, ...facts });
      if (!planned) return undefined;
      const was = all.lookup(planned.path);
      const covered = (await store.layers.view(this.#chain.slice(layer + 1))).lookup(planned.path) !== undefined;
      if (covered || (was && was.type !== 'file') || all.lookup(parentPath(planned.path))?.type !== 'directory')
        return undefined;
      if (content) changes.push({ kind: 'put', facts: { ...planned, size: content.length }, content });
      else if (was && !below.lookup(planned.path)) changes.push({ kind: 'remove', path: planned.path });
      else return undefined;
    }
    return changes;
  }
}

/** Whether PATTERN of a COPY from TREE may select PATH. */
function reads(tree: SourceTree, pattern: string, path: string): boolean {
  const plain = treePath(pattern).split('/');
  const wild = plain.findIndex(isWild);
  const start = wild < 0 ? plain.join('/') : plain.slice(0, wild).join('/');
  return [start, tree.resolve(start)].some((one) => one === '' || path === one || path.startsWith(`${one}/`));
}

function isWild(text: string): boolean {
  return /[*?[\\]/.test(text);
}

/** The facts that a file of TREE has where PATTERN of a COPY puts it, by the very plan of COPY. */
function planOne(
  tree: SourceTree,
  pattern: string,
  file: SourceEntry,
  target: TargetTree,
  { owner, mode, destination }: Parameters<typeof planCopy>[3] & { readonly destination: string },
): EntryFacts | undefined {
  const name = treePath(pattern);
  const root = tree.resolve(name) === file.path ? file : tree.lookup(tree.resolve(name));
  if (!root) return undefined;
  const below: SelectedEntry[] = [];
  if (root !== file) {
    if (root.type !== 'directory') return undefined;
    const start = root.path === '' ? 0 : root.path.length + 1;
    for (let at = file.path.indexOf('/', start); at >= 0; at = file.path.indexOf('/', at + 1)) {
      const folder = tree.lookup(file.path.slice(0, at));
      if (folder?.type !== 'directory') return undefined;
      below.push({ relative: folder.path.slice(start), entry: folder });
    }
    below.push({ relative: file.path.slice(start), entry: file });
  }
  const plain: SourceTree = { ...EMPTY, resolve: (path) => path };
  const source = { tree: plain, name: name.slice(name.lastIndexOf('/') + 1), entry: root, below };
  planCopy(target, { ...source, contentsOnly: true, unpack: false }, destination, { owner, mode });
  for (const entry of target.entries()) {
    if (entry.type === 'file') {
      const { path, type, mode: bits, uid, gid, size, mtime, xattrs } = entry;
      return { path, type, mode: bits, uid, gid, size, mtime, xattrs };
    }
  }
  return undefined;
}

/** A tree that is asked for nothing but a place for content. */
const EMPTY: Omit<SourceTree, 'resolve'> = {
  lookup: () => undefined,
  list: () => [],
  children: () => [],
  learn: () => Promise.resolve(),
  digest: () => undefined,
  source: () => ({ kind: 'bytes', bytes: new Uint8Array() }),
  read: async function* () {},
};

/** Stands for a file that is gone, to find where it was put. */
function removed(path: string): SourceEntry {
  return { path, type: 'file', mode: 0o644, uid: 0, gid: 0, size: 0, mtime: 0 };
}

async function contentOf(tree: SourceTree, entry: SourceEntry): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of tree.read(entry)) parts.push(part);
  return Buffer.concat(parts);
}
