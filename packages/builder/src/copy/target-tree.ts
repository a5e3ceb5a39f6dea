import type { ContentSource, EntryFacts, LayerEntry, TreeView } from '@strake/store';

import { builderError } from '../errors.js';
import { parentPath, resolveInTree } from '../tree/paths.js';

/** An entry of the layer being planned. A hard link points at the very node it shares its content with. */
export interface TargetNode {
  readonly facts: Omit<EntryFacts, 'path' | 'link'> & { readonly link?: string | undefined };
  readonly content?: ContentSource | undefined;
  readonly linkTo?: { readonly path: string; readonly node: TargetNode } | undefined;
  /** A folder that hides what the layers below have at its place. */
  readonly opaque?: boolean | undefined;
}

/** Facts of a path as seen on top of base and plan. */
export type TargetFacts = Pick<EntryFacts, 'type' | 'mode' | 'uid' | 'gid' | 'mtime' | 'link' | 'xattrs'>;

export interface FolderFacts {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * A layer in the making on top of the tree below it: what COPY, ADD and WORKDIR write to. Nothing touches a disk; the entries
 * that result are written by the store.
 */
export class TargetTree {
  readonly #base: TreeView | undefined;
  readonly #nodes = new Map<string, TargetNode>();
  /** Time of folders that are made, in seconds. */
  readonly now: number;

  /** BASE: the tree below; none for `scratch` and for `--link`. */
  constructor(base: TreeView | undefined, now: number) {
    this.#base = base;
    this.now = now;
  }

  lookup(path: string): TargetFacts | undefined {
    const node = this.#nodes.get(path);
    if (node) return node.facts;
    if (path === '') {
      return this.#base?.lookup('') ?? { type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: this.now };
    }
    return this.#hidden(path) ? undefined : this.#base?.lookup(path);
  }

  /** PATH with all links followed inside the root; missing components stay. */
  resolve(path: string): string {
    const resolved = resolveInTree(path, (p) => this.lookup(p));
    if (resolved === undefined) {
      throw builderError('COPY_CONFLICT', `the destination "/${path}" leads in a circle of links`);
    }
    return resolved;
  }

  /**
   * Makes a folder and its missing parents. @throws StrakeError `COPY_CONFLICT` where a file is in the way
   */
  makeFolders(path: string, facts: FolderFacts): void {
    const existing = this.#followed(path);
    if (existing?.type === 'directory' || path === '') return;
    if (existing)
      throw builderError('COPY_CONFLICT', `cannot make the folder "/${path}": not a directory, a file is in its place`);
    this.makeFolders(parentPath(path), facts);
    this.put(path, { facts: { ...facts, type: 'directory', size: 0, mtime: this.now } });
  }

  /** Sets an entry. What was at its place, in plan or base, is replaced; a folder over a folder keeps what is below. */
  put(path: string, node: TargetNode): void {
    const before = this.lookup(path);
    const isFolder = node.facts.type === 'directory';
    const replacesOther = before !== undefined && (before.type === 'directory') !== isFolder;
    const opaque =
      isFolder && path !== '' && (replacesOther || this.#nodes.get(path)?.opaque || this.#wasRemoved(path));
    if (replacesOther && before.type === 'directory') {
      for (const below of [...this.#nodes.keys()]) if (below.startsWith(`${path}/`)) this.#nodes.delete(below);
    }
    // Parents first: a folder keeps the place of its first mention.
    if (!isFolder) this.#nodes.delete(path);
    this.#nodes.set(path, opaque ? { ...node, opaque: true } : node);
  }

  /** Whether the folder at PATH is of this plan and nothing is below it, neither planned nor in the base. */
  isNew(path: string): boolean {
    if (path === '' || this.#base?.lookup(path) !== undefined) return false;
    for (const planned of this.#nodes.keys()) if (planned.startsWith(`${path}/`)) return false;
    return true;
  }

  /** The node at PATH, where the plan has one. */
  node(path: string): TargetNode | undefined {
    return this.#nodes.get(path);
  }

  /** The entries of the layer, parents before children. */
  *entries(): Generator<LayerEntry> {
    for (const [path, node] of this.#nodes) {
      const { linkTo, content, opaque, facts } = node;
      if (linkTo && this.#nodes.get(linkTo.path) === linkTo.node) {
        yield { ...facts, path, type: 'hardlink', size: 0, link: linkTo.path };
      } else {
        const source = content ?? linkTo?.node.content;
        yield { ...facts, path, ...(source ? { content: source } : {}), ...(opaque ? { opaque } : {}) };
      }
    }
  }

  #followed(path: string): TargetFacts | undefined {
    return this.lookup(this.resolve(path));
  }

  /** Whether the base's entry at PATH cannot be seen: a planned parent is no folder, or hides what was below. */
  #hidden(path: string): boolean {
    for (let folder = parentPath(path); folder !== ''; folder = parentPath(folder)) {
      const node = this.#nodes.get(folder);
      if (node && (node.facts.type !== 'directory' || node.opaque)) return true;
    }
    return false;
  }

  /** Whether a file planned at PATH stands over a folder of the base. */
  #wasRemoved(path: string): boolean {
    const node = this.#nodes.get(path);
    return node !== undefined && node.facts.type !== 'directory' && this.#base?.lookup(path)?.type === 'directory';
  }
}
