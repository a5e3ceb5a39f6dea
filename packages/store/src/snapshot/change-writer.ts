import { closeSync, openSync, readdirSync } from 'node:fs';

import { textOfBytes } from '@strake/core';

import { shown, tooLarge } from '../errors.js';
import { loadIndex } from '../layer/layer-index.js';
import type { LayerWriter } from '../layer/layer-writer.js';
import { MergedView } from '../layer/tree-view.js';
import { MAX_HOLES } from '../tar/parser.js';
import { readerOf } from '../tar/sink.js';
import type { EntryFacts } from '../entries.js';
import type { ViewEntry } from '../types.js';
import { digestOfFile } from './file-digest.js';
import { readFacts, type NodeFacts } from './node-facts.js';
import { fsPath } from './paths.js';
import { scanSparse } from './sparse-scan.js';
import type { LayerFiles } from './unpack.js';

function sameXattrs(a: EntryFacts['xattrs'], b: EntryFacts['xattrs']): boolean {
  const [left, right] = [Object.entries(a ?? {}), b ?? {}];
  return left.length === Object.keys(right).length && left.every(([name, value]) => right[name] === value);
}

/** Whether two entries differ in nothing but their times and contents. */
export function sameFacts(a: EntryFacts, b: ViewEntry): boolean {
  return (
    a.type === b.type &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.link === b.link &&
    a.device?.major === b.device?.major &&
    a.device?.minor === b.device?.minor &&
    sameXattrs(a.xattrs, b.xattrs)
  );
}

/** Names in a folder, sorted by bytes, as core's `textOfBytes` makes them. */
export function namesIn(path: string): string[] {
  const names = readdirSync(fsPath(path), { encoding: 'latin1' }).sort();
  return names.map((name) => (/[^ -~]/.test(name) ? textOfBytes(Buffer.from(name, 'latin1')) : name));
}

/** The chain that changes are told from. */
export function viewOf(chain: readonly LayerFiles[]): MergedView {
  const ids = chain.map(({ diffId }) => diffId);
  return new MergedView(
    ids,
    chain.map(({ diffId, index }) => loadIndex(diffId, index)),
    undefined,
  );
}

/** Writes entries of a tree on disk to a layer, the folders above them before them, hard links among them as such. */
export class ChangeWriter {
  readonly #root: string;
  readonly #writer: LayerWriter;
  readonly #aborted: () => boolean;
  /** Folders on the way to here that have not been written. */
  readonly #parents: (EntryFacts | (() => EntryFacts))[] = [];
  readonly #links = new Map<string, { readonly names: string[]; readonly count: number }>();

  constructor(root: string, writer: LayerWriter, aborted: () => boolean) {
    this.#root = root;
    this.#aborted = aborted;
    this.#writer = writer;
  }

  /** Where a path of the tree is on this machine. */
  source(path: string): string {
    return path === '' ? this.#root : `${this.#root}/${path}`;
  }

  /** The entry for a path; undefined for sockets. OPENED: a descriptor of it, where there is one. */
  facts(path: string, stats: NodeFacts, opened?: number): EntryFacts | undefined {
    return readFacts(this.source(path), path, stats, opened);
  }

  /** Of each file that has further names than those written: those that were. */
  *partlyWritten(): Generator<readonly string[]> {
    for (const { names, count } of this.#links.values()) if (names.length < count) yield names;
  }

  /** Goes through the children of a folder that is not written itself, but before anything in it; looked up only then. */
  below(folder: EntryFacts | (() => EntryFacts), visit: () => void): void {
    const depth = this.#parents.push(folder);
    visit();
    if (this.#parents.length >= depth) this.#parents.length = depth - 1;
  }

  /** Whether a file is what the chain has at its path, its content too. Reads it only where all else is equal. */
  unchanged(entry: EntryFacts, lower: ViewEntry): boolean {
    return (
      sameFacts(entry, lower) &&
      entry.mtime === lower.mtime &&
      entry.size === lower.size &&
      (entry.type !== 'file' || digestOfFile(this.source(entry.path)) === lower.digest)
    );
  }

  /** Anything but a folder. OPENED: a descriptor of a file, to read it from. */
  write(entry: EntryFacts, stats: NodeFacts, opened?: number): void {
    const { path } = entry;
    if (stats.nlink > 1) {
      const inode = `${stats.dev}:${stats.ino}`;
      const { names } = this.#links.get(inode) ?? { names: [] as string[] };
      names.push(path);
      const [first = path] = names;
      if (names.length > 1) {
        this.add({ ...entry, type: 'hardlink', size: 0, link: first, xattrs: undefined });
        return;
      }
      this.#links.set(inode, { names, count: stats.nlink });
    }
    if (entry.type !== 'file') {
      this.add(entry);
      return;
    }
    const sparse = stats.blocks * 512 < stats.size ? this.#scan(path, stats) : undefined;
    if (!sparse && opened !== undefined) {
      this.#flushParents();
      this.#writer.add(entry, undefined, opened);
      return;
    }
    if (!sparse) {
      this.add({ ...entry, content: { kind: 'file', root: this.#root, path, frozen: true } });
      return;
    }
    const fd = openSync(fsPath(this.source(path)), 'r');
    try {
      this.#flushParents();
      this.#writer.add(entry, { ...sparse, readAt: (position) => readerOf(fd, position) });
    } finally {
      closeSync(fd);
    }
  }

  #scan(path: string, { size, blocks }: NodeFacts): ReturnType<typeof scanSparse> {
    // No reader of ours takes more, and to hash them would take an hour.
    if (size - blocks * 512 > MAX_HOLES)
      throw tooLarge(`what is not written of the sparse file /${shown(path)}`, MAX_HOLES);
    return scanSparse(this.source(path), size, this.#aborted);
  }

  #flushParents(): void {
    for (const parent of this.#parents) this.#writer.add(typeof parent === 'function' ? parent() : parent);
    this.#parents.length = 0;
  }

  /** A folder, a whiteout, or what else needs no look at the file. */
  add(entry: Parameters<LayerWriter['add']>[0]): void {
    this.#flushParents();
    this.#writer.add(entry);
  }
}
