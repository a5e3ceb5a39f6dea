import fs from 'node:fs';
import path from 'node:path';

import { textOfBytes } from '@strake/core';
import { closeDescriptor, OpenFlag } from '@strake/sys';

/** A change of what is read-only. */
export interface ReadOnlyChange {
  readonly target: string;
  /** What was changed, as the step names it: TARGET or something below it. */
  readonly path: string;
}

/**
 * Finds out what a step has changed of what is mounted read-only elsewhere: nothing in a chroot keeps root from writing there. By the
 * times of change (ctime): nobody can set those back.
 */
export class ReadOnlyWatch {
  readonly #watched: { readonly target: string; readonly fd: number }[] = [];
  /** Inodes of what was put into the root: mounts in mounts are looked at for themselves or not at all. */
  readonly #placed = new Set<string>();
  #since = 0n;

  /** To be told of everything that is put at TARGET, before it is. */
  add(target: string, source: string, readOnly: boolean): void {
    this.#placed.add(inodeOf(fs.lstatSync(source, { bigint: true })));
    if (!readOnly) return;
    this.#watched.push({ target, fd: fs.openSync(source, OpenFlag.path | OpenFlag.nofollow) });
  }

  /** To be called when all is in its place. FOLDER: one of our own on the same file system. */
  begin(folder: string): void {
    const mark = path.join(folder, 'mark');
    fs.writeFileSync(mark, '');
    this.#since = fs.lstatSync(mark, { bigint: true }).ctimeNs;
  }

  /** One change of each target where there is any; to be called while everything is in its place. */
  changes(): ReadOnlyChange[] {
    const changes: ReadOnlyChange[] = [];
    for (const { target, fd } of this.#watched) {
      const at = fs.readlinkSync(`/proc/self/fd/${fd}`, 'buffer');
      const below = this.#newer(fs.fstatSync(fd, { bigint: true })) ? '' : this.#search(at);
      if (below !== undefined) changes.push({ target, path: target + below });
    }
    return changes;
  }

  close(): void {
    for (const { fd } of this.#watched.splice(0)) closeDescriptor(fd);
  }

  #newer(facts: fs.BigIntStats): boolean {
    return facts.ctimeNs > this.#since;
  }

  /** The path below AT, with a slash in front, of the first thing in it that has changed. */
  #search(at: Buffer): string | undefined {
    if (!fs.lstatSync(at).isDirectory()) return undefined;
    for (const name of fs.readdirSync(at, { encoding: 'buffer' })) {
      const child = Buffer.concat([at, Buffer.from('/'), name]);
      const facts = fs.lstatSync(child, { bigint: true });
      if (this.#placed.has(inodeOf(facts))) continue;
      const below = this.#newer(facts) ? '' : facts.isDirectory() ? this.#search(child) : undefined;
      if (below !== undefined) return `/${textOfBytes(name)}${below}`;
    }
    return undefined;
  }
}

function inodeOf({ dev, ino }: fs.BigIntStats): string {
  return `${dev}:${ino}`;
}
