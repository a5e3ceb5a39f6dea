import fs from 'node:fs';

import { closeDescriptor, openAt2, OpenFlag, ResolveFlag, setTimes } from '@strake/sys';

interface Touched {
  readonly fd: number;
  /** Before anything was done in the folder, and after the last thing that was; nanoseconds. */
  readonly first: bigint;
  last: bigint;
}

/** Times of folders in which files are put and taken away again: they get them back where nobody else changed the folder. */
export class FolderTimes {
  readonly #folders = new Map<string, Touched>();

  /** Runs WORK, which changes the folder FOLDER (a descriptor, kept open by whoever has it). FIRST: its time, where it changed before. */
  around<T>(folder: number, work: () => T, first?: bigint): T {
    const facts = fs.statSync(`/proc/self/fd/${folder}`, { bigint: true });
    const key = `${facts.dev}:${facts.ino}`;
    const known = this.#folders.get(key);
    const touched = known ?? { fd: duplicate(folder), first: first ?? facts.mtimeNs, last: facts.mtimeNs };
    if (!known) this.#folders.set(key, touched);
    try {
      return work();
    } finally {
      touched.last = now(folder);
    }
  }

  /** Runs WORK, which undoes what was done, and then sets times: the first ones, or those of whoever came after. */
  restore(work: () => void): void {
    const wanted = [...this.#folders.values()].map((touched) => {
      const current = now(touched.fd);
      return { fd: touched.fd, time: current === touched.last ? touched.first : current };
    });
    try {
      work();
    } finally {
      for (const { fd, time } of wanted) {
        const path = `/proc/self/fd/${fd}`;
        setTimes(path, fs.statSync(path, { bigint: true }).atimeNs, time);
        closeDescriptor(fd);
      }
      this.#folders.clear();
    }
  }
}

function now(fd: number): bigint {
  return fs.statSync(`/proc/self/fd/${fd}`, { bigint: true }).mtimeNs;
}

function duplicate(folder: number): number {
  return openAt2(folder, '.', OpenFlag.path | OpenFlag.directory, ResolveFlag.beneath);
}
