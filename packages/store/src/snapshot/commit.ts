import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, type Stats } from 'node:fs';

import { textOfBytes } from '@strake/core';
import { getXattr, listXattrs, splitDevice } from '@strake/sys';

import { loadIndex } from '../layer/layer-index.js';
import type { LayerWriter } from '../layer/layer-writer.js';
import { MergedView } from '../layer/tree-view.js';
import { readerOf } from '../tar/sink.js';
import type { EntryFacts, EntryType, ViewEntry } from '../types.js';
import { digestOfFile } from './file-digest.js';
import { fsPath, OWNER_XATTR, sysPath } from './paths.js';
import { scanSparse } from './sparse-scan.js';
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

type Written = EntryFacts & { readonly type: EntryType };

const TYPE_BITS = 0o170000;
const TYPES: Readonly<Record<number, EntryType>> = {
  0o100000: 'file',
  0o040000: 'directory',
  0o120000: 'symlink',
  0o020000: 'char',
  0o060000: 'block',
  0o010000: 'fifo',
};
const OVERLAY_XATTR = /^(trusted|user)\.overlay\./;

function sameXattrs(a: EntryFacts['xattrs'], b: EntryFacts['xattrs']): boolean {
  const [left, right] = [Object.entries(a ?? {}), b ?? {}];
  return left.length === Object.keys(right).length && left.every(([name, value]) => right[name] === value);
}

/** Whether two entries differ in nothing but their times and contents. */
function sameFacts(a: Written, b: ViewEntry): boolean {
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
function namesIn(path: string): string[] {
  const names = readdirSync(fsPath(path), { encoding: 'latin1' }).sort();
  return names.map((name) => (/[^ -~]/.test(name) ? textOfBytes(Buffer.from(name, 'latin1')) : name));
}

/** Walks an upper folder and writes what it changes of the chain below. */
class UpperWalk {
  readonly #job: CommitJob;
  readonly #writer: LayerWriter;
  readonly #view: MergedView;
  readonly #aborted: () => boolean;
  /** Folders on the way to here that have not been written. */
  readonly #parents: Written[] = [];
  readonly #links = new Map<string, string>();

  constructor(job: CommitJob, writer: LayerWriter, aborted: () => boolean) {
    this.#job = job;
    this.#writer = writer;
    this.#aborted = aborted;
    this.#view = new MergedView(
      job.chain.map(({ diffId }) => diffId),
      job.chain.map(({ diffId, index }) => loadIndex(diffId, index)),
      undefined,
    );
  }

  run(): void {
    const { upper } = this.#job;
    const root = this.#facts('', lstatSync(upper));
    const below = this.#view.lookup('');
    if (root && below && !sameFacts(root, below)) this.#writer.add(root);
    this.#folder('', this.#job.chain.length > 0);
  }

  #source(path: string): string {
    return path === '' ? this.#job.upper : `${this.#job.upper}/${path}`;
  }

  #xattrs(path: string): Record<string, string> | undefined {
    const source = sysPath(this.#source(path));
    let xattrs: Record<string, string> | undefined;
    for (const name of listXattrs(source)) {
      if (OVERLAY_XATTR.test(name)) continue;
      const value = getXattr(source, name);
      if (value) (xattrs ??= {})[name] = value.toString('latin1');
    }
    return xattrs;
  }

  /** The entry for a path; undefined for sockets. */
  #facts(path: string, stats: Stats): Written | undefined {
    const type = TYPES[stats.mode & TYPE_BITS];
    if (!type) return undefined;
    let xattrs = this.#xattrs(path);
    let { uid, gid } = stats;
    const owner = xattrs?.[OWNER_XATTR];
    if (xattrs && owner !== undefined) {
      const [ownerUid = uid, ownerGid = gid] = owner.split(':').map(Number);
      [uid, gid] = [ownerUid, ownerGid];
      const { [OWNER_XATTR]: _own, ...rest } = xattrs;
      xattrs = Object.keys(rest).length > 0 ? rest : undefined;
    }
    return {
      path,
      type,
      mode: type === 'symlink' ? 0o777 : stats.mode & 0o7777,
      uid,
      gid,
      size: type === 'file' ? stats.size : 0,
      mtime: Math.floor(stats.mtimeMs / 1000),
      link: type === 'symlink' ? textOfBytes(readlinkSync(fsPath(this.#source(path)), 'buffer')) : undefined,
      device: type === 'char' || type === 'block' ? splitDevice(stats.rdev) : undefined,
      xattrs,
    };
  }

  /** BELOW: whether the chain has something in this folder that is still to be seen. */
  #folder(folder: string, below: boolean): void {
    for (const name of namesIn(this.#source(folder))) {
      if (this.#aborted()) throw new Error('aborted');
      const path = folder === '' ? name : `${folder}/${name}`;
      const stats = lstatSync(fsPath(this.#source(path)));
      const lower = below ? this.#view.lookup(path) : undefined;
      if (stats.isCharacterDevice() && stats.rdev === 0) {
        if (lower) this.#write({ path, type: 'whiteout' });
        continue;
      }
      const entry = this.#facts(path, stats);
      if (!entry) {
        // A socket cannot be in a layer, but it may have taken something's place.
        if (lower) this.#write({ path, type: 'whiteout' });
      } else if (entry.type === 'directory') this.#directory(entry, lower);
      else this.#other(entry, stats, lower);
    }
  }

  #directory(entry: Written, lower: ViewEntry | undefined): void {
    const merged = lower?.type === 'directory';
    const marked = merged && getXattr(sysPath(this.#source(entry.path)), this.#job.opaque)?.toString() === 'y';
    const opaque = marked && this.#view.list(entry.path).length > 0;
    const depth = this.#parents.length;
    if (!merged || opaque || !sameFacts(entry, lower)) this.#write({ ...entry, opaque });
    else this.#parents.push(entry);
    this.#folder(entry.path, merged && !marked);
    if (this.#parents.length > depth) this.#parents.length = depth;
  }

  #other(entry: Written, stats: Stats, lower: ViewEntry | undefined): void {
    const { path } = entry;
    if (stats.nlink > 1) {
      const inode = `${stats.dev}:${stats.ino}`;
      const first = this.#links.get(inode);
      if (first !== undefined) {
        this.#write({ ...entry, type: 'hardlink', size: 0, link: first, xattrs: undefined });
        return;
      }
      this.#links.set(inode, path);
    } else if (lower && sameFacts(entry, lower) && entry.mtime === lower.mtime && entry.size === lower.size) {
      // Copied up and never changed, or changed back: not part of the layer.
      if (entry.type !== 'file' || digestOfFile(this.#source(path)) === lower.digest) return;
    }
    if (entry.type !== 'file') {
      this.#write(entry);
      return;
    }
    const sparse = stats.blocks * 512 < stats.size ? scanSparse(this.#source(path), stats.size) : undefined;
    if (!sparse) {
      this.#write({ ...entry, content: { kind: 'file', root: this.#job.upper, path } });
      return;
    }
    const fd = openSync(fsPath(this.#source(path)), 'r');
    try {
      this.#flushParents();
      this.#writer.add(entry, { ...sparse, readAt: (position) => readerOf(fd, position) });
    } finally {
      closeSync(fd);
    }
  }

  #flushParents(): void {
    for (const parent of this.#parents) this.#writer.add(parent);
    this.#parents.length = 0;
  }

  #write(entry: Parameters<LayerWriter['add']>[0]): void {
    this.#flushParents();
    this.#writer.add(entry);
  }
}

/**
 * Writes what an overlay's upper folder changes: whiteouts, opaque folders, new and changed entries, and the folders above
 * them. A folder that differs in nothing but its time is left out, as are sockets.
 */
export function commitTree(job: CommitJob, writer: LayerWriter, aborted: () => boolean): void {
  new UpperWalk(job, writer, aborted).run();
}
