import { digestOf, type Digest } from '@strake/core';
import type { ContentSource } from '@strake/store';

import { builderError } from '../errors.js';
import type { IgnoreRules } from './ignore.js';
import { baseName, compareBytes, joinTree, parentPath, resolveInTree, treePath } from './paths.js';
import type { SourceEntry, SourceTree } from './source-tree.js';

/** A file, with its mode (default 0644) and its time (a Date, or seconds since 1970; default: now). */
export interface MapFile {
  readonly content: string | Uint8Array;
  readonly mode?: number | undefined;
  readonly mtime?: Date | number | undefined;
}

/** A file that is its content, a file with more facts, a symbolic link, or a folder, which must be named only where it is empty or has a mode. */
export type MapEntry =
  | string
  | Uint8Array
  | MapFile
  | { readonly link: string }
  | { readonly directory: true; readonly mode?: number | undefined };

/** Files by path, `/` between components: `{ 'src/a.ts': 'text' }`. What a context is without being on a disk. */
export type FileMap = Readonly<Record<string, MapEntry>>;

/** PATH_MAX of Linux. */
const LONGEST_PATH = 4096;

interface MemoryEntry extends SourceEntry {
  readonly content?: Uint8Array;
}

/** Files in memory as a source of COPY and ADD. They belong to 0:0. */
export class MemoryTree implements SourceTree {
  readonly #all: ReadonlyMap<string, MemoryEntry>;
  readonly #entries = new Map<string, MemoryEntry>();
  readonly #lists = new Map<string, string[]>();
  readonly #digests = new Map<string, Digest>();

  private constructor(all: ReadonlyMap<string, MemoryEntry>, ignore: IgnoreRules | undefined) {
    this.#all = all;
    for (const [path, entry] of all) if (path === '' || !ignore?.excluded(path)) this.#show(entry);
    for (const names of this.#lists.values()) names.sort(compareBytes);
  }

  /**
   * @param time seconds since 1970, of what has none of its own
   * @throws StrakeError `ARGUMENT_INVALID` for a path that leads outside, that is two things, or that no file can have
   */
  static of(files: FileMap, time: number): MemoryTree {
    const all = new Map<string, MemoryEntry>([['', folder('', 0o755, time)]]);
    for (const [name, value] of Object.entries(files)) {
      const entry = entryOf(name, value, time);
      if (all.has(entry.path)) throw invalid(name, 'it is there twice');
      all.set(entry.path, entry);
    }
    for (const path of [...all.keys()]) {
      for (let above = parentPath(path); all.get(above)?.type !== 'directory'; above = parentPath(above)) {
        if (all.has(above)) throw invalid(path, `"${above}" is no folder`);
        all.set(above, folder(above, 0o755, time));
      }
    }
    return new MemoryTree(all, undefined);
  }

  /** The same files without what IGNORE hides. */
  hiding(ignore: IgnoreRules): MemoryTree {
    return new MemoryTree(this.#all, ignore);
  }

  lookup(path: string): SourceEntry | undefined {
    return this.#entries.get(path);
  }

  list(path: string): readonly string[] {
    return this.#lists.get(path) ?? [];
  }

  resolve(path: string, options?: { readonly nofollow?: boolean }): string {
    const resolved = resolveInTree(path, (p) => this.lookup(p), options?.nofollow);
    if (resolved === undefined) {
      throw builderError('COPY_SOURCE_NOT_FOUND', `"${path}" of the context leads in a circle of links`);
    }
    return resolved;
  }

  *children(path: string): Generator<SourceEntry> {
    for (const name of this.list(path)) {
      const entry = this.lookup(joinTree(path, name));
      if (entry) yield entry;
    }
  }

  learn(): Promise<void> {
    return Promise.resolve();
  }

  digest({ path, type }: SourceEntry): Digest | undefined {
    if (type !== 'file') return undefined;
    const digest = this.#digests.get(path) ?? digestOf(this.#content(path));
    this.#digests.set(path, digest);
    return digest;
  }

  source(entry: SourceEntry): ContentSource {
    return { kind: 'bytes', bytes: this.#content(entry.path) };
  }

  async *read(entry: SourceEntry): AsyncGenerator<Uint8Array> {
    yield this.#content(entry.path);
  }

  #content(path: string): Uint8Array {
    return this.#entries.get(path)?.content ?? new Uint8Array(0);
  }

  /** Makes an entry visible, and the folders above it, which may be excluded themselves. */
  #show(entry: MemoryEntry): void {
    if (this.#entries.has(entry.path)) return;
    this.#entries.set(entry.path, entry);
    if (entry.path === '') return;
    const above = parentPath(entry.path);
    const parent = this.#all.get(above);
    if (parent) this.#show(parent);
    const names = this.#lists.get(above);
    if (names) names.push(baseName(entry.path));
    else this.#lists.set(above, [baseName(entry.path)]);
  }
}

function entryOf(name: string, value: MapEntry, time: number): MemoryEntry {
  const path = treePath(name);
  const parts = name.split('/');
  if (parts.includes('..')) throw invalid(name, 'it leads upwards');
  if (path === '' || /[\0\p{Surrogate}]/u.test(name)) throw invalid(name, 'no file can have this name');
  const tooLong = path.length > LONGEST_PATH || parts.some((part) => Buffer.byteLength(part) > 255);
  if (tooLong) throw invalid(name, 'its name is too long');
  const base = { path, uid: 0, gid: 0, mtime: time };
  const file = (content: string | Uint8Array, mode: number, mtime: number): MemoryEntry => {
    const given: unknown = content;
    if (typeof given !== 'string' && !(given instanceof Uint8Array)) {
      throw invalid(name, 'its content is neither a text nor bytes');
    }
    // A copy: what its caller does with it meanwhile must not get under another content's key.
    const bytes = Buffer.from(given as string);
    return { ...base, type: 'file', mode, mtime, size: bytes.length, content: bytes };
  };
  if (typeof value === 'string' || value instanceof Uint8Array) return file(value, 0o644, time);
  if (typeof value !== 'object' || (value as unknown) === null)
    throw invalid(name, 'it is neither a file, a link nor a folder');
  const entry = value as Partial<MapFile> & { readonly link?: unknown; readonly directory?: unknown };
  const mode = entry.mode ?? (entry.directory ? 0o755 : 0o644);
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) throw invalid(name, `${String(mode)} is no mode`);
  if (entry.directory === true) return folder(path, mode, time);
  if (typeof entry.link === 'string') {
    if (entry.link === '' || entry.link.includes('\0')) throw invalid(name, 'no link can lead there');
    return { ...base, type: 'symlink', mode: 0o777, size: 0, link: entry.link };
  }
  const mtime = entry.mtime instanceof Date ? Math.floor(entry.mtime.getTime() / 1000) : (entry.mtime ?? time);
  if (!Number.isSafeInteger(mtime)) throw invalid(name, 'its time is no time');
  if (entry.content === undefined) throw invalid(name, 'it is neither a file, a link nor a folder');
  return file(entry.content, mode, mtime);
}

function folder(path: string, mode: number, mtime: number): MemoryEntry {
  return { path, type: 'directory', mode, uid: 0, gid: 0, size: 0, mtime };
}

function invalid(name: string, why: string): Error {
  return builderError('ARGUMENT_INVALID', `the context holds "${name.slice(0, 200)}", which cannot be: ${why}`);
}
