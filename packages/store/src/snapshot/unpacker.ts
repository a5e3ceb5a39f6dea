import {
  closeSync,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';

import { bytesOfText, type Digest } from '@strake/core';
import { FileType, makeNode, setXattr, SystemCallError } from '@strake/sys';

import { isZeros } from '../tar/tar-file.js';
import type { ViewEntry } from '../types.js';
import type { ContentReader } from './content-reader.js';
import { fsPath, sysPath } from './paths.js';
import { handsOn, resetFacts, setFacts, setOwner, setXattrs } from './set-facts.js';

/** So many zeros at once become a hole of the file. */
const HOLE = 64 * 1024;

type Entry = Omit<ViewEntry, 'layer'> & { readonly layer: Digest };

/** Makes files below a folder that nobody else knows: paths are plain, no link of the layer can come into them. */
export class Unpacker {
  readonly #root: string;
  readonly #contents: ContentReader;
  readonly #umask: number;
  /** Folders, whose times change while they are filled. */
  readonly #folders: { readonly path: string; readonly mtime: number }[] = [];
  readonly #firstNames = new Map<string, string>();
  /** The folder that something was made in last, and whether it hands on something. */
  #last: { readonly folder: string; readonly handsOn: boolean } | undefined;

  /** UMASK: bits that modes of new files may lack. */
  constructor(root: string, contents: ContentReader, umask: number) {
    this.#root = root;
    this.#contents = contents;
    this.#umask = umask;
  }

  /** For a folder that is made here. */
  static into(root: string, contents: ContentReader): Unpacker {
    mkdirSync(root, { mode: 0o777 });
    return new Unpacker(root, contents, 0o777 & ~statSync(root).mode);
  }

  #path(path: string): string {
    return path === '' ? this.#root : `${this.#root}/${path}`;
  }

  /** Makes a name of the tree another name of the file that is yet to come with this inode. */
  knows(inode: string, path: string): void {
    this.#firstNames.set(inode, this.#path(path));
  }

  /** Gives a folder that is there already the facts of its entry. */
  reset(entry: Entry): void {
    const path = this.#path(entry.path);
    this.#last = undefined;
    resetFacts(path, entry);
    this.retime(entry);
  }

  /** Gives a folder that is there already its time, in the end. */
  retime({ path, mtime }: Pick<Entry, 'path' | 'mtime'>): void {
    this.#folders.push({ path: this.#path(path), mtime });
  }

  add(entry: Entry): void {
    const path = this.#path(entry.path);
    const first = entry.inode === undefined ? undefined : this.#firstNames.get(entry.inode);
    if (first !== undefined) {
      linkSync(fsPath(first), fsPath(path));
      return;
    }
    if (entry.inode !== undefined) this.#firstNames.set(entry.inode, path);
    const inherited = this.#inherits(path);
    const mode = entry.mode & 0o777 & ~this.#umask;
    switch (entry.type) {
      case 'directory':
        if (entry.path !== '') mkdirSync(fsPath(path), { mode: entry.mode & 0o777 });
        setFacts(path, entry, { mode: entry.path === '' || inherited ? -1 : mode, inherited });
        this.#last = undefined;
        this.#folders.push({ path, mtime: entry.mtime });
        return;
      case 'symlink':
        symlinkSync(bytesOfText(entry.link ?? ''), fsPath(path));
        setFacts(path, entry, { mode: undefined, inherited });
        lutimesSync(fsPath(path), entry.mtime, entry.mtime);
        return;
      case 'file':
        this.#file(path, entry, inherited);
        return;
      default:
        if (!this.#node(path, entry)) {
          if (entry.inode !== undefined) this.#firstNames.delete(entry.inode);
          return;
        }
        setFacts(path, entry, { mode, inherited });
        utimesSync(fsPath(path), entry.mtime, entry.mtime);
    }
  }

  #inherits(path: string): boolean {
    const folder = path.slice(0, path.lastIndexOf('/'));
    if (this.#last?.folder !== folder) this.#last = { folder, handsOn: handsOn(folder) };
    return this.#last.handsOn;
  }

  /** A device or fifo. False where there may be none: device nodes in a user namespace. */
  #node(path: string, { type, mode, device }: Entry): boolean {
    const kind = type === 'fifo' ? FileType.fifo : type === 'char' ? FileType.char : FileType.block;
    try {
      makeNode(sysPath(path), kind | (mode & 0o777), device?.major ?? 0, device?.minor ?? 0);
      return true;
    } catch (error) {
      if (error instanceof SystemCallError && error.code === 'EPERM' && type !== 'fifo') return false;
      throw error;
    }
  }

  #file(path: string, entry: Entry, inherited: boolean): void {
    const fd = openSync(fsPath(path), 'wx', entry.mode & 0o777);
    try {
      let holes = entry.segments !== undefined;
      this.#contents.copy(entry.layer, entry.offset ?? 0, entry.size, entry.segments, (bytes, position) => {
        if (bytes.length >= HOLE && isZeros(bytes)) holes = true;
        else for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
      });
      if (holes) ftruncateSync(fd, entry.size);
      setOwner(path, entry, inherited, () => fchownSync(fd, entry.uid, entry.gid));
      if ((entry.mode & 0o777 & ~this.#umask) !== entry.mode) fchmodSync(fd, entry.mode);
      if (entry.xattrs) setXattrs(path, entry.xattrs);
      futimesSync(fd, entry.mtime, entry.mtime);
    } finally {
      closeSync(fd);
    }
  }

  whiteout(path: string): void {
    makeNode(sysPath(this.#path(path)), FileType.char);
  }

  mark(path: string, xattr: string): void {
    setXattr(sysPath(this.#path(path)), xattr, Buffer.from('y'));
  }

  /** Sets the times of folders, the innermost first. */
  finish(): void {
    for (const { path, mtime } of this.#folders.reverse()) utimesSync(fsPath(path), mtime, mtime);
  }
}
