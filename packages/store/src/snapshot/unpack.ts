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

import { writeFailure } from '../errors.js';
import { loadIndex } from '../layer/layer-index.js';
import { MergedView } from '../layer/tree-view.js';
import { isZeros } from '../tar/tar-file.js';
import type { ViewEntry } from '../types.js';
import { ContentReader } from './content-reader.js';
import { fsPath, sysPath } from './paths.js';
import { scanTree, settleTime } from './scan.js';
import { setFacts, setOwner, setXattrs } from './set-facts.js';

/** So many zeros at once become a hole of the file. */
const HOLE = 64 * 1024;

/** A layer's files; of one that is still being written, the bytes of an index that says enough. */
export interface LayerFiles {
  readonly diffId: Digest;
  readonly index: string | Uint8Array;
  readonly tar: string;
}

/** A tree to be made: one layer as overlayfs wants it, or a whole chain merged. */
export interface UnpackJob {
  /** A folder that does not exist yet. */
  readonly tree: string;
  /** Lowest first. */
  readonly chain: readonly LayerFiles[];
  /** `layer`: the topmost of the chain alone, with whiteouts; the others only tell what it lacks. */
  readonly what: 'layer' | 'merged';
  /** The attribute that marks an opaque folder. */
  readonly opaque: string;
  /** Where a scan of the tree is written to, where one is wanted. */
  readonly scan?: string | undefined;
}

type Entry = Omit<ViewEntry, 'layer'> & { readonly layer: Digest };

/** Makes files below a folder that nobody else knows: paths are plain, no link of the layer can come into them. */
class Unpacker {
  readonly #root: string;
  readonly #contents: ContentReader;
  readonly #umask: number;
  /** Folders, whose times change while they are filled. */
  readonly #folders: { readonly path: string; readonly mtime: number }[] = [];
  readonly #firstNames = new Map<string, string>();

  constructor(root: string, contents: ContentReader) {
    this.#root = root;
    this.#contents = contents;
    mkdirSync(root, { mode: 0o777 });
    this.#umask = 0o777 & ~statSync(root).mode;
  }

  #path(path: string): string {
    return path === '' ? this.#root : `${this.#root}/${path}`;
  }

  add(entry: Entry): void {
    const path = this.#path(entry.path);
    const first = entry.inode === undefined ? undefined : this.#firstNames.get(entry.inode);
    if (first !== undefined) {
      linkSync(fsPath(first), fsPath(path));
      return;
    }
    if (entry.inode !== undefined) this.#firstNames.set(entry.inode, path);
    switch (entry.type) {
      case 'directory':
        if (entry.path !== '') mkdirSync(fsPath(path), { mode: entry.mode & 0o777 });
        setFacts(path, entry, entry.path === '' ? -1 : entry.mode & 0o777 & ~this.#umask);
        this.#folders.push({ path, mtime: entry.mtime });
        return;
      case 'symlink':
        symlinkSync(bytesOfText(entry.link ?? ''), fsPath(path));
        setFacts(path, entry, undefined);
        lutimesSync(fsPath(path), entry.mtime, entry.mtime);
        return;
      case 'file':
        this.#file(path, entry);
        return;
      default: {
        if (!this.#node(path, entry)) return;
        setFacts(path, entry, entry.mode & 0o777 & ~this.#umask);
        utimesSync(fsPath(path), entry.mtime, entry.mtime);
      }
    }
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

  #file(path: string, entry: Entry): void {
    const fd = openSync(fsPath(path), 'wx', entry.mode & 0o777);
    try {
      let holes = entry.segments !== undefined;
      this.#contents.copy(entry.layer, entry.offset ?? 0, entry.size, entry.segments, (bytes, position) => {
        if (bytes.length >= HOLE && isZeros(bytes)) holes = true;
        else for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
      });
      if (holes) ftruncateSync(fd, entry.size);
      setOwner(path, entry, () => fchownSync(fd, entry.uid, entry.gid));
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

/**
 * Unpacks layers that are in the store into a new folder.
 * @throws StrakeError `DISK_FULL`, `LAYER_INVALID`; the folder is the caller's to remove then
 */
export function unpackTree(job: UnpackJob, aborted: () => boolean): void {
  const indexes = job.chain.map(({ diffId, index }) => loadIndex(diffId, index));
  const view = new MergedView(
    job.chain.map(({ diffId }) => diffId),
    indexes,
    undefined,
  );
  const contents = new ContentReader(new Map(job.chain.map(({ diffId, tar }) => [diffId, tar])));
  try {
    const unpacker = new Unpacker(job.tree, contents);
    const check = (): void => {
      if (aborted()) throw new Error('aborted');
    };
    if (job.what === 'merged') {
      for (const entry of view.walk('')) {
        check();
        unpacker.add(entry);
      }
    } else {
      for (const { entry, whiteout, opaque } of view.topLayer()) {
        check();
        if (entry === undefined) unpacker.whiteout(whiteout ?? '');
        else unpacker.add(entry);
        if (entry !== undefined && opaque && entry.path !== '') unpacker.mark(entry.path, job.opaque);
      }
    }
    unpacker.finish();
    if (job.scan !== undefined) {
      const scan = scanTree(job.tree);
      scan.save(job.scan);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, settleTime(scan));
    }
  } catch (error) {
    throw writeFailure(error, job.tree);
  } finally {
    contents.close();
  }
}
