import type { Digest } from '@strake/core';

import type { IgnoreRules } from './ignore.js';
import { parentPath } from './paths.js';

/** No row: nothing can be seen at a path. */
export const NOTHING = -1;

/** What was selected under a name, and what was forgotten since: paths with the rows that they had. */
export interface KnownWalk {
  readonly rows: Uint32Array;
  readonly digest: Digest;
  readonly files: Map<string, number>;
  readonly folders: Map<string, { readonly row: number; readonly names: readonly string[] | undefined }>;
}

/** What was looked at: folders whose names were read; other paths, whether something is there or not, that lie in none of them. */
export interface TreeReads {
  readonly folders: ReadonlySet<string>;
  readonly paths: ReadonlySet<string>;
}

/** Of more paths all is told anew. */
const FEW = 1000;

/** What a tree has looked at, kept for the next build of this process, which looks again only at what is said to have changed. */
export class TreeMemory {
  /** Rows of the table, or {@link NOTHING}. */
  readonly #rows = new Map<string, number>();
  readonly #lists = new Map<string, readonly string[]>();
  /** Excluded folders that were read to see whether something in them is visible. */
  readonly #probed = new Set<string>();
  /** What was told last, and the paths that are other since. */
  #told: { readonly folders: Set<string>; readonly paths: Set<string> } | undefined;
  readonly #touched = new Set<string>();
  readonly #walks = new Map<string, KnownWalk>();

  walk(name: string): KnownWalk | undefined {
    return this.#walks.get(name);
  }

  /** Keeps what was selected under NAME: rows, and what they come to. */
  setWalk(name: string, { rows, digest }: Pick<KnownWalk, 'rows' | 'digest'>): void {
    this.#walks.set(name, { rows, digest, files: new Map(), folders: new Map() });
  }

  get rows(): ReadonlyMap<string, number> {
    return this.#rows;
  }

  get lists(): ReadonlyMap<string, readonly string[]> {
    return this.#lists;
  }

  get probed(): ReadonlySet<string> {
    return this.#probed;
  }

  setRow(path: string, row: number): void {
    this.#rows.set(path, row);
    this.#touch(path);
  }

  setNames(path: string, names: readonly string[]): void {
    this.#lists.set(path, names);
    this.#touch(path);
  }

  setProbed(path: string): void {
    this.#probed.add(path);
    this.#touch(path);
  }

  #touch(path: string): void {
    if (!this.#told) return;
    this.#touched.add(path);
    if (this.#touched.size > FEW) this.#told = undefined;
  }

  /** What was looked at; after a save only what that touched is looked through again. */
  reads(): TreeReads {
    const told = this.#told;
    const touched = [...this.#touched];
    this.#touched.clear();
    if (told && touched.every((path) => told.folders.has(path) === this.#isRead(path))) {
      for (const path of touched) {
        if (this.#isSingle(path, told.folders)) told.paths.add(path);
        else told.paths.delete(path);
      }
      return told;
    }
    const folders = new Set([...this.#lists.keys(), ...this.#probed]);
    const paths = new Set<string>();
    for (const path of this.#rows.keys()) if (this.#isSingle(path, folders)) paths.add(path);
    return (this.#told = { folders, paths });
  }

  #isRead(folder: string): boolean {
    return this.#lists.has(folder) || this.#probed.has(folder);
  }

  /** Whether a path was looked at that no folder tells of. */
  #isSingle(path: string, folders: ReadonlySet<string>): boolean {
    return path !== '' && this.#rows.has(path) && !folders.has(parentPath(path));
  }

  #isThere(path: string): boolean {
    return (this.#rows.get(path) ?? NOTHING) !== NOTHING;
  }

  /** Whether a change at PATH can show in what was read: it was looked at, or is new in a folder that was, and not ignored. */
  concerns(path: string, ignore: IgnoreRules | undefined): boolean {
    if (path === '' || this.#isThere(path) || this.#lists.has(path) || this.#probed.has(path)) return true;
    const folder = parentPath(path);
    if (!this.#rows.has(path) && !this.#lists.has(folder) && !this.#probed.has(folder)) return false;
    return !ignore?.excluded(path) || ignore.mayContainIncluded(path);
  }

  /** Forgets PATHS, what is below them and what their folders hold. DROPPED is told the rows; ISFILE looks at one. */
  forget(paths: Iterable<string>, isFile: (row: number) => boolean, dropped: (row: number) => void): void {
    const folders = new Set<string>();
    const drop = (path: string): void => {
      const row = this.#rows.get(path) ?? NOTHING;
      if (row !== NOTHING) dropped(row);
      this.#rows.delete(path);
      this.#lists.delete(path);
      this.#probed.delete(path);
      this.#touch(path);
    };
    const parents = new Set<string>();
    for (const path of paths) {
      const row = this.#rows.get(path) ?? NOTHING;
      const file = row !== NOTHING && isFile(row);
      if (!file) folders.add(path);
      // Where nothing was, only the folder has other names.
      if (file) for (const { files } of this.#walks.values()) files.set(path, files.get(path) ?? row);
      else if (row !== NOTHING || this.#lists.has(path)) this.#walks.clear();
      drop(path);
      if (path !== '') parents.add(parentPath(path));
    }
    if (folders.size > 0) {
      for (const path of [...this.#rows.keys()]) if (liesIn(path, folders)) drop(path);
    }
    // A folder has a new time; one that was ignored may hold something visible now, or no more.
    for (let folder of parents) {
      for (;;) {
        const hidden = this.#rows.get(folder) === NOTHING || this.#probed.has(folder);
        if (hidden) this.#walks.clear();
        const known = { row: this.#rows.get(folder) ?? NOTHING, names: this.#lists.get(folder) };
        for (const walk of this.#walks.values()) {
          if (!walk.folders.has(folder)) walk.folders.set(folder, known);
        }
        this.#rows.delete(folder);
        this.#lists.delete(folder);
        this.#touch(folder);
        if (folder === '' || !hidden) break;
        folder = parentPath(folder);
      }
    }
  }
}

/** Whether PATH lies below one of FOLDERS. */
function liesIn(path: string, folders: ReadonlySet<string>): boolean {
  if (folders.has('')) return true;
  if (folders.size <= 4) {
    for (const folder of folders) if (path.startsWith(`${folder}/`)) return true;
    return false;
  }
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
    if (folders.has(path.slice(0, at))) return true;
  }
  return false;
}
