import { closeSync, constants, existsSync, openSync } from 'node:fs';

import { bytesOfText, errnoOf, hasEscapedBytes } from '@strake/core';

import { sourceChanged, sourceDenied } from '../errors.js';

/** open(2)'s O_PATH, which Node does not name. */
const O_PATH = 0o10000000;
const FOLDER = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Without O_NONBLOCK a fifo put in a file's place would block for ever. */
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Opens files below a folder component by component, never through a link, however the tree changes meanwhile.
 * The folders on the way to the last file stay open: neighbours cost one open each.
 */
export class SourceOpener {
  readonly #roots = new Map<string, number>();
  #root = '';
  /** Names and descriptors of the open folders below the root. */
  readonly #names: string[] = [];
  readonly #folders: number[] = [];
  readonly #magicLinks: boolean = existsSync('/proc/self/fd');

  /** A descriptor to be closed by the caller. @throws StrakeError `SOURCE_CHANGED`, `SOURCE_DENIED` */
  open(root: string, path: string): number {
    try {
      const slash = path.lastIndexOf('/');
      const folder = this.#enter(root, slash < 0 ? '' : path.slice(0, slash));
      return this.#openAt(folder, path.slice(slash + 1), FILE);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EACCES' || errno === 'EPERM') throw sourceDenied(path, error);
      if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(errno ?? '')) {
        throw sourceChanged(path, errno === 'ENOENT' ? 'it is gone' : 'it is no longer a file', error);
      }
      throw error;
    }
  }

  #openAt(folder: number, name: string, flags: number): number {
    const path = `/proc/self/fd/${folder}/${name}`;
    return openSync(hasEscapedBytes(path) ? bytesOfText(path) : path, flags);
  }

  #enter(root: string, folder: string): number {
    if (!this.#magicLinks) throw new Error('/proc is not mounted: files cannot be opened safely');
    if (root !== this.#root) {
      this.#leave(0);
      this.#root = root;
    }
    let fd = this.#roots.get(root);
    if (fd === undefined) {
      fd = openSync(root, O_PATH | constants.O_DIRECTORY);
      this.#roots.set(root, fd);
    }
    const names = folder === '' ? [] : folder.split('/');
    let same = 0;
    while (same < names.length && names[same] === this.#names[same]) same++;
    this.#leave(same);
    for (let i = same; i < names.length; i++) {
      const name = names[i] as string;
      if (name === '' || name === '.' || name === '..') throw sourceChanged(folder, 'it is no path below its root');
      this.#folders.push(this.#openAt(this.#folders[i - 1] ?? fd, name, FOLDER));
      this.#names.push(name);
    }
    return this.#folders[names.length - 1] ?? fd;
  }

  #leave(depth: number): void {
    for (const fd of this.#folders.splice(depth)) closeSync(fd);
    this.#names.length = Math.min(depth, this.#names.length);
  }

  /** Closes all folders. */
  close(): void {
    this.#leave(0);
    for (const fd of this.#roots.values()) closeSync(fd);
    this.#roots.clear();
  }
}
