import {
  bytesOfText,
  errnoOf,
  hasEscapedBytes,
  isStrakeError,
  tarChecksumFits,
  textOfBytes,
  throwIfAborted,
  type ByteStream,
} from '@strake/core';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join, posix } from 'node:path';

import { decompress, detectCompression, prepend } from '../copy/decompress.js';
import { builderError } from '../errors.js';
import { parentPath, treePath } from '../tree/paths.js';
import { writeContent } from './entry-content.js';
import { tarEntries, type TarEntry } from './tar-entries.js';
import type { Stated } from './temporary-tree.js';

/** PATH_MAX of Linux. */
const LONGEST_PATH = 4096;
/** Files of one archive at most: a bomb of headers fills neither disk nor memory. */
const MOST_ENTRIES = 500_000;

/** Pipes of one archive at most: each takes a program of its own to make. */
const MOST_PIPES = 100;

/** Bytes in holes of one archive at most: they take no room, but a COPY of them reads them. */
const MOST_HOLES = 256 * 2 ** 30;

/** Bytes of extended attributes of one archive at most: they are kept in memory. */
const MOST_ATTRIBUTES = 64 * 1024 * 1024;

/** Whether the first bytes of a file are those of a tar, plain or compressed. */
export function looksLikeArchive(head: Uint8Array): boolean {
  if (detectCompression(head) !== 'none') return true;
  return head.length >= 512 && tarChecksumFits(Buffer.from(head.subarray(0, 512)));
}

/**
 * Unpacks a context's archive (any compression) into an empty folder that nobody else writes to: no name leads out of it, no link
 * is followed; modes and times are kept, and holes of sparse files. An empty file stands for a device node, which only root can make.
 * @returns the newest time of a file in it, in seconds since 1970, a function that makes all of it removable, and what the
 * archive states of owners, where they are not 0:0, extended attributes and device nodes: the files belong to whoever runs this
 * @throws StrakeError `CONTEXT_UNREADABLE`
 */
export async function unpackContext(
  archive: ByteStream,
  folder: string,
  signal: AbortSignal,
): Promise<{
  readonly newest: number | undefined;
  readonly stated: ReadonlyMap<string, Stated>;
  readonly restoreModes: () => void;
}> {
  const unpacking = new Unpacking(folder);
  let where = '';
  try {
    for await (const entry of entriesOf(archive)) {
      throwIfAborted(signal);
      where = ` at "${shown(entry.name)}"`;
      await unpacking.add(entry, signal);
      where = ` behind "${shown(entry.name)}"`;
    }
    unpacking.finish();
  } catch (error) {
    throwIfAborted(signal);
    unpacking.restoreModes();
    throw isStrakeError(error) ? error : unreadable(where, error);
  }
  return { newest: unpacking.newest, stated: unpacking.stated, restoreModes: () => unpacking.restoreModes() };
}

/** The entries of a tar in any compression. */
async function* entriesOf(archive: ByteStream): AsyncGenerator<TarEntry> {
  const iterator = archive[Symbol.asyncIterator]();
  const first = await iterator.next();
  const head = first.done ? new Uint8Array(0) : first.value;
  const compression = detectCompression(head);
  const isNone = compression === 'none' && beginsExtended(head);
  for await (const entry of tarEntries(await decompress(prepend(head, iterator), compression))) {
    if (isNone && entry.sparse) throw plainSparse(entry.name);
    yield entry;
  }
}

/**
 * Whether a tar begins with PAX's records of an entry, or with a long name. To BuildKit, which looks at 1024 bytes, such a one that is
 * not compressed is no archive. It is one here, but for sparse files.
 */
function beginsExtended(head: Uint8Array): boolean {
  return 'xLK'.includes(String.fromCharCode(head[156] ?? 0));
}

function plainSparse(name: string): Error {
  return builderError(
    'CONTEXT_UNREADABLE',
    `the archive of the context holds the sparse file "${shown(name)}", and is not compressed`,
    { hint: 'Compress it, for example with tar -C FOLDER -cz . | strake build -, or make it without -S.' },
  );
}

function unreadable(where: string, error: unknown): Error {
  const errno = errnoOf(error);
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return builderError('CONTEXT_UNREADABLE', 'there is no space left for the files of the context', { cause: error });
  }
  const why = errno ?? (error instanceof Error ? error.message : 'damaged');
  return builderError('CONTEXT_UNREADABLE', `the archive of the context cannot be unpacked${where}: ${why}`, {
    cause: error,
    hint: 'Make it anew, for example with tar -C FOLDER -c . | strake build -',
  });
}

function shown(name: string): string {
  return name.replace(/[\p{Cc}\ud800-\udfff]/gu, '?').slice(0, 200);
}

interface MutableStated extends Stated {
  uid: number;
  gid: number;
  xattrs?: Record<string, string> | undefined;
}

class Unpacking {
  readonly #root: string;
  /** Folders as they are to be in the end: while files are put into them they are open to us. */
  readonly #folders = new Map<string, { mode: number; time: number | undefined }>();
  readonly stated = new Map<string, MutableStated>();
  newest: number | undefined;
  #entries = 0;
  #pipes = 0;
  #attributes = 0;
  #holes = 0;

  constructor(root: string) {
    this.#root = root;
    this.#folders.set('', { mode: 0o755, time: undefined });
  }

  async add(entry: TarEntry, signal: AbortSignal): Promise<void> {
    const { name, link, mode, mtime: time } = entry;
    const path = treePath(name);
    if (name.includes('\0') || link.includes('\0')) throw refused(name, 'its name holds a NUL byte');
    if (++this.#entries > MOST_ENTRIES) throw refused(name, `it has too many entries, more than ${MOST_ENTRIES}`);
    if (path.length > LONGEST_PATH) throw refused(name, 'its name is too long');
    // As in BuildKit: `./` says nothing of the root.
    if (posix.normalize(name).replace(/(.)\/$/, '$1') === '.') return;
    switch (entry.type) {
      case 'directory':
        this.#makeFolder(path);
        this.#folders.set(path, { mode, time });
        break;
      case 'file':
      case 'device':
        this.#clear(path, name);
        this.#countHoles(entry);
        await this.#write(path, entry, signal);
        fs.utimesSync(this.#at(path), time, time);
        if (entry.type === 'file') this.newest = Math.max(this.newest ?? time, time);
        break;
      case 'symlink':
        this.#clear(path, name);
        fs.symlinkSync(hasEscapedBytes(link) ? bytesOfText(link) : link, this.#at(path));
        fs.lutimesSync(this.#at(path), time, time);
        break;
      case 'link':
        this.#link(path, entry);
        break;
      case 'fifo':
        if (++this.#pipes > MOST_PIPES) throw refused(name, `it has too many pipes, more than ${MOST_PIPES}`);
        this.#clear(path, name);
        if (!makePipe(this.#at(path))) break;
        fs.chmodSync(this.#at(path), mode);
        fs.utimesSync(this.#at(path), time, time);
        break;
    }
    this.#state(path, entry);
  }

  #state(path: string, entry: TarEntry): void {
    for (const [key, value] of Object.entries(entry.xattrs ?? {})) this.#attributes += key.length + value.length;
    if (this.#attributes > MOST_ATTRIBUTES)
      throw refused(entry.name, 'there are too many extended attributes, more than 64 MiB');
    const stated = entry.type === 'link' ? this.#restated(path, entry) : statedOf(entry);
    if (stated) this.stated.set(path, stated);
    else this.stated.delete(path);
  }

  /** What a link states of the file that it is a name of: it counts for all names, which share what is stated. */
  #restated(path: string, { link, uid, gid, xattrs = {} }: TarEntry): MutableStated {
    const target = treePath(link);
    const shared = this.stated.get(target) ?? { uid, gid };
    this.stated.set(target, shared);
    const isFile = shared.device === undefined && this.#stat(path)?.isFile();
    const meant = Object.entries(xattrs).filter(([key]) => isFile || !key.startsWith('user.'));
    if (meant.length > 0)
      shared.xattrs = Object.assign(shared.xattrs ?? (Object.create(null) as object), Object.fromEntries(meant));
    return Object.assign(shared, { uid, gid });
  }

  /** Gives folders their modes and times. */
  finish(): void {
    for (const [path, { mode, time }] of [...this.#folders].reverse()) {
      if (!this.#stat(path)?.isDirectory()) continue;
      if (time !== undefined) fs.utimesSync(this.#at(path), time, time);
      fs.chmodSync(this.#at(path), mode);
    }
  }

  /** Makes folders removable for users that are not root. */
  restoreModes(): void {
    for (const [path, { mode }] of this.#folders) {
      if ((mode & 0o700) !== 0o700 && this.#stat(path)?.isDirectory()) fs.chmodSync(this.#at(path), 0o700);
    }
  }

  #at(path: string): string | Buffer {
    const full = join(this.#root, path);
    return hasEscapedBytes(full) ? bytesOfText(full) : full;
  }

  #stat(path: string): fs.Stats | undefined {
    return fs.lstatSync(this.#at(path), { throwIfNoEntry: false });
  }

  /** Makes a folder and those above it. What is no folder in its place goes; above it, it is refused. */
  #makeFolder(path: string): void {
    if (this.#folders.has(path) || path === '') return;
    this.#openFolder(parentPath(path), path);
    const there = this.#stat(path);
    if (there && !there.isDirectory()) fs.unlinkSync(this.#at(path));
    if (!there?.isDirectory()) fs.mkdirSync(this.#at(path), { mode: 0o755 });
    this.stated.delete(path);
    this.#folders.set(path, { mode: 0o755, time: undefined });
  }

  /** Makes sure that a folder is one, and that all above it are: no link, no file. */
  #openFolder(folder: string, name: string): void {
    if (this.#folders.has(folder)) return;
    this.#openFolder(parentPath(folder), name);
    const there = this.#stat(folder);
    if (there && !there.isDirectory()) throw refused(name, `"${shown(folder)}" in its path is no folder`);
    if (!there) this.#makeFolder(folder);
  }

  /** Makes room for something that is no folder. */
  #clear(path: string, name: string): void {
    if (path === '') throw refused(name, 'only a folder can have this name');
    this.#openFolder(parentPath(path), name);
    const there = this.#stat(path);
    if (!there) return;
    if (!there.isDirectory()) return fs.unlinkSync(this.#at(path));
    this.#forget(path);
    fs.rmSync(this.#at(path), { recursive: true });
  }

  /** Forgets a folder and those in it, as the disk tells them: there may be half a million others. */
  #forget(path: string): void {
    this.#folders.delete(path);
    for (const entry of fs.readdirSync(this.#at(path), { encoding: 'buffer', withFileTypes: true })) {
      if (entry.isDirectory()) this.#forget(`${path}/${textOfBytes(entry.name)}`);
    }
  }

  #countHoles({ name, sparse }: TarEntry): void {
    if (!sparse) return;
    this.#holes += sparse.pieces.reduce((holes, [, length]) => holes - length, sparse.size);
    if (this.#holes > MOST_HOLES) throw refused(name, 'the holes of its sparse files have more than 256 GiB');
  }

  async #write(path: string, entry: TarEntry, signal: AbortSignal): Promise<void> {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
    const fd = fs.openSync(this.#at(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      await writeContent(fd, entry, signal);
      fs.fchmodSync(fd, entry.mode);
    } finally {
      fs.closeSync(fd);
    }
  }

  #link(path: string, { name, link, mode, mtime: time }: TarEntry): void {
    const target = treePath(link);
    this.#openFolder(parentPath(target), name);
    const there = this.#stat(target);
    if (path === target || !there || there.isDirectory()) {
      throw refused(name, `it is a link to "${shown(target)}", which is no file of it`);
    }
    this.#clear(path, name);
    fs.linkSync(this.#at(target), this.#at(path));
    if (there.isSymbolicLink()) return;
    fs.chmodSync(this.#at(path), mode);
    fs.utimesSync(this.#at(path), time, time);
  }
}

/** What an entry states that its file does not show, where that is more than 0:0. */
function statedOf({ uid, gid, xattrs, device }: TarEntry): MutableStated | undefined {
  if (uid === 0 && gid === 0 && !xattrs && !device) return undefined;
  return { uid, gid, ...(xattrs && { xattrs }), ...(device && { device }) };
}

/** Node has no call that makes one. */
function makePipe(path: string | Buffer): boolean {
  if (typeof path !== 'string') return false; // nor one that gives a program a name that is no UTF-8
  execFileSync('mkfifo', ['-m', '600', path], { stdio: 'ignore' });
  return true;
}

function refused(name: string, why: string): Error {
  return builderError(
    'CONTEXT_UNREADABLE',
    `the archive of the context holds "${shown(name)}", which is refused: ${why}`,
  );
}
