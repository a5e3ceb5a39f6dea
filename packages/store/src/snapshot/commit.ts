import { lstatSync } from 'node:fs';

import { closeDescriptor, FileFacts, getXattr, openToRead, statAt } from '@strake/sys';

import type { LayerWriter } from '../layer/layer-writer.js';
import type { MergedView } from '../layer/tree-view.js';
import type { EntryFacts } from '../entries.js';
import type { ViewEntry } from '../types.js';
import { ChangeWriter, namesIn, sameFacts, viewOf } from './change-writer.js';
import { typeOfMode } from './node-facts.js';
import { OpenFolder } from './open-folder.js';
import { sysPath } from './paths.js';
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

/** Folders on the way down that stay open; a deeper one is opened anew after each folder in it. */
const KEPT_OPEN = 64;

/** Walks an upper folder and writes what it changes of the chain below. */
class UpperWalk {
  readonly #job: CommitJob;
  readonly #changes: ChangeWriter;
  readonly #view: MergedView;
  readonly #aborted: () => boolean;
  /** Of the file that the walk is at. */
  readonly #stats = new FileFacts();

  constructor(job: CommitJob, writer: LayerWriter, aborted: () => boolean) {
    this.#job = job;
    this.#changes = new ChangeWriter(job.upper, writer, aborted);
    this.#aborted = aborted;
    this.#view = viewOf(job.chain);
  }

  run(): void {
    const root = this.#changes.facts('', lstatSync(this.#job.upper));
    const below = this.#view.lookup('');
    if (root && below && !sameFacts(root, below)) this.#changes.add(root);
    this.#folder('', this.#job.chain.length > 0, 0);
  }

  /** BELOW: whether the chain has something in this folder that is still to be seen. DEPTH: of folders above this one. */
  #folder(folder: string, below: boolean, depth: number): void {
    const source = this.#changes.source(folder);
    const opened = new OpenFolder(source);
    try {
      for (const name of namesIn(source)) {
        if (this.#aborted()) throw new Error('aborted');
        const path = folder === '' ? name : `${folder}/${name}`;
        statAt(opened.fd, name, this.#stats);
        const lower = below ? this.#view.lookup(path) : undefined;
        const type = typeOfMode(this.#stats.mode);
        if (type === 'file') this.#file(path, openToRead(opened.fd, name), lower);
        else if (type === 'directory') {
          const entry = this.#changes.facts(path, this.#stats);
          if (depth >= KEPT_OPEN) opened.close();
          if (entry) this.#directory(entry, lower, depth);
        } else this.#other(path, type === undefined || (type === 'char' && this.#stats.rdev === 0), lower);
      }
    } finally {
      opened.close();
    }
  }

  #file(path: string, fd: number, lower: ViewEntry | undefined): void {
    try {
      const entry = this.#changes.facts(path, this.#stats, fd);
      // Copied up and never changed, or changed back, is not part of the layer: also where the step gave it another name.
      if (!entry || (lower && this.#changes.unchanged(entry, lower))) return;
      this.#changes.write(entry, this.#stats, fd);
    } finally {
      closeDescriptor(fd);
    }
  }

  /** GONE: a whiteout; or a socket, which cannot be in a layer, but may have taken something's place. */
  #other(path: string, gone: boolean, lower: ViewEntry | undefined): void {
    const entry = gone ? undefined : this.#changes.facts(path, this.#stats);
    if (!entry) {
      if (lower) this.#changes.add({ path, type: 'whiteout' });
    } else if (!lower || !this.#changes.unchanged(entry, lower)) {
      this.#changes.write(entry, this.#stats);
    }
  }

  #directory(entry: EntryFacts, lower: ViewEntry | undefined, depth: number): void {
    const { path } = entry;
    const merged = lower?.type === 'directory';
    const marked = merged && getXattr(sysPath(this.#changes.source(path)), this.#job.opaque)?.toString() === 'y';
    const opaque = marked && this.#view.list(path).length > 0;
    const visit = (): void => this.#folder(path, merged && !marked, depth + 1);
    if (!merged || opaque || !sameFacts(entry, lower)) {
      this.#changes.add({ ...entry, opaque });
      visit();
    } else this.#changes.below(entry, visit);
  }
}

/**
 * Writes what an overlay's upper folder changes: whiteouts, opaque folders, new and changed entries, and the folders above
 * them. A folder that differs in nothing but its time is left out, as are sockets.
 */
export function commitTree(job: CommitJob, writer: LayerWriter, aborted: () => boolean): void {
  new UpperWalk(job, writer, aborted).run();
}
