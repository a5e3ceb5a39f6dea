import { errnoOf, textOfBytes, throwIfAborted, type Digest } from '@strake/core';
import type { ContentSource, DigestCache, FileStamp, SizedPath } from '@strake/store';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';

import { builderError } from '../errors.js';
import { compareBytes, fsPath, joinTree, parentPath, resolveInTree } from './paths.js';
import type { SourceEntry, SourceTree } from './source-tree.js';

/** Says what an ignore file hides. Paths relative to the context. */
export interface IgnoreRules {
  excluded(path: string): boolean;
  /** Whether something below an excluded folder may be visible again. */
  mayContainIncluded(folder: string): boolean;
}

export interface LocalTreeOptions {
  /** Absolute path of the context, free of links. */
  readonly root: string;
  readonly ignore?: IgnoreRules | undefined;
  /** Owners of paths, where they are not 0:0: an archive's. */
  readonly owners?: ReadonlyMap<string, { readonly uid: number; readonly gid: number }> | undefined;
  /** What is remembered from earlier builds. */
  readonly remembered: DigestCache;
  /** Digests of many files; where it is missing, or there are few, they are read here. */
  readonly digestFiles?:
    ((files: readonly SizedPath[], signal?: AbortSignal) => Promise<readonly (Digest | undefined)[]>) | undefined;
  /** Extended attributes of a path that belong into a layer. */
  readonly xattrs: (path: string) => Readonly<Record<string, string>> | undefined;
}

/** From so many bytes on, worker threads read. What opening a file costs counts as bytes too. */
const FOR_OTHERS = 4 << 20;
const OPENING = 16 << 10;
const CHUNK = 256 << 10;
/** Paths that are looked at again before others get their turn. */
const AT_ONCE = 256;

interface LocalEntry extends SourceEntry {
  readonly stamp: FileStamp;
}

/**
 * A folder of this machine as a source of COPY and ADD: files belong to 0:0 but for an archive's, what is ignored is not there, sockets are left out.
 * Only what is asked for is looked at, and each path once.
 */
export class LocalTree implements SourceTree {
  readonly #root: string;
  readonly #options: LocalTreeOptions;
  readonly #entries = new Map<string, LocalEntry | null>();
  readonly #lists = new Map<string, readonly string[]>();
  /** Excluded folders that were read to see whether something in them is visible. */
  readonly #probed = new Set<string>();

  constructor(options: LocalTreeOptions) {
    this.#root = options.root;
    this.#options = options;
  }

  lookup(path: string): SourceEntry | undefined {
    const known = this.#entries.get(path);
    if (known !== undefined) return known ?? undefined;
    const entry = this.#read(path);
    this.#entries.set(path, entry ?? null);
    return entry;
  }

  list(path: string): readonly string[] {
    let names = this.#lists.get(path);
    if (!names) {
      names =
        this.lookup(path)?.type === 'directory'
          ? this.#readFolder(path).filter((name) => this.lookup(joinTree(path, name)) !== undefined)
          : [];
      this.#lists.set(path, names);
    }
    return names;
  }

  resolve(path: string, options?: { readonly nofollow?: boolean }): string {
    const resolved = resolveInTree(path, (p) => this.lookup(p), options?.nofollow);
    if (resolved === undefined) {
      throw builderError('COPY_SOURCE_NOT_FOUND', `"${path}" of the context leads in a circle of links`);
    }
    return resolved;
  }

  async digests(entries: readonly SourceEntry[], signal?: AbortSignal): Promise<ReadonlyMap<string, Digest>> {
    const digests = new Map<string, Digest>();
    const files = entries.filter((entry): entry is LocalEntry => entry.type === 'file' && 'stamp' in entry);
    const { remembered, digestFiles } = this.#options;
    const unknown: LocalEntry[] = [];
    let bytes = 0;
    for (const file of files) {
      const digest = remembered.get(file.path, file.stamp);
      if (digest) digests.set(file.path, digest);
      else {
        unknown.push(file);
        bytes += file.size + OPENING;
      }
    }
    const many = digestFiles && bytes > FOR_OTHERS ? await digestFiles(unknown, signal) : undefined;
    for (const [i, file] of unknown.entries()) {
      const digest = many?.[i] ?? (await this.#hash(file, signal));
      remembered.set(file.path, file.stamp, digest);
      digests.set(file.path, digest);
    }
    return digests;
  }

  source(entry: SourceEntry, digest?: Digest): ContentSource {
    return { kind: 'file', root: this.#root, path: entry.path, digest };
  }

  async *read(entry: SourceEntry): AsyncGenerator<Uint8Array> {
    const fd = this.#open(entry.path);
    try {
      for (let room = Math.min(entry.size + 1, CHUNK); ; room = CHUNK) {
        const buffer = Buffer.allocUnsafe(room);
        const read = fs.readSync(fd, buffer, 0, buffer.length, null);
        if (read === 0) return;
        yield buffer.subarray(0, read);
        if (read === CHUNK) await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      fs.closeSync(fd);
    }
  }

  /** What was looked at: folders whose names were read, and paths, whether something is there or not. */
  reads(): { readonly folders: Iterable<string>; readonly paths: Iterable<string> } {
    return { folders: [...this.#lists.keys(), ...this.#probed], paths: this.#entries.keys() };
  }

  /** Whether a change at PATH can show in what was read: it was looked at, or is new in a folder that was, and not ignored. */
  concerns(path: string): boolean {
    if (path === '' || this.#entries.get(path) || this.#lists.has(path) || this.#probed.has(path)) return true;
    const folder = parentPath(path);
    if (!this.#entries.has(path) && !this.#lists.has(folder) && !this.#probed.has(folder)) return false;
    const { ignore } = this.#options;
    return !ignore?.excluded(path) || ignore.mayContainIncluded(path);
  }

  /** Has PATHS, what is below them and what their folders hold looked at anew when next asked for, their digests too. */
  forget(paths: Iterable<string>): void {
    const { remembered } = this.#options;
    const folders = new Set<string>();
    const drop = (path: string): void => {
      this.#entries.delete(path);
      this.#lists.delete(path);
      this.#probed.delete(path);
      remembered.forget(path);
    };
    const parents = new Set<string>();
    for (const path of paths) {
      if (this.#entries.get(path)?.type !== 'file') folders.add(path);
      drop(path);
      if (path !== '') parents.add(parentPath(path));
    }
    if (folders.size > 0) {
      for (const path of [...this.#entries.keys()]) if (liesIn(path, folders)) drop(path);
    }
    // A folder has a new time; one that was ignored may hold something visible now, or no more.
    for (let folder of parents) {
      for (;;) {
        const hidden = this.#entries.get(folder) === null || this.#probed.has(folder);
        this.#entries.delete(folder);
        this.#lists.delete(folder);
        if (folder === '' || !hidden) break;
        folder = parentPath(folder);
      }
    }
  }

  /** Looks again at everything that was looked at (WHERE: in these folders): the paths whose facts are no longer what they were. */
  async findChanged(signal?: AbortSignal, where?: ReadonlySet<string>): Promise<string[]> {
    const changed: string[] = [];
    let looked = 0;
    for (const [path, entry] of [...this.#entries]) {
      if (where && !where.has(path) && !where.has(parentPath(path))) continue;
      if (++looked % AT_ONCE === 0) {
        await new Promise((resolve) => setImmediate(resolve));
        throwIfAborted(signal);
      }
      const stat = lstatNow(join(this.#root, path));
      const same = entry ? stat !== undefined && sameStamp(entry.stamp, stampOf(stat)) : this.#isHidden(path, stat);
      if (!same) changed.push(path);
    }
    return changed;
  }

  #isHidden(path: string, stat: fs.BigIntStats | undefined): boolean {
    return stat === undefined || stat.isSocket() || (this.#options.ignore?.excluded(path) ?? false);
  }

  /** Writes the digests learned to disk, for the next build. */
  async save(): Promise<void> {
    await this.#options.remembered.save();
  }

  /** Opens a file without following a link in any component: what was opened must be where it was looked for. */
  #open(path: string): number {
    const full = join(this.#root, path);
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
    let fd: number;
    try {
      fd = fs.openSync(fsPath(full), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch (error) {
      throw this.#unreadable(path, error);
    }
    if (readLink(`/proc/self/fd/${fd}`) !== full || !fs.fstatSync(fd).isFile()) {
      fs.closeSync(fd);
      throw replaced(path);
    }
    return fd;
  }

  async #hash(entry: LocalEntry, signal: AbortSignal | undefined): Promise<Digest> {
    const hash = createHash('sha256');
    for await (const chunk of this.read(entry)) {
      throwIfAborted(signal);
      hash.update(chunk);
    }
    return `sha256:${hash.digest('hex')}`;
  }

  #unreadable(path: string, cause: unknown): Error {
    return builderError('CONTEXT_UNREADABLE', `cannot read "${path}" of the context: ${errnoOf(cause) ?? 'error'}`, {
      cause,
      hint: 'Give yourself the right to read it, or name it in .dockerignore.',
    });
  }

  #readFolder(path: string): string[] {
    try {
      // latin1: names arrive byte by byte, those of ASCII as they are.
      const names = fs.readdirSync(fsPath(join(this.#root, path)), 'latin1');
      return names
        .map((name) => (/[^ -~]/.test(name) ? textOfBytes(Buffer.from(name, 'latin1')) : name))
        .sort(compareBytes);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw this.#unreadable(path === '' ? '.' : path, error);
    }
  }

  #read(path: string): LocalEntry | undefined {
    if (path !== '' && this.lookup(parentPath(path))?.type !== 'directory') return undefined;
    const full = join(this.#root, path);
    let stat: fs.BigIntStats | undefined;
    try {
      stat = fs.lstatSync(fsPath(full), { bigint: true, throwIfNoEntry: false });
    } catch (error) {
      if (errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'ENAMETOOLONG') return undefined;
      throw this.#unreadable(path, error);
    }
    if (!stat) return undefined;
    let entry: LocalEntry | undefined;
    try {
      entry = localEntry(path, full, stat, this.#options);
    } catch (error) {
      throw ['ENOENT', 'ENOTDIR', 'EINVAL', 'ELOOP'].includes(errnoOf(error) ?? '')
        ? replaced(path, error)
        : this.#unreadable(path, error);
    }
    if (!entry || path === '' || !this.#options.ignore?.excluded(path)) return entry;
    return entry.type === 'directory' && this.#hasVisible(path) ? entry : undefined;
  }

  /** Whether an excluded folder holds something that an exception brings back. */
  #hasVisible(folder: string): boolean {
    if (!this.#options.ignore?.mayContainIncluded(folder)) return false;
    this.#probed.add(folder);
    for (const name of this.#readFolder(folder)) {
      const path = joinTree(folder, name);
      if (!this.#options.ignore.excluded(path)) return true;
      if (
        fs.lstatSync(fsPath(join(this.#root, path)), { throwIfNoEntry: false })?.isDirectory() &&
        this.#hasVisible(path)
      ) {
        return true;
      }
    }
    return false;
  }
}

function replaced(path: string, cause?: unknown): Error {
  return builderError('CONTEXT_UNREADABLE', `"${path}" of the context was replaced while it was read`, {
    cause,
    hint: 'Build again when nothing changes the files.',
  });
}

function localEntry(
  path: string,
  full: string,
  stat: fs.BigIntStats,
  { xattrs: readXattrs, remembered, owners }: LocalTreeOptions,
): LocalEntry | undefined {
  const type = stat.isFile()
    ? 'file'
    : stat.isDirectory()
      ? 'directory'
      : stat.isSymbolicLink()
        ? 'symlink'
        : stat.isCharacterDevice()
          ? 'char'
          : stat.isBlockDevice()
            ? 'block'
            : stat.isFIFO()
              ? 'fifo'
              : undefined;
  if (type === undefined) return undefined;
  const stamp = stampOf(stat);
  const owner = owners?.get(path);
  const plain = remembered.isPlain(path, stamp);
  const xattrs = plain ? undefined : readXattrs(full);
  if (!plain && !xattrs) remembered.setPlain(path, stamp);
  return {
    path,
    type,
    mode: type === 'symlink' ? 0o777 : stamp.mode & 0o7777,
    uid: owner?.uid ?? 0,
    gid: owner?.gid ?? 0,
    size: type === 'file' ? stamp.size : 0,
    mtime: Number(stat.mtimeNs / 1_000_000_000n),
    ...(type === 'symlink' ? { link: readLink(full) } : {}),
    ...(type === 'char' || type === 'block' ? { device: deviceNumbers(stat.rdev) } : {}),
    ...(type === 'file' && stat.nlink > 1n ? { inode: `${stat.dev}:${stat.ino}` } : {}),
    ...(xattrs ? { xattrs } : {}),
    stamp,
  };
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

function stampOf(stat: fs.BigIntStats): FileStamp {
  const { size, mtimeNs: mtime, ctimeNs: ctime, ino: inode, mode } = stat;
  return { size: Number(size), mtime, ctime, inode, mode: Number(mode) };
}

function sameStamp(a: FileStamp, b: FileStamp): boolean {
  return a.size === b.size && a.mtime === b.mtime && a.ctime === b.ctime && a.inode === b.inode && a.mode === b.mode;
}

/** What is at a path; undefined where nothing can be seen there. */
function lstatNow(path: string): fs.BigIntStats | undefined {
  try {
    return fs.lstatSync(fsPath(path), { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function readLink(path: string): string {
  return textOfBytes(fs.readlinkSync(fsPath(path), 'buffer'));
}

/** glibc's major(3) and minor(3). */
function deviceNumbers(device: bigint): { major: number; minor: number } {
  return {
    major: Number(((device >> 32n) & 0xfffff000n) | ((device >> 8n) & 0xfffn)),
    minor: Number(((device >> 12n) & 0xffffff00n) | (device & 0xffn)),
  };
}
