import fs from 'node:fs';
import path from 'node:path';

import { errnoOf } from '@strake/core';
import { closeDescriptor, openAt2, OpenFlag, ResolveFlag } from '@strake/sys';

import { checkMountTarget, mountTargetError } from '../mount-target.js';
import { walkRoot, type Stub } from '../root-walk.js';
import { removeStubs } from '../stubs.js';
import { FolderTimes } from './folder-times.js';

interface Placed {
  /** The folder that it was put into. */
  readonly folder: number;
  readonly name: string;
  readonly inode: bigint;
  /** A handle of what was put there, where it has to be given back. */
  readonly lent?: { readonly fd: number; readonly from: string } | undefined;
  /** What was there before. */
  readonly aside: string;
}

export interface PutOptions {
  /** SOURCE is to be moved back in the end. Called with its place in the root before it is moved. */
  readonly beforeLending?: (place: string) => void;
  /** It may be in /proc or /sys. */
  readonly system?: boolean;
  /** SOURCE is a link that stands for a folder. */
  readonly link?: boolean;
}

/**
 * Files and folders put into a root in place of what is there, where mounts are not possible: by renaming, so that all costs the
 * same whatever is in it. `undo` puts everything back as it was: nothing that was provided stays in the root, and nothing that
 * it covered is changed.
 */
export class Placements {
  readonly #root: number;
  readonly #folder: string;
  readonly #placed: Placed[] = [];
  readonly #stubs: Stub[] = [];
  readonly #times = new FolderTimes();
  #count = 0;

  /** ROOT: a descriptor, valid until `undo`. FOLDER: a folder of our own on the root's file system, to put things aside. */
  constructor(root: number, folder: string) {
    this.#root = root;
    this.#folder = folder;
  }

  /** A name in the folder for things put aside. */
  scratch(): string {
    return path.join(this.#folder, String(this.#count++));
  }

  /** To be told of what had to be made in the root. */
  readonly created = (stub: Stub): void => {
    this.#stubs.push(stub);
    const place = walkRoot(this.#root, path.dirname(stub.path));
    try {
      this.#times.around(place.fd, () => undefined, stub.parentTimes.before);
    } finally {
      closeDescriptor(place.fd);
    }
  };

  /**
   * Puts SOURCE, on the root's file system, at TARGET; its place in the root.
   * @throws StrakeError `MOUNT_TARGET_INVALID`
   */
  put(target: string, source: string, options: PutOptions = {}): string {
    const folder = options.link === true || fs.lstatSync(source).isDirectory();
    const kind = folder ? 'folder' : 'file';
    try {
      const place = walkRoot(this.#root, target, { create: kind, created: this.created });
      closeDescriptor(place.fd);
      checkMountTarget(place, target, kind, options.system);
      options.beforeLending?.(place.path);
      this.#replace(place.path, source, options.beforeLending !== undefined);
      return place.path;
    } catch (error) {
      throw mountTargetError(target, error);
    }
  }

  #replace(at: string, source: string, lend: boolean): void {
    const around = walkRoot(this.#root, path.dirname(at));
    const name = path.basename(at);
    const aside = this.scratch();
    let lent: Placed['lent'];
    try {
      const { ino } = fs.lstatSync(source, { bigint: true });
      this.#times.around(around.fd, () => {
        if (lend) lent = { fd: handle(source), from: source };
        fs.renameSync(inside(around.fd, name), aside);
        this.#placed.push({ folder: around.fd, name, inode: ino, lent, aside });
        fs.renameSync(source, inside(around.fd, name));
      });
    } catch (error) {
      if (this.#placed.at(-1)?.aside !== aside) {
        closeDescriptor(around.fd);
        if (lent) closeDescriptor(lent.fd);
      }
      throw error;
    }
  }

  /** To be called once, when no process of the step is left. */
  undo(): void {
    this.#times.restore(() => {
      for (const placed of this.#placed.reverse()) this.#takeAway(placed);
      removeStubs(this.#root, this.#stubs);
    });
  }

  #takeAway({ folder, name, inode, lent, aside }: Placed): void {
    const at = inside(folder, name);
    try {
      const current = fs.lstatSync(at, { bigint: true, throwIfNoEntry: false });
      if (lent) this.#giveBack(lent, current?.ino === inode ? at : undefined);
      if (current && !(lent && current.ino === inode)) fs.renameSync(at, this.scratch());
      fs.renameSync(aside, at);
    } catch (error) {
      // The step has removed the folder: what was covered there is gone with it, as without anything over it.
      if (errnoOf(error) !== 'ENOENT') throw error;
    } finally {
      closeDescriptor(folder);
      if (lent) closeDescriptor(lent.fd);
    }
  }

  /** Moves a lent folder back from wherever the step has put it. */
  #giveBack({ fd, from }: NonNullable<Placed['lent']>, at: string | undefined): void {
    if (fs.fstatSync(fd).nlink === 0) {
      fs.mkdirSync(from, { recursive: true, mode: 0o755 });
      return;
    }
    const place = at ?? fs.readlinkSync(`/proc/self/fd/${fd}`, 'buffer');
    try {
      fs.renameSync(place, from);
    } catch (error) {
      // Someone took it for missing, and made and filled another one.
      if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'EEXIST') throw error;
      fs.renameSync(from, this.scratch());
      fs.renameSync(place, from);
    }
  }
}

function inside(folder: number, name: string): string {
  return `/proc/self/fd/${folder}/${name}`;
}

function handle(source: string): number {
  const parent = fs.openSync(path.dirname(source), OpenFlag.path | OpenFlag.directory);
  try {
    return openAt2(parent, path.basename(source), OpenFlag.path | OpenFlag.nofollow, ResolveFlag.beneath);
  } finally {
    closeDescriptor(parent);
  }
}
