import { errnoOf, textOfBytes } from '@strake/core';
import fs from 'node:fs';
import { dirname, join } from 'node:path';

/** The form of fs.watch that is used. */
export type WatchFolder = (
  folder: string,
  options: { readonly encoding: 'buffer' },
  listener: (event: string, name: Buffer | null) => void,
) => fs.FSWatcher;

export interface FolderWatcherOptions {
  /** Something happened at this path, absolute: it, or with a folder something in it, may be new, other or gone. */
  readonly onChange: (path: string) => void;
  /** More happened than the kernel keeps in mind: anything may have changed. */
  readonly onOverflow: () => void;
  /** fs.watch; others for tests. */
  readonly watch?: WatchFolder | undefined;
  /** Events that the kernel keeps for a process that does not read them; default: what this machine says. */
  readonly queue?: number | undefined;
}

/** What could not be watched, and why. */
export interface Unwatched {
  readonly folders: ReadonlySet<string>;
  /** `ENOSPC`: the limit of inotify's watches; `EMFILE`: that of its instances. */
  readonly errno: string;
}

/** inotify's queue where nothing says how long it is; the kernel's default. */
const QUEUE = 16_384;

/**
 * Watches folders, each for itself, with inotify. One watch a folder: its files need none. (A watch of chokidar takes each
 * file's facts and keeps them: see ARCHITECTURE.md for what that costs with 50,000 files.)
 */
export class FolderWatcher {
  readonly #options: FolderWatcherOptions;
  readonly #watch: WatchFolder;
  readonly #watchers = new Map<string, fs.FSWatcher>();
  readonly #queue: number;
  #unwatched: { folders: Set<string>; errno: string } | undefined;
  /** Events of one turn of the event loop: inotify's queue is emptied in one. */
  #burst = 0;
  #counting = false;

  constructor(options: FolderWatcherOptions) {
    this.#options = options;
    this.#watch = options.watch ?? fs.watch;
    this.#queue = options.queue ?? queueLength();
  }

  /** What polling must look after. */
  get unwatched(): Unwatched | undefined {
    return this.#unwatched;
  }

  /** Folders that are watched. */
  get size(): number {
    return this.#watchers.size;
  }

  /** Watches exactly FOLDERS from now on. Returns those that are new: what happened in them before is not told. */
  update(folders: ReadonlySet<string>): ReadonlySet<string> {
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    const added = new Set<string>();
    const before = this.#unwatched?.folders;
    this.#unwatched = undefined;
    for (const folder of folders) {
      if (this.#watchers.has(folder)) continue;
      if (this.#add(folder) || !before?.has(folder)) added.add(folder);
    }
    return added;
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #add(folder: string): boolean {
    if (this.#unwatched) {
      this.#unwatched.folders.add(folder);
      return false;
    }
    try {
      const watcher = this.#watch(folder, { encoding: 'buffer' }, (event, name) => this.#receive(folder, event, name));
      watcher.on('error', () => this.#gone(folder));
      this.#watchers.set(folder, watcher);
      return true;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOSPC' || errno === 'EMFILE') this.#unwatched = { folders: new Set([folder]), errno };
      else if (errno === undefined) throw error;
      return false;
    }
  }

  #receive(folder: string, event: string, name: Buffer | null): void {
    this.#count();
    if (name === null) return this.#options.onChange(folder);
    const text = textOfBytes(name);
    // A folder that is removed or renamed tells its own name.
    if (event === 'rename' && folder.endsWith(`/${text}`) && !fs.existsSync(folder)) return this.#gone(folder);
    const path = join(folder, text);
    this.#options.onChange(path);
    // The place of a folder that is watched may have another one by now.
    if (event === 'rename') this.#gone(path);
  }

  /** Ends the watch on a folder that is no longer the one at its place. It is added again when a build has read it. */
  #gone(folder: string): void {
    const watcher = this.#watchers.get(folder);
    if (!watcher) return;
    watcher.close();
    this.#watchers.delete(folder);
    this.#options.onChange(folder);
    this.#options.onChange(dirname(folder));
  }

  #count(): void {
    // Half a queue in one turn: it may have been full when it was emptied, and Node does not tell.
    if (++this.#burst === this.#queue >> 1) this.#options.onOverflow();
    if (this.#counting) return;
    this.#counting = true;
    setImmediate(() => {
      this.#counting = false;
      this.#burst = 0;
    });
  }
}

function queueLength(): number {
  try {
    return Number(fs.readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8')) || QUEUE;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return QUEUE;
  }
}
