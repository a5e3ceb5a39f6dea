import { lstatSync, type Stats } from 'node:fs';

import { getXattr } from '@strake/sys';

import type { LayerWriter } from '../layer/layer-writer.js';
import type { MergedView } from '../layer/tree-view.js';
import type { EntryFacts, ViewEntry } from '../types.js';
import { ChangeWriter, namesIn, sameFacts, viewOf } from './change-writer.js';
import { fsPath, sysPath } from './paths.js';
import type { LayerFiles } from './unpack.js';

/** What a step has written, to be made a layer. */
export interface CommitJob {
  /** The upper folder of an overlay; nobody writes to it. */
  readonly upper: string;
  /** The chain below it, lowest first. */
  readonly chain: readonly LayerFiles[];
  /** The attribute that marks an opaque folder. */
  readonly opaque: string;
}

/** Walks an upper folder and writes what it changes of the chain below. */
class UpperWalk {
  readonly #job: CommitJob;
  readonly #changes: ChangeWriter;
  readonly #view: MergedView;
  readonly #aborted: () => boolean;

  constructor(job: CommitJob, writer: LayerWriter, aborted: () => boolean) {
    this.#job = job;
    this.#changes = new ChangeWriter(job.upper, writer);
    this.#aborted = aborted;
    this.#view = viewOf(job.chain);
  }

  run(): void {
    const root = this.#changes.facts('', lstatSync(this.#job.upper));
    const below = this.#view.lookup('');
    if (root && below && !sameFacts(root, below)) this.#changes.add(root);
    this.#folder('', this.#job.chain.length > 0);
  }

  /** BELOW: whether the chain has something in this folder that is still to be seen. */
  #folder(folder: string, below: boolean): void {
    for (const name of namesIn(this.#changes.source(folder))) {
      if (this.#aborted()) throw new Error('aborted');
      const path = folder === '' ? name : `${folder}/${name}`;
      const stats = lstatSync(fsPath(this.#changes.source(path)));
      const lower = below ? this.#view.lookup(path) : undefined;
      const whiteout = stats.isCharacterDevice() && stats.rdev === 0;
      const entry = whiteout ? undefined : this.#changes.facts(path, stats);
      // A socket cannot be in a layer, but it may have taken something's place.
      if (!entry) {
        if (lower) this.#changes.add({ path, type: 'whiteout' });
      } else if (entry.type === 'directory') this.#directory(entry, lower);
      else this.#other(entry, stats, lower);
    }
  }

  #directory(entry: EntryFacts, lower: ViewEntry | undefined): void {
    const { path } = entry;
    const merged = lower?.type === 'directory';
    const marked = merged && getXattr(sysPath(this.#changes.source(path)), this.#job.opaque)?.toString() === 'y';
    const opaque = marked && this.#view.list(path).length > 0;
    const visit = (): void => this.#folder(path, merged && !marked);
    if (!merged || opaque || !sameFacts(entry, lower)) {
      this.#changes.add({ ...entry, opaque });
      visit();
    } else this.#changes.below(entry, visit);
  }

  #other(entry: EntryFacts, stats: Stats, lower: ViewEntry | undefined): void {
    // Copied up and never changed, or changed back, is not part of the layer.
    if (lower && stats.nlink === 1 && this.#changes.unchanged(entry, lower)) return;
    this.#changes.write(entry, stats);
  }
}

/**
 * Writes what an overlay's upper folder changes: whiteouts, opaque folders, new and changed entries, and the folders above
 * them. A folder that differs in nothing but its time is left out, as are sockets.
 */
export function commitTree(job: CommitJob, writer: LayerWriter, aborted: () => boolean): void {
  new UpperWalk(job, writer, aborted).run();
}
