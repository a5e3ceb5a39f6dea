import { lstatSync } from 'node:fs';

import { errnoOf } from '@strake/core';
import { getXattr } from '@strake/sys';

import { checkedKey } from '../layer/entry-key.js';
import { Flag, TypeCode } from '../layer/index-format.js';
import { IndexBuilder } from '../layer/index-builder.js';
import type { OutlinePath } from '../layer/layer-outline.js';
import { withoutOwn } from '../layer/own-xattrs.js';
import { RawEntries } from '../layer/raw-entries.js';
import { namesIn } from './change-writer.js';
import { readFacts } from './node-facts.js';
import { fsPath, sysPath } from './paths.js';

/** Where there is more, whoever asks can as well wait for the layer. */
const MOST = 5_000;

/** What an upper folder of an overlay has at some paths. */
class Outline {
  readonly #upper: string;
  readonly #opaque: string;
  readonly #entries = new RawEntries();
  /** Paths that were looked at, and whether each is a folder. */
  readonly #seen = new Map<string, boolean>();

  constructor(upper: string, opaque: string) {
    this.#upper = upper;
    this.#opaque = opaque;
  }

  #full(path: string): string {
    return path === '' ? this.#upper : `${this.#upper}/${path}`;
  }

  /** Notes what is at PATH, whose folder is there. Returns whether it is a folder; undefined where there is too much. */
  #look(path: string): boolean | undefined {
    const known = this.#seen.get(path);
    if (known !== undefined) return known;
    const key = checkedKey(path);
    if (typeof key === 'string' || this.#entries.count >= MOST) return undefined;
    const stats = lstatSync(fsPath(this.#full(path)), { throwIfNoEntry: false });
    const isFolder = stats?.isDirectory() ?? false;
    this.#seen.set(path, isFolder);
    if (!stats) return false;
    const facts = stats.isCharacterDevice() && stats.rdev === 0 ? undefined : readFacts(this.#full(path), path, stats);
    if (!facts) {
      // Removed; or a socket, which takes a place without being in the layer.
      const none = { mode: 0, uid: 0, gid: 0, size: 0, mtime: 0, offset: 0, flags: 0 };
      this.#entries.add({ key, type: TypeCode.whiteout, ...none });
      return false;
    }
    const { type, mode, uid, gid, size, mtime, link, device, xattrs: all } = facts;
    const xattrs = withoutOwn(all);
    const marked = isFolder && getXattr(sysPath(this.#full(path)), this.#opaque)?.toString() === 'y';
    const flags = marked && path !== '' ? Flag.opaque : 0;
    const extra = link !== undefined || device || xattrs ? { link, device, xattrs } : undefined;
    this.#entries.add({ key, type: TypeCode[type], flags, mode, uid, gid, size, mtime, offset: 0, extra });
    return isFolder;
  }

  /** False where there is too much. */
  add({ path, deep }: OutlinePath): boolean {
    for (let end = 0; end >= 0 && end < path.length; end = path.indexOf('/', end + 1)) {
      const isFolder = this.#look(path.slice(0, end));
      if (!isFolder) return isFolder !== undefined;
    }
    const isFolder = this.#look(path);
    return isFolder && deep ? this.#addBelow(path) : isFolder !== undefined;
  }

  #addBelow(folder: string): boolean {
    const folders = [folder];
    for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
      for (const name of namesIn(this.#full(next))) {
        const path = next === '' ? name : `${next}/${name}`;
        const isFolder = this.#look(path);
        if (isFolder === undefined) return false;
        if (isFolder) folders.push(path);
      }
    }
    return true;
  }

  index(): Buffer {
    return Buffer.concat([...new IndexBuilder(this.#entries).chunks()]);
  }
}

/**
 * What an overlay's upper folder, which nobody writes to any more, has at PATHS and on the way there: the index of a layer whose files
 * have no contents. Undefined where that is too much to be told at once.
 */
export function outlineOf(upper: string, opaque: string, paths: readonly OutlinePath[]): Buffer | undefined {
  const outline = new Outline(upper, opaque);
  try {
    return paths.every((path) => outline.add(path)) ? outline.index() : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}
