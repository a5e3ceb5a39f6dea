import { lstatSync } from 'node:fs';

import { bytesOfText } from '@strake/core';
import { FileFacts, statAt } from '@strake/sys';

import type { LayerWriter } from '../layer/layer-writer.js';
import type { MergedView } from '../layer/tree-view.js';
import type { EntryFacts } from '../entries.js';
import type { ViewEntry } from '../types.js';
import { ChangeWriter, namesIn, sameFacts, viewOf } from './change-writer.js';
import { OpenFolder } from './open-folder.js';
import { fsPath } from './paths.js';
import { saveScan, TreeScan, type ScannedChildren } from './scan.js';
import { separateNames } from './separate-names.js';
import { MOST_PATHS, readHistory, unpackedHistory, withChange, writeHistory, type TreeChange } from './tree-history.js';
import type { LayerFiles } from './unpack.js';

/** A whole tree that a step has worked on, to be made a layer. */
export interface CommitCopyJob {
  readonly tree: string;
  /** The chain that the tree was before, lowest first. */
  readonly chain: readonly LayerFiles[];
  /** The scan from before the step; replaced by one of now. */
  readonly scan: string;
  /** Where it stands what happened to the tree before, where that is known; the step is added. */
  readonly history: string;
}

/** Folders on the way down that stay open; a deeper one is opened anew after each folder in it. */
const KEPT_OPEN = 64;

/** A folder of the tree that the walk is in. */
interface Folder {
  readonly path: string;
  /** Its row in the scan that is made, and in the one from before the step; -1 where it was not there. */
  readonly row: number;
  readonly before: number;
  /** Whether the chain has a folder there. */
  readonly merged: boolean;
  readonly depth: number;
}

/** Walks a whole tree and writes what differs from the chain. What is untouched since the scan before is not looked at further. */
class CopyWalk {
  readonly #changes: ChangeWriter;
  readonly #view: MergedView;
  readonly #before: TreeScan;
  readonly #aborted: () => boolean;
  /** Of the file that the walk is at. */
  readonly #stats = new FileFacts();
  readonly after: TreeScan = new TreeScan();
  /** See {@link TreeChange}. */
  readonly #touched: string[] = [];
  #count = 0;

  constructor(job: CommitCopyJob, writer: LayerWriter, aborted: () => boolean) {
    this.#changes = new ChangeWriter(job.tree, writer, aborted);
    this.#view = viewOf(job.chain);
    this.#before = TreeScan.load(job.scan);
    this.#aborted = aborted;
  }

  /** What the step has done to the tree. */
  get change(): TreeChange {
    return { paths: this.#touched, count: this.#count };
  }

  run(): void {
    const root = this.#changes.facts('', lstatSync(this.#changes.source('')));
    const below = this.#view.lookup('');
    if (root && below && !sameFacts(root, below)) this.#changes.add(root);
    const opened = new OpenFolder(this.#changes.source(''));
    const untouched = this.after.root(opened.fd, this.#before);
    if (!untouched) this.#touch('/');
    this.#folder({ path: '', row: 0, before: 0, merged: true, depth: 0 }, untouched, opened);
  }

  /** New names of files of the layers below are files of their own, as they are where this layer is unpacked. */
  separate(): void {
    for (const names of this.#changes.partlyWritten()) {
      separateNames(names.map((name) => this.#changes.source(name)));
    }
  }

  #folder(folder: Folder, untouched: boolean, opened = new OpenFolder(this.#changes.source(folder.path))): void {
    const { path, row, before } = folder;
    try {
      if (untouched) {
        this.#children(folder, this.after.keep(row, opened.fd, this.#before, before), [], opened);
        return;
      }
      const names = namesIn(this.#changes.source(path));
      const children = this.after.read(row, opened.fd, names, this.#before, before);
      this.#children(folder, children, this.#goneFrom(folder, names), opened);
    } finally {
      opened.close();
    }
  }

  /** Names that were there before the step. What could not be unpacked, as device nodes, was not, and is not gone. */
  #goneFrom({ path, before, merged }: Folder, names: readonly string[]): string[] {
    if (before < 0 || !merged) return [];
    const present = new Set(names);
    const gone = [...this.#before.children(before).keys()].filter((name) => !present.has(name));
    return gone.filter((name) => this.#view.lookup(inFolder(path, name)) !== undefined);
  }

  #children(folder: Folder, children: ScannedChildren, gone: string[], opened: OpenFolder): void {
    if (this.#aborted()) throw new Error('aborted');
    for (let i = 0; i < children.count; i++) {
      const row = children.first + i;
      const touched = children.touched[i] === 1;
      const isFolder = this.after.isFolder(row);
      if (!touched && !isFolder && gone.length === 0) continue;
      const name = this.after.name(row);
      // All names in one order, as a walk over an overlay's upper folder meets them.
      while (gone.length > 0 && isBefore(gone[0] ?? '', name)) this.#gone(inFolder(folder.path, gone.shift() ?? ''));
      const path = inFolder(folder.path, name);
      const before = children.before[i] ?? -1;
      const child = { path, row, before, merged: true, depth: folder.depth + 1 };
      if (!touched) {
        if (isFolder) this.#untouched(child, opened);
        continue;
      }
      const stayed = isFolder && before >= 0 && this.#before.isFolder(before);
      this.#touch(stayed ? `${path}/` : path, folder.before >= 0);
      statAt(opened.fd, name, this.#stats);
      const lower = folder.merged ? this.#view.lookup(path) : undefined;
      if (isFolder) this.#directory(child, lower, opened);
      else this.#other(path, lower);
    }
    for (const name of gone) this.#gone(inFolder(folder.path, name));
  }

  /** KNOWN: whether the folder that it is in was there before. */
  #touch(path: string, known = true): void {
    this.#count++;
    // What are more is not noted, nor need be kept.
    if (known && this.#touched.length <= MOST_PATHS) this.#touched.push(path);
  }

  #gone(path: string): void {
    this.#touch(path);
    this.#changes.add({ path, type: 'whiteout' });
  }

  /** A folder that is as it was, and has the chain's facts; but what lies in it may have changed. */
  #untouched(folder: Folder, above: OpenFolder): void {
    if (folder.depth >= KEPT_OPEN) above.close();
    const facts = (): EntryFacts => this.#view.lookup(folder.path) ?? this.#factsOf(folder.path);
    this.#changes.below(facts, () => this.#folder(folder, true));
  }

  #factsOf(path: string): EntryFacts {
    const facts = this.#changes.facts(path, lstatSync(fsPath(this.#changes.source(path))));
    if (!facts) throw new Error(`${path} is a socket`);
    return facts;
  }

  #directory(folder: Folder, lower: ViewEntry | undefined, above: OpenFolder): void {
    const entry = this.#changes.facts(folder.path, this.#stats);
    if (!entry) return;
    if (folder.depth >= KEPT_OPEN) above.close();
    const merged = lower?.type === 'directory';
    const visit = (): void => this.#folder({ ...folder, merged }, false);
    if (merged && sameFacts(entry, lower)) this.#changes.below(entry, visit);
    else {
      this.#changes.add(entry);
      visit();
    }
  }

  #other(path: string, lower: ViewEntry | undefined): void {
    const entry = this.#changes.facts(path, this.#stats);
    if (!entry) {
      // A socket cannot be in a layer, but may have taken something's place.
      if (lower) this.#gone(path);
      return;
    }
    // A new name for a file changes its time; its old name is part of the layer only where its content changed too.
    if (lower && this.#changes.unchanged(entry, lower)) return;
    this.#changes.write(entry, this.#stats);
  }
}

function inFolder(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

function isBefore(a: string, b: string): boolean {
  return Buffer.compare(bytesOfText(a), bytesOfText(b)) < 0;
}

/** Writes what a step has changed in its tree, and the scan that the next step starts from. */
export function commitCopy(job: CommitCopyJob, writer: LayerWriter, aborted: () => boolean): void {
  const walk = new CopyWalk(job, writer, aborted);
  walk.run();
  const chain = job.chain.map(({ diffId }) => diffId);
  const before = readHistory(job.history, chain) ?? unpackedHistory(job.chain);
  writeHistory(job.history, withChange(chain, before, walk.change));
  walk.separate(); // the scan has them as they were before: the next one looks at them once more
  saveScan(walk.after, job.scan);
}
