import { throwIfAborted, type Digest } from '@strake/core';
import type { ContentSource, SizedPath } from '@strake/store';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';

import { builderError } from '../errors.js';
import { extrasOf, type Extras } from './extras.js';
import type { FileTable } from './file-table.js';
import { asDevice, isEarlier, isSocket, lstatNow, stampOf, typeOf } from './stat.js';
import type { LocalTreeOptions } from './local-tree-options.js';
import { grown, lookFailure, openFile, readFolder, readSome, statOf } from './local-file.js';
import { hasReliableFolders, recallRows, recallWalk } from './recall.js';
import type { RememberedSelection, SelectionMemory } from './remembered-selections.js';
import { NOTHING, type TreeMemory, type TreeReads } from './tree-memory.js';
import { baseName, fsPath, joinTree, parentPath, resolveInTree } from './paths.js';
import type { SourceEntry, SourceTree } from './source-tree.js';

/** From so many bytes on, worker threads read. What opening a file costs counts as bytes too. */
const FOR_OTHERS = 4 << 20;
const OPENING = 16 << 10;
const CHUNK = 256 << 10;
/** So few rows are walked: what looks at many takes a while to load. */
const FEW = 1000;
/** Paths that are looked at again before others get their turn. */
const AT_ONCE = 256;

/** With its row of the table. */
type LocalEntry = SourceEntry & { readonly row: number };

/**
 * A folder of this machine as a source of COPY and ADD: files belong to 0:0 but for an archive's, what is ignored is not there, sockets are empty files.
 * Only what is asked for is looked at. What is known of a file is in a table's row: half a million objects would take all memory.
 */
export class LocalTree implements SourceTree {
  readonly #root: string;
  readonly #options: LocalTreeOptions;
  readonly #table: FileTable;
  /** Whether a path is a folder that can be seen. */
  readonly #folders = new Map<string, boolean>();
  readonly #extras = new Map<number, Extras>();
  /** Where `lookOn` goes on. */
  #round: Iterator<string, undefined> | undefined;

  constructor(options: LocalTreeOptions) {
    this.#root = options.root;
    this.#options = options;
    this.#table = options.table;
  }

  get timedRoot(): boolean | undefined {
    return this.#options.timedRoot;
  }

  get place(): string | undefined {
    return this.#options.keep && this.#root;
  }

  lookup(path: string): SourceEntry | undefined {
    const { memory } = this.#options;
    const row = memory?.rows.get(path);
    if (row !== undefined) return row === NOTHING ? undefined : this.entryOf(row, path);
    const entry = this.lookNow(path);
    memory?.setRow(path, entry ? this.numberOf(entry) : NOTHING);
    return entry;
  }

  lookNow(path: string): SourceEntry | undefined {
    return path === '' || this.#isFolder(parentPath(path)) ? this.#look(path) : undefined;
  }

  #isFolder(path: string): boolean {
    if (this.#options.memory) return this.lookup(path)?.type === 'directory';
    let known = this.#folders.get(path);
    if (known === undefined) {
      known = this.lookup(path)?.type === 'directory';
      this.#folders.set(path, known);
    }
    return known;
  }

  list(path: string): readonly string[] {
    return Array.from(this.children(path), (entry) => baseName(entry.path));
  }

  children(path: string): Iterable<SourceEntry> {
    return this.#options.memory ? this.#rememberedChildren(path, this.#options.memory) : this.#children(path);
  }

  *#rememberedChildren(path: string, memory: TreeMemory): Generator<SourceEntry> {
    let names = memory.lists.get(path);
    if (!names) {
      const visible = (name: string): boolean => this.lookup(joinTree(path, name)) !== undefined;
      names = this.#isFolder(path) ? readFolder(this.#root, path).filter(visible) : [];
      memory.setNames(path, names);
    }
    for (const name of names) {
      const entry = this.lookup(joinTree(path, name));
      if (entry) yield entry;
    }
  }

  *#children(path: string): Generator<SourceEntry> {
    if (!this.#isFolder(path)) return;
    for (const name of readFolder(this.#root, path)) {
      const entry = this.#look(joinTree(path, name));
      if (!entry) continue;
      if (entry.type === 'directory') this.#folders.set(entry.path, true);
      yield entry;
    }
  }

  recall(name: string): { readonly rows: Uint32Array; readonly digest: Digest | undefined } | undefined {
    const { openLook, memory } = this.#options;
    const walk = this.#mayRemember ? memory?.walk(this.#nameOf(name)) : undefined;
    if (walk) return recallWalk(walk, this.#table, this, (entry) => this.numberOf(entry));
    const known = memory ? undefined : this.selections(name)?.last;
    if (!known || known.rows.length < FEW || !openLook || !hasReliableFolders(this.#root)) return undefined;
    this.#options.witness?.elsewhere(); // of so many files it is not told
    const look = openLook(this.#root);
    try {
      return recallRows(known, this.#table, look, (path) => {
        const entry = this.#look(path);
        return entry && this.numberOf(entry);
      });
    } finally {
      look.close();
    }
  }

  selections(name: string): SelectionMemory | undefined {
    if (!this.#mayRemember) return undefined;
    const own = this.#nameOf(name);
    const memory = this.#table.selections(own);
    const remember = (selection: RememberedSelection): void => {
      memory.remember(selection);
      this.#options.memory?.setWalk(own, selection);
    };
    return { ...memory, remember };
  }

  /** Not where an exception of the ignore file may show what lies deep in a folder that is not there. */
  get #mayRemember(): boolean {
    const { keep, ignore } = this.#options;
    return keep !== undefined && ignore?.hasExceptions !== true;
  }

  #nameOf(selection: string): string {
    return JSON.stringify([selection, this.#options.rules ?? '']);
  }

  resolve(path: string, options?: { readonly nofollow?: boolean }): string {
    const resolved = resolveInTree(path, (p) => this.lookup(p), options?.nofollow);
    if (resolved === undefined) {
      throw builderError('COPY_SOURCE_NOT_FOUND', `"${path}" of the context leads in a circle of links`);
    }
    return resolved;
  }

  secondsOf(row: number): number {
    return this.#table.seconds(row);
  }

  numberOf(entry: SourceEntry): number {
    return (entry as LocalEntry).row;
  }

  entryOf(row: number, path: string = this.#table.path(row)): SourceEntry {
    const mode = this.#table.mode(row);
    const type = typeOf(mode) ?? 'file';
    const owner = this.#options.stated?.get(path);
    const extra = this.#extras.get(row);
    const entry: LocalEntry = {
      path,
      type,
      mode: type === 'symlink' ? 0o777 : mode & 0o7777,
      uid: owner?.uid ?? 0,
      gid: owner?.gid ?? 0,
      size: type === 'file' ? this.#table.size(row) : 0,
      mtime: this.#table.seconds(row),
      row,
    };
    return extra ? { ...entry, ...extra } : entry;
  }

  async learn(entries: Iterable<SourceEntry>, signal?: AbortSignal): Promise<void> {
    await this.learnNumbers(
      Array.from(entries, (entry) => this.numberOf(entry)),
      signal,
    );
  }

  unlearned(rows: Iterable<number>): { readonly files: number; readonly count: number; readonly bytes: number } {
    let files = 0;
    let count = 0;
    let bytes = 0;
    for (const row of rows) {
      if (typeOf(this.#table.mode(row)) !== 'file') continue;
      files++;
      if (this.#table.hasDigest(row)) continue;
      count++;
      bytes += this.#table.size(row);
    }
    return { files, count, bytes };
  }

  setLearned(row: number, digest: Uint8Array): void {
    this.#table.setDigest(row, digest);
  }

  async learnNumbers(rows: Iterable<number>, signal?: AbortSignal): Promise<void> {
    const table = this.#table;
    const unknown: number[] = [];
    let bytes = 0;
    for (const row of rows) {
      if (table.hasDigest(row) || typeOf(table.mode(row)) !== 'file') continue;
      if (isSocket(table.mode(row))) {
        table.setDigest(row, await this.#hash(this.entryOf(row), signal));
        continue;
      }
      unknown.push(row);
      bytes += table.size(row) + OPENING;
    }
    const { digestFiles } = this.#options;
    if (digestFiles && bytes > FOR_OTHERS) {
      const files = { [Symbol.iterator]: () => this.#sized(unknown) };
      const found = (index: number, digest: Uint8Array | undefined): void => {
        if (digest) table.setDigest(unknown[index] as number, digest);
      };
      await digestFiles(files, found, signal);
    }
    for (const row of unknown) {
      if (!table.hasDigest(row)) table.setDigest(row, await this.#hash(this.entryOf(row), signal));
    }
  }

  *#sized(rows: readonly number[]): Generator<SizedPath> {
    for (const row of rows) yield { path: this.#table.path(row), size: this.#table.size(row) };
  }

  digest(entry: SourceEntry): Digest | undefined {
    return entry.type === 'file' ? this.#table.digest((entry as LocalEntry).row) : undefined;
  }

  source(entry: SourceEntry): ContentSource {
    if (this.#isSocket(entry)) return { kind: 'bytes', bytes: new Uint8Array(0) };
    return { kind: 'file', root: this.#root, path: entry.path, digest: this.digest(entry) };
  }

  #isSocket(entry: SourceEntry): boolean {
    return isSocket(this.#table.mode((entry as LocalEntry).row));
  }

  async *read(entry: SourceEntry): AsyncGenerator<Uint8Array> {
    if (this.#isSocket(entry)) return;
    const fd = openFile(this.#root, entry.path);
    try {
      for (let room = Math.min(entry.size + 1, CHUNK), left = entry.size; ; room = CHUNK) {
        const buffer = Buffer.allocUnsafe(room);
        const read = readSome(fd, buffer, entry.path);
        if (read === 0) return;
        if ((left -= read) < 0) throw grown(entry.path);
        yield buffer.subarray(0, read);
        if (read === CHUNK) await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      fs.closeSync(fd);
    }
  }

  /** What was looked at, where it is kept. */
  reads(): TreeReads {
    return this.#options.memory?.reads() ?? { folders: new Set(), paths: new Set() };
  }

  /** Whether a change at PATH can show in what was read: it was looked at, or is new in a folder that was, and not ignored. */
  concerns(path: string): boolean {
    return this.#options.memory?.concerns(path, this.#options.ignore) ?? false;
  }

  /** Has PATHS, what is below them and what their folders hold looked at anew when next asked for, their digests too. */
  forget(paths: Iterable<string>): void {
    this.#options.memory?.forget(
      paths,
      (row) => typeOf(this.#table.mode(row)) === 'file',
      (row) => this.#table.forget(row),
    );
  }

  /** Looks again at everything that was looked at (WHERE: in these folders): the paths whose facts are no longer what they were. */
  async findChanged(signal?: AbortSignal, where?: ReadonlySet<string>): Promise<string[]> {
    const changed: string[] = [];
    let looked = 0;
    for (const [path, row] of [...(this.#options.memory?.rows ?? [])]) {
      if (where && !where.has(path) && !where.has(parentPath(path))) continue;
      if (++looked % AT_ONCE === 0) {
        await new Promise((resolve) => setImmediate(resolve));
        throwIfAborted(signal);
      }
      if (!this.#isAsKnown(path, row)) changed.push(path);
    }
    return changed;
  }

  /** As {@link findChanged}, but only at the next few, from where the call before ended; DONE: those were the last ones. */
  lookOn(): { readonly changed: readonly string[]; readonly done: boolean } {
    const rows = this.#options.memory?.rows ?? new Map<string, number>();
    this.#round ??= rows.keys();
    const changed: string[] = [];
    for (let looked = 0; looked < AT_ONCE; looked++) {
      const next = this.#round.next();
      if (next.done) {
        this.#round = undefined;
        return { changed, done: true };
      }
      const row = rows.get(next.value);
      if (row !== undefined && !this.#isAsKnown(next.value, row)) changed.push(next.value);
    }
    return { changed, done: false };
  }

  #isAsKnown(path: string, row: number): boolean {
    const stat = lstatNow(fsPath(join(this.#root, path)));
    const hidden = !stat || (row === NOTHING && this.#options.ignore?.excluded(path) === true);
    return hidden ? row === NOTHING : row !== NOTHING && this.#table.isState(row, stampOf(stat));
  }

  /** Whether most of what is kept of it is of the past. */
  get isWorn(): boolean {
    return this.#table.isWorn;
  }

  /** Writes the digests learned to disk, for the next build. */
  async save(): Promise<void> {
    if (this.#table.changed) await this.#options.keep?.(this.#table);
  }

  async #hash(entry: SourceEntry, signal: AbortSignal | undefined): Promise<Buffer> {
    const hash = createHash('sha256');
    for await (const chunk of this.read(entry)) {
      throwIfAborted(signal);
      hash.update(chunk);
    }
    return hash.digest();
  }

  /** What is at PATH, whose folder can be seen. */
  #look(path: string): SourceEntry | undefined {
    const { ignore } = this.#options;
    const excluded = path !== '' && ignore?.excluded(path) === true;
    if (excluded && !ignore.mayContainIncluded(path)) return undefined;
    const full = path === '' ? this.#root : this.#root === '/' ? `/${path}` : `${this.#root}/${path}`;
    const found = statOf(path, fsPath(full));
    this.#options.witness?.looked(full, found);
    const device = this.#options.stated?.get(path)?.device;
    const stat = found && device ? asDevice(found, device) : found;
    const type = stat && typeOf(stat.mode);
    if (!stat || type === undefined || (excluded && !(type === 'directory' && this.#hasVisible(path))))
      return undefined;
    const { row, fresh } = this.#table.row(path, stampOf(stat));
    const mtime = stat.mtimeMs;
    if (fresh && mtime % 1000 === 0 && isEarlier(fsPath(full), mtime)) this.#table.setEarlier(row);
    try {
      this.#lookFurther(row, full, type, stat);
    } catch (error) {
      throw lookFailure(path, error);
    }
    return this.entryOf(row, path);
  }

  /** Learns what lstat(2) does not tell. */
  #lookFurther(row: number, full: string, type: SourceEntry['type'], stat: fs.Stats): void {
    const plain = this.#table.isPlain(row);
    const xattrs = plain ? undefined : this.#options.xattrs(full);
    if (!plain && !xattrs) this.#table.setPlain(row);
    const extras = extrasOf(full, type, stat, xattrs);
    if (!extras) return;
    this.#table.setExtras(row);
    this.#extras.set(row, extras);
  }

  /** Whether an excluded folder holds something that an exception brings back. */
  #hasVisible(folder: string): boolean {
    if (!this.#options.ignore?.mayContainIncluded(folder)) return false;
    this.#options.memory?.setProbed(folder);
    for (const name of readFolder(this.#root, folder)) {
      const path = joinTree(folder, name);
      if (!this.#options.ignore.excluded(path)) return true;
      const full = join(this.#root, path);
      const stat = fs.lstatSync(fsPath(full), { throwIfNoEntry: false });
      this.#options.witness?.looked(full, stat);
      if (stat?.isDirectory() && this.#hasVisible(path)) return true;
    }
    return false;
  }
}
