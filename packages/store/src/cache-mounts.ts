import fs from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';

import { makeFolderNow } from '@strake/core';

import { randomName, unlessMissing } from './files.js';
import { REMOVED_MOUNT } from './gc/removed-mount.js';
import { judgeHolders, leaseOf, listHolders, type OwnHolder } from './holders.js';
import { fileNameOf, type StoreLayout } from './layout.js';
import type { HeldCacheMount } from './types.js';

/** How a lease begins that holds a cache mount's folder; its inode follows, as the folder loses its name where it is given up. */
const HOLD = 'cache mount ';

/** The folders of cache mounts. One that is replaced goes on being what whoever holds it sees. */
export class CacheMounts {
  readonly #layout: StoreLayout;
  readonly #own: OwnHolder;

  constructor(layout: StoreLayout, own: OwnHolder) {
    this.#layout = layout;
    this.#own = own;
  }

  /** The folder of the cache mount ID, made where it is new. */
  async folder(id: string): Promise<string> {
    const path = `${this.#layout.mounts}/${fileNameOf(id)}`;
    makeFolderNow(path, 0o755);
    // Says when it was last used, and for whom.
    await writeFile(`${path}.id`, id, { mode: 0o600 });
    return path;
  }

  /** Whether the folder PATH has what it starts from. */
  async isFilled(path: string): Promise<boolean> {
    const [marker, folder] = await Promise.all([unlessMissing(stat(`${path}.ready`)), unlessMissing(stat(path))]);
    return marker !== undefined && folder !== undefined;
  }

  /** Puts a new folder, made ready by FILL, in the place of the folder PATH, which is given up. One at a time (a lock of the caller's). */
  async replace(path: string, fill: (fresh: string) => Promise<void>): Promise<void> {
    const folder = `${this.#layout.mounts}/${REMOVED_MOUNT}`;
    // Named after this process, it is nobody's once that has ended.
    const fresh = `${folder}${this.#own.ensure()}.${randomName(16)}`;
    await mkdir(fresh, { mode: 0o755 });
    try {
      await fill(fresh);
    } catch (error) {
      await rm(fresh, { recursive: true, force: true });
      throw error;
    }
    // Interrupted from here on, it counts as never filled.
    await rm(`${path}.ready`, { force: true });
    await unlessMissing(rename(path, `${folder}${randomName(16)}`));
    await rename(fresh, path);
    await writeFile(`${path}.ready`, '');
  }

  /** Keeps the folder that PATH is now. Undefined where there is none at this moment. */
  hold(path: string): HeldCacheMount | undefined {
    for (;;) {
      let fd: number;
      try {
        fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
      const facts = fs.fstatSync(fd, { bigint: true });
      const release = this.#own.hold([holdOf(facts)]);
      const isStill = (): boolean => fs.statSync(path, { bigint: true, throwIfNoEntry: false })?.ino === facts.ino;
      const lease = leaseOf(() => {
        fs.closeSync(fd);
        release();
      });
      // Whoever gives it up after this sees the lease.
      if (isStill()) return { ...lease, fd, isGivenUp: () => !isStill() };
      void lease.release();
    }
  }

  /** Folders that were given up and that nobody holds any more. */
  givenUp(): string[] {
    const names = fs.readdirSync(this.#layout.mounts).filter((name) => name.startsWith(REMOVED_MOUNT));
    return unheldMounts(this.#layout, names);
  }
}

function holdOf({ ino }: { readonly ino: bigint }): string {
  return `${HOLD}${ino}`;
}

/** The paths of those of NAMES, folders of given up cache mounts, that no living process holds. */
export function unheldMounts(layout: StoreLayout, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const { alive, dead } = judgeHolders(layout);
  const held = new Set(
    listHolders(layout).flatMap(({ file, holder }) => (dead.has(file) ? [] : (holder?.holds ?? []))),
  );
  return names
    .filter((name) => !alive.has(name.slice(REMOVED_MOUNT.length).split('.', 1)[0] ?? ''))
    .map((name) => `${layout.mounts}/${name}`)
    .filter((path) => {
      const facts = fs.statSync(path, { bigint: true, throwIfNoEntry: false });
      return facts !== undefined && !held.has(holdOf(facts));
    });
}
