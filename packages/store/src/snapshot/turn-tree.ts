import { lstatSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';

import { errnoOf } from '@strake/core';

import { writeFailure } from '../errors.js';
import { loadIndex, type LayerIndex } from '../layer/layer-index.js';
import { MergedView } from '../layer/tree-view.js';
import type { ViewEntry } from '../types.js';
import { ContentReader } from './content-reader.js';
import { fsPath } from './paths.js';
import { saveScan, scanTree, TreeScan } from './scan.js';
import { withChange, writeHistory, type TreeHistory } from './tree-history.js';
import type { LayerFiles } from './unpack.js';
import { Unpacker } from './unpacker.js';

/** A tree that shows one chain, to be made that of another one which it shares its lowest layers with. */
export interface TurnJob {
  readonly tree: string;
  /** How it came to be what it is, with all changes since the layers that are shared; and where what comes of it is written to. */
  readonly history: TreeHistory;
  readonly historyPath: string;
  /** The scan of it, which is replaced. */
  readonly scan: string;
  /** The layers that are undone, as far as they are told by their index; lowest first. */
  readonly from: readonly LayerFiles[];
  /** The whole chain that it is to show. */
  readonly to: readonly LayerFiles[];
  /** How many layers are shared. */
  readonly shared: number;
}

/** New files get their whole mode by chmod(2). */
const ALL_BITS = 0o777;

/** Makes what a tree has at some paths what a chain has there. */
class TreeTurn {
  readonly #tree: string;
  readonly #view: MergedView;
  readonly #unpacker: Unpacker;
  readonly #aborted: () => boolean;
  /** Where something may be other than in the chain; true: and below it. */
  readonly #paths = new Map<string, boolean>();
  /** Folders that are made anew with all that they hold. */
  readonly #whole = new Set<string>();
  readonly #folders = new Set<string>();
  /** Folders in which something is made or removed. */
  readonly #changed = new Set<string>();
  /** Folders in which, or below which, something may have been done. */
  readonly touched: Set<string> = new Set();
  /** Names of the files that have several, by inode. */
  #names: Map<string, string[]> | undefined;

  constructor(tree: string, view: MergedView, contents: ContentReader, aborted: () => boolean) {
    this.#tree = tree;
    this.#view = view;
    this.#unpacker = new Unpacker(tree, contents, ALL_BITS);
    this.#aborted = aborted;
  }

  addPaths(paths: readonly string[]): void {
    for (const path of paths) {
      if (path.endsWith('/')) this.#add(path.slice(0, -1), false);
      else this.#add(path, true);
    }
  }

  addIndex(index: LayerIndex): void {
    if (index.opaqueRoot) throw new Error('a layer that hides all others');
    for (let record = 0; record < index.count; record++) {
      const path = index.path(record);
      if (path === '' && index.isImplied(record)) continue;
      this.#add(path, index.isOpaque(record) || !index.isFolder(record));
    }
  }

  #add(path: string, below: boolean): void {
    this.#paths.set(path, below || this.#paths.get(path) === true);
  }

  run(): void {
    // A folder comes before what it holds.
    for (const path of [...this.#paths.keys()].sort()) {
      if (this.#aborted()) throw new Error('aborted');
      this.#settle(path);
    }
    for (const path of this.#changed) {
      const entry = this.#view.lookup(path);
      if (entry) this.#unpacker.retime(entry);
    }
    this.#unpacker.finish();
  }

  #source(path: string): string {
    return path === '' ? this.#tree : `${this.#tree}/${path}`;
  }

  #isFolder(path: string): boolean {
    try {
      return lstatSync(fsPath(this.#source(path))).isDirectory();
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  #isInWhole(path: string): boolean {
    for (let above = path; above !== ''; above = parentOf(above)) if (this.#whole.has(above)) return true;
    return false;
  }

  /** Whether there is a folder on disk too: no link of the tree is ever followed. */
  #enter(folder: string): void {
    if (this.#folders.has(folder)) return;
    if (folder !== '') this.#enter(parentOf(folder));
    if (!this.#isFolder(folder)) throw new Error(`${folder} is no folder`);
    this.#folders.add(folder);
  }

  #touch(path: string): void {
    for (let above = path; !this.touched.has(above); above = parentOf(above)) this.touched.add(above);
  }

  #settle(path: string): void {
    this.#touch(path);
    if (this.#isInWhole(path)) return;
    const entry = this.#view.lookup(path);
    if (path === '') {
      if (entry) this.#unpacker.reset(entry);
      return;
    }
    const folder = parentOf(path);
    // What lay in a folder that is none any more is gone with it.
    if (this.#view.lookup(folder)?.type !== 'directory') return;
    if (['', '.', '..'].includes(path.slice(folder.length).replace('/', ''))) throw new Error(`${path} is no path`);
    this.#enter(folder);
    if (entry?.type === 'directory' && this.#paths.get(path) !== true && this.#isFolder(path)) {
      this.#unpacker.reset(entry);
      return;
    }
    this.#changed.add(folder);
    rmSync(fsPath(this.#source(path)), { recursive: true, force: true });
    if (!entry) return;
    if (entry.type === 'directory') this.#whole.add(path);
    for (const one of this.#view.walk(path)) {
      if (this.#aborted()) throw new Error('aborted');
      this.#findName(one);
      this.#unpacker.add(one);
    }
  }

  /** Looks for another name of a file that is as it is to be. */
  #findName({ path, inode }: ViewEntry): void {
    if (inode === undefined) return;
    if (!this.#names) {
      this.#names = new Map();
      for (const one of this.#view.walk('')) {
        if (one.inode === undefined) continue;
        const names = this.#names.get(one.inode);
        if (names) names.push(one.path);
        else this.#names.set(one.inode, [one.path]);
      }
    }
    const names = this.#names.get(inode) ?? [];
    this.#names.delete(inode);
    const kept = names.find((name) => name !== path && this.#isKept(name));
    if (kept === undefined) return;
    this.#touch(kept);
    this.#unpacker.knows(inode, kept);
  }

  /** Whether a path of the chain is in the tree and stays as it is. */
  #isKept(path: string): boolean {
    if (this.#paths.has(path) || this.#isInWhole(path)) return false;
    for (let above = parentOf(path); above !== ''; above = parentOf(above)) {
      if (this.#paths.get(above) === true || (this.#paths.has(above) && !this.#isFolder(above))) return false;
    }
    return true;
  }
}

function parentOf(path: string): string {
  const folder = dirname(path);
  return folder === '.' ? '' : folder;
}

/**
 * Makes a tree that of another chain, by making anew what is not the same in both.
 * @throws StrakeError `DISK_FULL`; Error where that cannot be done: the tree is the caller's to remove then
 */
export function turnTree(job: TurnJob, aborted: () => boolean): void {
  const indexes = job.to.map(({ diffId, index }) => loadIndex(diffId, index));
  const chain = job.to.map(({ diffId }) => diffId);
  const contents = new ContentReader(new Map(job.to.map(({ diffId, tar }) => [diffId, tar])));
  try {
    const turn = new TreeTurn(job.tree, new MergedView(chain, indexes, undefined), contents, aborted);
    const { below, changes } = job.history;
    const undone = below.length + 1 - job.shared;
    const first = changes.length - undone;
    if (first < 0) throw new Error('what happened to the tree is not known');
    for (const { paths } of changes.slice(first)) if (paths) turn.addPaths(paths);
    for (const { diffId, index } of job.from) turn.addIndex(loadIndex(diffId, index));
    for (const index of indexes.slice(job.shared)) turn.addIndex(index);
    turn.run();
    let history: TreeHistory = { below: chain.slice(0, job.shared - 1), changes: changes.slice(0, first) };
    for (const [at, { count }] of [...indexes.entries()].slice(job.shared)) {
      history = withChange(chain.slice(0, at), history, { count });
    }
    writeHistory(job.historyPath, history);
    saveScan(scanTree(job.tree, { scan: TreeScan.load(job.scan), mayDiffer: turn.touched }), job.scan);
  } catch (error) {
    throw writeFailure(error, job.tree);
  } finally {
    contents.close();
  }
}
