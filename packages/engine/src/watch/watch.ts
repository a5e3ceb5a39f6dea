import type { ContextSource } from '@strake/builder';
import { cancelled, isStrakeError, onAbort, StrakeError } from '@strake/core';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { dirname, isAbsolute, relative } from 'node:path';

import { createBuildMemory, type BuildMemory } from '../build-memory.js';
import type { BuildResult } from '../types.js';
import { Changes, pause } from './changes.js';
import { FolderWatcher, type FolderWatcherOptions } from './folder-watcher.js';
import { Runner } from './runner.js';
import { StepCount } from './steps.js';
import type { WatchEvent, WatchOptions } from './types.js';

/** Milliseconds that events of one save may lie apart before building begins: what a write consists of comes in one turn. */
const LEAD = 2;
const DEBOUNCE = 30;
/** Of images that have no other name while they run. */
const OWN_NAME = 'strake-watch';
/** Milliseconds of silence before everything is looked at again, for changes that no event told of. */
const SWEEP_AFTER = 2000;
/** Looking takes this part of the time; at what is not watched, of which it is the only news, more. */
const SWEEP_SHARE = 1 / 200;
const POLL_SHARE = 1 / 20;
const POLL = 1000;

/** What tests replace. */
export interface WatchInternals extends Pick<FolderWatcherOptions, 'watch' | 'queue'> {
  /** Milliseconds of silence before everything is looked at again. */
  readonly sweepAfter?: number | undefined;
  /** Milliseconds between two looks at what is not watched. */
  readonly poll?: number | undefined;
}

/**
 * Builds, watches what the build read, and builds again at each change, until the signal aborts. A failed build, also the first,
 * does not end it: the next save tries again.
 * @throws StrakeError `WATCH_UNSUPPORTED` where there is no local folder to watch
 */
export async function watchBuild(options: WatchOptions, internals: WatchInternals = {}): Promise<void> {
  const root = folderOf(options.build.context);
  const watching = new Watching(options, root, internals);
  try {
    await watching.work();
  } finally {
    await watching.end();
  }
}

/** @throws StrakeError `WATCH_UNSUPPORTED` */
function folderOf(context: ContextSource): string {
  try {
    if (typeof context === 'string' && context !== '-') return fs.realpathSync(context);
  } catch {
    // A URL, or nothing: the build says which.
  }
  throw new StrakeError({
    code: 'WATCH_UNSUPPORTED',
    message: `${typeof context === 'string' ? `"${context}"` : 'what is not on a disk'} is no folder that can be watched`,
    hint: 'Give a folder of this machine as the context.',
  });
}

interface Outcome {
  readonly result?: BuildResult;
  readonly error?: unknown;
  readonly steps: StepCount;
}

class Watching {
  readonly #options: WatchOptions;
  readonly #root: string;
  readonly #memory: BuildMemory = createBuildMemory();
  readonly #changes = new Changes(() => performance.now());
  readonly #watcher: FolderWatcher;
  readonly #runner: Runner;
  /** Name of the image that is run; made up where the build has none. */
  readonly #runName: string;
  readonly #debounce: number;
  readonly #internals: WatchInternals;
  /** Folders of which only single paths matter: the nearest ones that are there, of paths in folders that are not. */
  #awaited = new Set<string>();
  #building: AbortController | undefined;
  /** The container gets what has changed while an outdated build ends. */
  #hurrying: Promise<void> | undefined;
  #background: Promise<void> | undefined;
  #resting = new AbortController();
  /** Whether a look at everything has begun and not come to its end. */
  #sweeping = false;
  #lastImage: string | undefined;
  #told = false;
  #pollingTold = 0;

  constructor(options: WatchOptions, root: string, internals: WatchInternals) {
    this.#options = options;
    this.#root = root;
    this.#debounce = options.debounce ?? DEBOUNCE;
    this.#watcher = new FolderWatcher({
      onChange: (path) => this.#noticed(path),
      onOverflow: () => {
        this.#changes.overflow();
        this.#building?.abort(outdated());
      },
      watch: internals.watch,
      queue: internals.queue,
    });
    this.#internals = internals;
    // Not AbortSignal.any for each build: what lives as long as the watch would keep something of every one.
    onAbort(options.signal, () => {
      this.#building?.abort(cancelled(options.signal));
      this.#resting.abort(cancelled(options.signal));
    });
    this.#runner = new Runner(options, (event) => this.#emit(event));
    this.#runName =
      options.build.tags?.[0] ?? `${OWN_NAME}/${createHash('sha256').update(root).digest('hex').slice(0, 12)}`;
  }

  async work(): Promise<void> {
    const { signal } = this.#options;
    await this.#buildUntilRight([], performance.now());
    while (!this.#hasEnded()) {
      this.#rest();
      await this.#changes.arrival(signal);
      await this.#wake();
      if (this.#hasEnded()) return;
      await pause(LEAD, signal);
      const { paths, since } = await this.#takeChanges();
      if (paths.length > 0) await this.#buildUntilRight(paths, since);
    }
  }

  #hasEnded(): boolean {
    return this.#options.signal.aborted;
  }

  async end(): Promise<void> {
    this.#watcher.close();
    await Promise.all([this.#runner.end(), this.#wake()]);
    await this.#memory.save();
    if (this.#options.run && this.#told && !this.#options.build.tags?.length) {
      await this.#options.engine.remove(this.#runName);
    }
  }

  #noticed(path: string): void {
    if (!this.#memory.concerns(path) && !this.#awaited.has(path)) return;
    this.#changes.add(path);
    if (!this.#building) return;
    this.#building.abort(outdated());
    this.#hurrying ??= this.#hurry();
    // Told to those who wait for it.
    this.#hurrying.catch(() => undefined);
  }

  async #hurry(): Promise<void> {
    await pause(LEAD, this.#options.signal);
    await this.#runner.runAhead(this.#changes.paths, this.#memory);
  }

  /** What has changed since the last build, given to the memory. */
  async #takeChanges(): Promise<{ paths: readonly string[]; since: number }> {
    const { paths, overflow, since } = this.#changes.take();
    const all = overflow ? [...new Set([...paths, ...(await this.#memory.findChanged(this.#options.signal))])] : paths;
    this.#memory.changed(all);
    await this.#runner.runAhead(all, this.#memory);
    await this.#memory.renew();
    return { paths: all, since };
  }

  /** Builds until no save has come in between that the result lacks. */
  async #buildUntilRight(paths: readonly string[], since: number): Promise<void> {
    const { signal } = this.#options;
    const causes = new Set(paths);
    for (;;) {
      const outcome = await this.#build(this.#shown(causes));
      await this.#hurrying;
      this.#hurrying = undefined;
      if (this.#hasEnded()) return;
      await this.#changes.silence(this.#debounce, signal);
      if (this.#hasEnded()) return;
      if (this.#changes.pending) {
        this.#emit({ type: 'cancelled', time: Date.now() });
        for (const path of (await this.#takeChanges()).paths) causes.add(path);
        continue;
      }
      await this.#use(outcome, this.#shown(causes), since);
      return;
    }
  }

  async #build(paths: readonly string[]): Promise<Outcome> {
    const { engine, build, signal } = this.#options;
    const steps = new StepCount();
    const building = new AbortController();
    this.#building = building;
    if (signal.aborted) building.abort(cancelled(signal));
    this.#emit({ type: 'building', time: Date.now(), paths });
    try {
      const result = await engine.build({
        ...this.#buildOptions(build),
        memory: this.#memory,
        signal: building.signal,
        onEvent: (event) => {
          steps.take(event);
          this.#emit({ type: 'build-event', event });
        },
      });
      return { result, steps };
    } catch (error) {
      return { error, steps };
    } finally {
      this.#building = undefined;
    }
  }

  /** What is run must be in the store, under a name. */
  #buildOptions(build: WatchOptions['build']): WatchOptions['build'] {
    if (!this.#options.run) return build;
    const outputs = build.outputs ?? [];
    const image = { type: 'image' as const, attributes: {} };
    return {
      ...build,
      tags: build.tags?.length ? build.tags : [this.#runName],
      outputs: outputs.some(({ type }) => type === 'image') ? outputs : [...outputs, image],
    };
  }

  async #use({ result, steps, error }: Outcome, paths: readonly string[], since: number): Promise<void> {
    const time = Date.now();
    const duration = performance.now() - since;
    if (!result) {
      // A file that is replaced while it is copied has told of it, or will.
      this.#emit({ type: 'failed', time, error, duration, paths });
      return;
    }
    const ran = steps.ran(result);
    const image = result.configDigest;
    const unchanged = this.#told && image === this.#lastImage && ran.length === 0;
    this.#lastImage = image;
    this.#told = true;
    const actions = unchanged && !this.#runner.isAhead ? [] : await this.#runner.use(this.#runName, result);
    if (this.#hasEnded()) return;
    const [first] = ran;
    this.#emit({ type: 'built', time, result, first, ran: ran.length, duration, unchanged, actions, paths });
    if (!unchanged) await this.#runner.execute(result);
  }

  /** After a result: watches what the build has read, and looks again at what no event can have told. */
  #rest(): void {
    this.#resting = new AbortController();
    const { signal } = this.#resting;
    if (this.#hasEnded()) this.#resting.abort(cancelled(this.#options.signal));
    this.#background = this.#settle(signal).catch((error: unknown) => {
      if (!signal.aborted && !isStrakeError(error, 'CANCELLED')) throw error;
    });
    this.#background.catch(() => undefined);
  }

  async #wake(): Promise<void> {
    this.#resting.abort(outdated());
    await this.#background;
  }

  async #settle(signal: AbortSignal): Promise<void> {
    const added = this.#follow();
    if (added.size > 0) this.#found(await this.#memory.findChanged(signal, added));
    if (!this.#changes.pending) this.#tellWatching();
    await pause(this.#internals.sweepAfter ?? SWEEP_AFTER, signal);
    if (!signal.aborted) await this.#memory.save();
    await Promise.all([this.#sweep(signal), this.#poll(signal)]);
  }

  /** Looks at everything once more, a few files at a time; where saves come between, it goes on behind them. */
  async #sweep(signal: AbortSignal): Promise<void> {
    // What the round before a build has seen last is of no use for what was read after it.
    for (let rounds = this.#sweeping ? 2 : 1; rounds > 0 && !signal.aborted;) {
      this.#sweeping = true;
      const begun = performance.now();
      const { changed, done } = this.#memory.lookOn();
      this.#found(changed);
      if (done) rounds--;
      if (done) this.#sweeping = false;
      await pause((performance.now() - begun) / SWEEP_SHARE, signal);
    }
  }

  /** Looks at what is not watched. */
  async #poll(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const folders = this.#watcher.unwatched?.folders;
      if (!folders) return;
      const begun = performance.now();
      this.#found(await this.#memory.findChanged(signal, folders));
      await pause(Math.max(this.#internals.poll ?? POLL, (performance.now() - begun) / POLL_SHARE), signal);
    }
  }

  #found(paths: readonly string[]): void {
    for (const path of paths) this.#changes.add(path);
  }

  /** Watches what was read; the folders that are new. */
  #follow(): ReadonlySet<string> {
    const { folders, paths } = this.#memory.reads();
    const all = new Set(folders);
    this.#awaited = new Set();
    for (const path of paths) {
      let folder = dirname(path);
      for (; !fs.existsSync(folder); folder = dirname(folder)) this.#awaited.add(folder);
      all.add(folder);
    }
    return this.#watcher.update(all);
  }

  #tellWatching(): void {
    const { unwatched } = this.#watcher;
    const count = unwatched?.folders.size ?? 0;
    // Told again where it has become much more, not with each file that comes or goes.
    if (unwatched && count > this.#pollingTold * 1.1) {
      const limit = unwatched.errno === 'ENOSPC' ? 'max_user_watches' : 'max_user_instances';
      this.#emit({
        type: 'polling',
        time: Date.now(),
        folders: count,
        message: `inotify's limit is reached: ${count} of ${this.#watcher.size + count} folders are looked at from time to time instead`,
        hint: `Raise it: sudo sysctl fs.inotify.${limit}=${limit === 'max_user_watches' ? 524288 : 1024}`,
      });
    }
    this.#pollingTold = count === 0 ? 0 : Math.max(this.#pollingTold, count);
    this.#emit({ type: 'watching', time: Date.now(), folders: this.#watcher.size });
  }

  /** Paths as people name them. */
  #shown(paths: ReadonlySet<string>): string[] {
    return [...paths].map((path) => {
      const inside = relative(this.#root, path);
      return inside === '' ? '.' : inside.startsWith('../') || isAbsolute(inside) ? path : inside;
    });
  }

  #emit(event: WatchEvent): void {
    this.#options.onEvent(event);
  }
}

function outdated(): StrakeError {
  return new StrakeError({ code: 'CANCELLED', message: 'the files have changed' });
}
