import { lstatSync, type Stats } from 'node:fs';

import { bytesOfText } from '@strake/core';

import type { LayerWriter } from '../layer/layer-writer.js';
import type { MergedView } from '../layer/tree-view.js';
import type { EntryFacts, ViewEntry } from '../types.js';
import { ChangeWriter, namesIn, sameFacts, viewOf } from './change-writer.js';
import { fsPath } from './paths.js';
import { settleTime, TreeScan } from './scan.js';
import type { LayerFiles } from './unpack.js';

/** A whole tree that a step has worked on, to be made a layer. */
export interface CommitCopyJob {
  readonly tree: string;
  /** The chain that the tree was before, lowest first. */
  readonly chain: readonly LayerFiles[];
  /** The scan from before the step; replaced by one of now. */
  readonly scan: string;
}

/** Walks a whole tree and writes what differs from the chain. Files untouched since the scan are not looked at. */
class CopyWalk {
  readonly #changes: ChangeWriter;
  readonly #view: MergedView;
  readonly #before: TreeScan;
  readonly #aborted: () => boolean;
  readonly after: TreeScan = new TreeScan();

  constructor(job: CommitCopyJob, writer: LayerWriter, aborted: () => boolean) {
    this.#changes = new ChangeWriter(job.tree, writer);
    this.#view = viewOf(job.chain);
    this.#before = TreeScan.load(job.scan);
    this.#aborted = aborted;
  }

  run(): void {
    const root = this.#changes.facts('', lstatSync(this.#changes.source('')));
    const below = this.#view.lookup('');
    if (root && below && !sameFacts(root, below)) this.#changes.add(root);
    this.#folder('', true);
  }

  /** LOWER: whether the chain has this folder. */
  #folder(folder: string, lower: boolean): void {
    const names = namesIn(this.#changes.source(folder));
    const at = (name: string): string => (folder === '' ? name : `${folder}/${name}`);
    const below = new Set(lower ? this.#view.list(folder) : []);
    const present = new Set(names);
    const gone = [...below].filter((name) => !present.has(name));
    for (const name of names) {
      if (this.#aborted()) throw new Error('aborted');
      // All names in one order, as a walk over an overlay's upper folder meets them.
      while (gone.length > 0 && isBefore(gone[0] ?? '', name)) this.#gone(at(gone.shift() ?? ''));
      const path = at(name);
      const stats = lstatSync(fsPath(this.#changes.source(path)));
      this.after.add(path, stats);
      const known = below.has(name);
      if (stats.isSocket()) {
        if (known) this.#gone(path);
        continue;
      }
      const same = known && this.#before.same(path, stats);
      if (stats.isDirectory()) this.#directory(path, stats, known, same);
      else if (!same) this.#other(path, stats, known);
    }
    for (const name of gone) this.#gone(at(name));
  }

  #gone(path: string): void {
    this.#changes.add({ path, type: 'whiteout' });
  }

  #directory(path: string, stats: Stats, known: boolean, same: boolean): void {
    const lower = known ? this.#view.lookup(path) : undefined;
    const merged = lower?.type === 'directory';
    // An untouched folder has the chain's facts, but what lies in it may have changed.
    const entry: EntryFacts | undefined = same && lower ? lower : this.#changes.facts(path, stats);
    if (!entry) return;
    const visit = (): void => this.#folder(path, merged);
    if (merged && (same || sameFacts(entry, lower))) this.#changes.below(entry, visit);
    else {
      this.#changes.add(entry);
      visit();
    }
  }

  #other(path: string, stats: Stats, known: boolean): void {
    const entry = this.#changes.facts(path, stats);
    if (!entry) return;
    const lower: ViewEntry | undefined = known ? this.#view.lookup(path) : undefined;
    // A new name for a file changes its time; its old name is part of the layer only where its content changed too.
    if (lower && !this.#changes.isLink(stats) && this.#changes.unchanged(entry, lower)) return;
    this.#changes.write(entry, stats);
  }
}

function isBefore(a: string, b: string): boolean {
  return Buffer.compare(bytesOfText(a), bytesOfText(b)) < 0;
}

/** Writes what a step has changed in its tree, and the scan that the next step starts from. */
export function commitCopy(job: CommitCopyJob, writer: LayerWriter, aborted: () => boolean): void {
  const walk = new CopyWalk(job, writer, aborted);
  walk.run();
  walk.after.save(job.scan);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, settleTime(walk.after));
}
