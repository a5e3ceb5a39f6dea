import { readFileSync, writeFileSync } from 'node:fs';

import { bytesOfText, textOfBytes } from '@strake/core';
import { CHANGE_WORDS, FileFacts, statAt } from '@strake/sys';

import { namesIn } from './change-writer.js';
import { OpenFolder } from './open-folder.js';

/** A row: what {@link FileFacts.writeChange} writes, where the name begins, the first child, how many children. */
const ROW = CHANGE_WORDS + 3;
const NAME = CHANGE_WORDS;
const FIRST = CHANGE_WORDS + 1;
const COUNT = CHANGE_WORDS + 2;
/** The count of what is no folder. */
const NO_FOLDER = 0xffffffff;
const HEAD = 8;

/** The children of a folder that has been scanned: rows FIRST to FIRST + COUNT, in the order of their names. */
export interface ScannedChildren {
  readonly first: number;
  readonly count: number;
  /** Of each child its row in the scan before; -1 where it was not there. */
  readonly before: Int32Array;
  /** Of each child 1 where something has happened to it since the scan before. */
  readonly touched: Uint8Array;
}

/**
 * What a tree was like: of every path its inode and the time of its last change (ctime). No program can set that time, so a
 * file whose size and mtime were kept is still seen to be another. Clocks tick: see {@link saveScan}. A table by folders, row 0
 * being the root: where nothing has happened to a folder its names are as they were, and are not read again.
 */
export class TreeScan {
  #words: Uint32Array = new Uint32Array(1024 * ROW);
  #names: Buffer = Buffer.alloc(16 * 1024);
  #rows = 1;
  #nameBytes = 0;
  #latest = 0;
  readonly #facts: FileFacts = new FileFacts();

  constructor() {
    this.#words[COUNT] = 0;
  }

  /** The latest change that this scan has met, in milliseconds since 1970. */
  get latest(): number {
    return this.#latest;
  }

  isFolder(row: number): boolean {
    return this.#words[row * ROW + COUNT] !== NO_FOLDER;
  }

  #nameEnd(row: number): number {
    return this.#names.indexOf(0, this.#words[row * ROW + NAME]);
  }

  name(row: number): string {
    return textOfBytes(this.#names.subarray(this.#words[row * ROW + NAME], this.#nameEnd(row)));
  }

  /** Rows by the names of a folder's children. */
  children(row: number): Map<string, number> {
    const children = new Map<string, number>();
    if (!this.isFolder(row)) return children;
    const first = this.#words[row * ROW + FIRST] ?? 0;
    const end = first + (this.#words[row * ROW + COUNT] ?? 0);
    for (let child = first; child < end; child++) children.set(this.name(child), child);
    return children;
  }

  /** Room for the children of a folder. */
  #open(folder: number, count: number, nameBytes: number): number {
    const first = this.#rows;
    this.#rows += count;
    if (this.#rows * ROW > this.#words.length) {
      const words = new Uint32Array(Math.max(this.#rows * ROW, this.#words.length * 2));
      words.set(this.#words);
      this.#words = words;
    }
    if (this.#nameBytes + nameBytes > this.#names.length) {
      const names = Buffer.alloc(Math.max(this.#nameBytes + nameBytes, this.#names.length * 2));
      this.#names.copy(names, 0, 0, this.#nameBytes);
      this.#names = names;
    }
    this.#words[folder * ROW + FIRST] = first;
    this.#words[folder * ROW + COUNT] = count;
    return first;
  }

  /** Looks at one child. Whether something has happened to it since OLD, a row of BEFORE. */
  #look(folder: number, row: number, before: TreeScan | undefined, old: number): boolean {
    const at = row * ROW;
    statAt(folder, this.#names.subarray(this.#words[at + NAME]), this.#facts);
    if (before !== undefined && old >= 0 && this.#facts.isChange(before.#words, old * ROW)) return false;
    this.#facts.writeChange(this.#words, at);
    this.#words[at + COUNT] = this.#facts.isDirectory ? 0 : NO_FOLDER;
    this.#latest = Math.max(this.#latest, this.#facts.ctimeMs);
    return true;
  }

  /** Scans the children of ROW, which something may have happened to. FOLDER: a descriptor of it. OLD: its row in BEFORE, or -1. */
  read(row: number, folder: number, names: readonly string[], before?: TreeScan, old = -1): ScannedChildren {
    const bytes = Buffer.concat(names.flatMap((name) => [bytesOfText(name), NUL]));
    const first = this.#open(row, names.length, bytes.length);
    bytes.copy(this.#names, this.#nameBytes);
    const known = before && old >= 0 ? before.children(old) : undefined;
    const rows = new Int32Array(names.length).fill(-1);
    const touched = new Uint8Array(names.length).fill(1);
    for (const [i, name] of names.entries()) {
      const at = (first + i) * ROW;
      this.#words[at + NAME] = this.#nameBytes;
      this.#nameBytes = this.#names.indexOf(0, this.#nameBytes) + 1;
      const was = known?.get(name) ?? -1;
      rows[i] = was;
      if (this.#look(folder, first + i, before, was)) continue;
      touched[i] = 0;
      this.#words[at + COUNT] = before?.isFolder(was) ? 0 : NO_FOLDER;
      this.#copyChange(before as TreeScan, was, first + i);
    }
    return { first, count: names.length, before: rows, touched };
  }

  #copyChange(from: TreeScan, row: number, to: number): void {
    this.#words.set(from.#words.subarray(row * ROW, row * ROW + CHANGE_WORDS), to * ROW);
  }

  /**
   * Scans the children of ROW, which nothing has happened to since it was row OLD of BEFORE. FOLDER: a descriptor of it; undefined where
   * nothing has happened to them either.
   */
  keep(row: number, folder: number | undefined, before: TreeScan, old: number): ScannedChildren {
    const from = before.#words[old * ROW + FIRST] ?? 0;
    const count = before.#words[old * ROW + COUNT] ?? 0;
    const rows = new Int32Array(count);
    const touched = new Uint8Array(count);
    if (count === 0) return { first: this.#open(row, 0, 0), count, before: rows, touched };
    // The names of one folder lie one behind the other.
    const start = before.#words[from * ROW + NAME] ?? 0;
    const end = before.#nameEnd(from + count - 1) + 1;
    const first = this.#open(row, count, end - start);
    const shift = this.#nameBytes - start;
    before.#names.copy(this.#names, this.#nameBytes, start, end);
    this.#nameBytes += end - start;
    this.#words.set(before.#words.subarray(from * ROW, (from + count) * ROW), first * ROW);
    for (let i = 0; i < count; i++) {
      const at = (first + i) * ROW;
      this.#words[at + NAME] = (this.#words[at + NAME] ?? 0) + shift;
      rows[i] = from + i;
      if (folder !== undefined && this.#look(folder, first + i, before, from + i)) touched[i] = 1;
      else if (this.isFolder(first + i)) this.#words[at + COUNT] = 0;
    }
    return { first, count, before: rows, touched };
  }

  /** Whether nothing has happened to the root, which FOLDER is a descriptor of, since BEFORE. */
  root(folder: number, before?: TreeScan): boolean {
    statAt(folder, '', this.#facts);
    this.#facts.writeChange(this.#words, 0);
    this.#latest = Math.max(this.#latest, this.#facts.ctimeMs);
    return before !== undefined && this.#facts.isChange(before.#words, 0);
  }

  save(path: string): void {
    const head = Buffer.alloc(HEAD);
    head.writeUInt32LE(this.#rows, 0);
    head.writeUInt32LE(this.#nameBytes, 4);
    const words = Buffer.from(this.#words.buffer, 0, this.#rows * ROW * 4);
    writeFileSync(path, Buffer.concat([head, words, this.#names.subarray(0, this.#nameBytes)]), { mode: 0o600 });
  }

  /** What {@link TreeScan.save} wrote. */
  static load(path: string): TreeScan {
    const bytes = readFileSync(path);
    const scan = new TreeScan();
    scan.#rows = bytes.readUInt32LE(0);
    scan.#nameBytes = bytes.readUInt32LE(4);
    const end = HEAD + scan.#rows * ROW * 4;
    scan.#words = new Uint32Array(Uint8Array.prototype.slice.call(bytes, HEAD, end).buffer);
    scan.#names = bytes.subarray(end, end + scan.#nameBytes);
    return scan;
  }
}

const NUL = Buffer.of(0);

/** What is known of a tree from an earlier scan: only in folders that `mayDiffer`, and in those above them, has anything happened since. */
export interface EarlierScan {
  readonly scan: TreeScan;
  readonly mayDiffer: ReadonlySet<string>;
}

/** Scans all of a tree, but what is known of it. */
export function scanTree(root: string, earlier?: EarlierScan): TreeScan {
  const scan = new TreeScan();
  const before = earlier?.scan;
  const visit = (path: string, row: number, old: number, untouched: boolean): void => {
    const looked = !earlier || row === 0 || old < 0 || !untouched || earlier.mayDiffer.has(path);
    const folder = looked ? new OpenFolder(path === '' ? root : `${root}/${path}`) : undefined;
    try {
      const same = untouched || (row === 0 && folder !== undefined && scan.root(folder.fd, before));
      const children =
        !folder || (same && before)
          ? scan.keep(row, folder?.fd, before as TreeScan, old)
          : scan.read(row, folder.fd, namesIn(path === '' ? root : `${root}/${path}`), before, old);
      folder?.close();
      for (let i = 0; i < children.count; i++) {
        const child = children.first + i;
        if (!scan.isFolder(child)) continue;
        const name = scan.name(child);
        visit(path === '' ? name : `${path}/${name}`, child, children.before[i] ?? -1, children.touched[i] === 0);
      }
    } finally {
      folder?.close();
    }
  };
  visit('', 0, before ? 0 : -1, false);
  return scan;
}

/** File times tick every 10 ms at most on Linux. */
const TICK = 20;

/** Saves a scan of now, and waits until any further change gets a time that it has not seen. */
export function saveScan(scan: TreeScan, path: string): void {
  scan.save(path);
  const settled = Math.max(0, Math.min(TICK, scan.latest + TICK - Date.now()));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, settled);
}
