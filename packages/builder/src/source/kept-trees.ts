import { join } from 'node:path';

import type { Store } from '@strake/store';

import { ContextReaders, type AheadChange } from '../copy/ahead.js';
import type { LocalTree } from '../tree/local-tree.js';

interface Kept {
  readonly root: string;
  readonly rules: string | undefined;
  readonly tree: LocalTree;
}

/** What builds have read of this machine's files: what to watch. Absolute paths. */
export interface ReadFiles {
  /** Folders whose names count: anything new in them may matter. */
  readonly folders: ReadonlySet<string>;
  /** Single paths that were looked at, whether something was there or not. */
  readonly paths: ReadonlySet<string>;
}

/**
 * The files of local contexts, kept in memory between the builds of one process: only what is said to have changed is looked at
 * again. Who uses it must say so of every change; `findChanged` finds those that were missed.
 */
export class KeptTrees {
  /** Which steps read them. */
  readonly readers: ContextReaders = new ContextReaders();
  #trees: Kept[] = [];
  /** Those of the last build that went well, while a build on new ones has not. */
  #former: Kept[] = [];
  #paths = new Set<string>();
  #formerPaths = new Set<string>();
  /** The trees that `lookOn` has not yet seen whole. */
  #round: Kept[] | undefined;

  /** The tree of the folder ROOT with the ignore file RULES: the one that is kept, or a new one. */
  async open(root: string, rules: string | undefined, make: () => Promise<LocalTree>): Promise<LocalTree> {
    const known = this.#trees.find((kept) => kept.root === root && kept.rules === rules);
    if (known) return known.tree;
    const tree = await make();
    this.#trees.push({ root, rules, tree });
    return tree;
  }

  /** Notes a file beside the trees that a build looks at: a Dockerfile, an ignore file, a secret. Absolute. */
  note(path: string): void {
    this.#paths.add(path);
  }

  /** The next build looks at everything anew, and what it looks at decides what counts. */
  restart(): void {
    if (this.#trees.length > 0) this.#former = this.#trees;
    if (this.#paths.size > 0) this.#formerPaths = this.#paths;
    this.#trees = [];
    this.#round = undefined;
    this.#paths = new Set();
  }

  /** A build has gone well: what only former ones looked at counts no more. */
  settle(): void {
    this.#former = [];
    this.#formerPaths = new Set();
  }

  reads(): ReadFiles {
    const folders = new Set<string>();
    const paths = new Set([...this.#paths, ...this.#formerPaths]);
    for (const { root, tree } of [...this.#trees, ...this.#former]) {
      const reads = tree.reads();
      const at = (path: string): string => (path === '' ? root : `${root}/${path}`);
      for (const path of reads.folders) folders.add(at(path));
      for (const path of reads.paths) paths.add(at(path));
    }
    return { folders, paths };
  }

  /** Whether a build can see a change at PATH, absolute. */
  concerns(path: string): boolean {
    if (this.#paths.has(path) || this.#formerPaths.has(path)) return true;
    return [...this.#trees, ...this.#former].some(({ root, tree }) => {
      const inside = insideOf(root, path);
      return inside !== undefined && tree.concerns(inside);
    });
  }

  /**
   * Takes note that something happened at PATHS, absolute. A Dockerfile, an ignore file or a secret among them makes the next
   * build look at everything anew. Not while a build runs: what it has looked at must stay what it was.
   */
  changed(paths: Iterable<string>): void {
    const all = [...paths];
    for (const { root, tree } of [...this.#trees, ...this.#former]) {
      tree.forget(all.map((path) => insideOf(root, path)).filter((path) => path !== undefined));
    }
    if (all.some((path) => this.#paths.has(path))) this.restart();
  }

  /**
   * What the files at PATHS, absolute, will be in the next image, where that is plain before it is built; undefined where it is
   * not. Also while a build runs: they are looked at anew, and nothing of that is kept.
   */
  async ahead(paths: readonly string[], store: Store, signal?: AbortSignal): Promise<AheadChange[] | undefined> {
    if (paths.some((path) => this.#paths.has(path))) return undefined;
    const all: AheadChange[] = [];
    for (const path of paths) {
      let known = false;
      for (const { root, tree } of this.#trees) {
        const inside = insideOf(root, path);
        if (inside === undefined || inside === '') continue;
        const changes = await this.readers.changes(tree, inside, store, signal);
        if (!changes) return undefined;
        known = true;
        all.push(...changes);
      }
      if (!known) return undefined;
    }
    return all;
  }

  /** Looks again at everything, or at what lies in FOLDERS: paths (absolute) that are not what they were. For `changed`. */
  async findChanged(signal?: AbortSignal, folders?: ReadonlySet<string>): Promise<string[]> {
    const changed: string[] = [];
    for (const { root, tree } of this.#trees) {
      const where = folders && new Set([...folders].map((path) => insideOf(root, path)).filter((p) => p !== undefined));
      for (const path of await tree.findChanged(signal, where)) changed.push(join(root, path));
    }
    return changed;
  }

  /** As {@link findChanged}, but only at the next few, from where the call before ended; DONE: those were the last ones. */
  lookOn(): { readonly changed: readonly string[]; readonly done: boolean } {
    this.#round ??= [...this.#trees];
    const [kept] = this.#round;
    const looked = kept?.tree.lookOn();
    if (looked?.done) this.#round.shift();
    const done = this.#round.length === 0;
    if (done) this.#round = undefined;
    const changed = kept && looked ? looked.changed.map((path) => join(kept.root, path)) : [];
    return { changed, done };
  }

  /** Where most of what is kept is of the past, the next build looks at everything anew. Not while a build runs. */
  async renew(): Promise<void> {
    if (!this.#trees.some(({ tree }) => tree.isWorn)) return;
    await this.save();
    this.restart();
  }

  /** Writes the digests learned to disk, for other processes' builds. */
  async save(): Promise<void> {
    for (const { tree } of this.#trees) await tree.save();
  }
}

/** PATH relative to ROOT; undefined where it lies outside. */
function insideOf(root: string, path: string): string | undefined {
  if (path === root) return '';
  const prefix = root === '/' ? '/' : `${root}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}
