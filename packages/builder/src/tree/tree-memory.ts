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

/** What a tree has looked at, kept for the next build of this process, which looks again only at what is said to have changed. */
export class TreeMemory {
  /** Rows of the table, or {@link NOTHING}. */
  readonly rows: Map<string, number> = new Map();
  readonly lists: Map<string, readonly string[]> = new Map();
  /** Excluded folders that were read to see whether something in them is visible. */
  readonly probed: Set<string> = new Set();
  readonly #walks = new Map<string, KnownWalk>();

  walk(name: string): KnownWalk | undefined {
    return this.#walks.get(name);
  }

  /** Keeps what was selected under NAME: rows, and what they come to. */
  setWalk(name: string, { rows, digest }: Pick<KnownWalk, 'rows' | 'digest'>): void {
    this.#walks.set(name, { rows, digest, files: new Map(), folders: new Map() });
  }

  /** What was looked at: folders whose names were read, and paths, whether something is there or not. */
  reads(): { readonly folders: Iterable<string>; readonly paths: Iterable<string> } {
    return { folders: [...this.lists.keys(), ...this.probed], paths: this.rows.keys() };
  }

  #isThere(path: string): boolean {
    return (this.rows.get(path) ?? NOTHING) !== NOTHING;
  }

  /** Whether a change at PATH can show in what was read: it was looked at, or is new in a folder that was, and not ignored. */
  concerns(path: string, ignore: IgnoreRules | undefined): boolean {
    if (path === '' || this.#isThere(path) || this.lists.has(path) || this.probed.has(path)) return true;
    const folder = parentPath(path);
    if (!this.rows.has(path) && !this.lists.has(folder) && !this.probed.has(folder)) return false;
    return !ignore?.excluded(path) || ignore.mayContainIncluded(path);
  }

  /** Forgets PATHS, what is below them and what their folders hold. DROPPED is told the rows; ISFILE looks at one. */
  forget(paths: Iterable<string>, isFile: (row: number) => boolean, dropped: (row: number) => void): void {
    const folders = new Set<string>();
    const drop = (path: string): void => {
      const row = this.rows.get(path) ?? NOTHING;
      if (row !== NOTHING) dropped(row);
      this.rows.delete(path);
      this.lists.delete(path);
      this.probed.delete(path);
    };
    const parents = new Set<string>();
    for (const path of paths) {
      const row = this.rows.get(path) ?? NOTHING;
      const file = row !== NOTHING && isFile(row);
      if (!file) folders.add(path);
      // Where nothing was, only the folder has other names.
      if (file) for (const { files } of this.#walks.values()) files.set(path, files.get(path) ?? row);
      else if (row !== NOTHING || this.lists.has(path)) this.#walks.clear();
      drop(path);
      if (path !== '') parents.add(parentPath(path));
    }
    if (folders.size > 0) {
      for (const path of [...this.rows.keys()]) if (liesIn(path, folders)) drop(path);
    }
    // A folder has a new time; one that was ignored may hold something visible now, or no more.
    for (let folder of parents) {
      for (;;) {
        const hidden = this.rows.get(folder) === NOTHING || this.probed.has(folder);
        if (hidden) this.#walks.clear();
        const known = { row: this.rows.get(folder) ?? NOTHING, names: this.lists.get(folder) };
        for (const walk of this.#walks.values()) {
          if (!walk.folders.has(folder)) walk.folders.set(folder, known);
        }
        this.rows.delete(folder);
        this.lists.delete(folder);
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
