import { BRINGS_FILES } from '@strake/builder';
import { errnoOf, isStrakeError } from '@strake/core';

import type { BuildMemory } from '../build-memory.js';
import type { BuildResult, RunningContainer, StepReport } from '../types.js';
import { pause } from './changes.js';
import { HostCommand } from './host-command.js';
import type { WatchEvent, WatchOptions } from './types.js';

/** Milliseconds that a container has to end by itself when the watch ends. */
const LAST_GRACE = 500;
/** Of more files at once the image tells. */
const MOST_AHEAD = 100;

/** Uses results: keeps the container of the last good one running, and runs the line of `--exec`. */
export class Runner {
  readonly #options: WatchOptions;
  readonly #emit: (event: WatchEvent) => void;
  #container: RunningContainer | undefined;
  /** The one that makes place for the next: how it ends is not worth a word. */
  #stopping: RunningContainer | undefined;
  #command: HostCommand | undefined;
  /** What is behind the steps of the last result that do more than bring files. */
  #keys: ReadonlySet<string | undefined> = new Set();

  constructor(options: WatchOptions, emit: (event: WatchEvent) => void) {
    this.#options = options;
    this.#emit = emit;
  }

  /** Whether the container has something that no image has said yet. */
  get isAhead(): boolean {
    return this.#container?.isAhead ?? false;
  }

  /**
   * Puts the files at PATHS, absolute, into the running container before the image with them is built, where that is plain. What
   * it will have been in the image is made good by `use`.
   */
  async runAhead(paths: readonly string[], memory: BuildMemory): Promise<void> {
    const { run, signal } = this.#options;
    if (!run?.sync || run.restart || !this.#container?.running || paths.length > MOST_AHEAD) return;
    try {
      await this.#container.bring(memory, paths, signal);
    } catch (error) {
      // A file that is gone again, a plan that meets a conflict: the build says so.
      if (!isStrakeError(error) && errnoOf(error) === undefined) throw error;
    }
  }

  /** What a new result asks for; IMAGE: its name. Returns what was done, for people. */
  async use(image: string, { steps }: BuildResult): Promise<string[]> {
    const { run } = this.#options;
    if (!run) return [];
    const onlyFiles = this.#onlyFilesSince(steps);
    const synced = run.sync && onlyFiles && (await this.#sync(image));
    if (synced) return synced;
    const before = this.#container;
    this.#stopping = before;
    await before?.stop();
    this.#container = undefined;
    try {
      await this.#start(image);
    } catch (error) {
      this.#emit({ type: 'container', state: 'failed', time: Date.now(), error });
      return [];
    }
    const state = before ? 'restarted' : 'started';
    this.#emit({ type: 'container', state, time: Date.now() });
    return [state];
  }

  /** Runs the line of `--exec` for a result; one that still runs for the one before is ended. */
  async execute(result: BuildResult): Promise<void> {
    const { exec, signal } = this.#options;
    if (exec === undefined || signal.aborted) return;
    await this.#command?.end();
    const begun = Date.now();
    const env = { ...process.env, STRAKE_IMAGE: result.names[0] ?? '', STRAKE_DIGEST: result.image?.digest ?? '' };
    const command = new HostCommand(exec, env, (stream, data) =>
      this.#emit({ type: 'output', stream, data, time: Date.now() }),
    );
    this.#command = command;
    void command.exited.then((exitCode) => {
      if (this.#command === command && !signal.aborted) {
        this.#emit({ type: 'exec', time: Date.now(), exitCode, duration: Date.now() - begun });
      }
    });
  }

  async end(): Promise<void> {
    const container = this.#container;
    this.#container = undefined;
    await Promise.all([this.#command?.end(), container && endSoon(container)]);
  }

  /**
   * Whether all that STEPS have and the result before had not are steps that bring files: every other one stands on the very same
   * content. Takes note of them.
   */
  #onlyFilesSince(steps: readonly StepReport[]): boolean {
    const others = steps.filter(({ name }) => !BRINGS_FILES.test(name));
    const before = this.#keys;
    this.#keys = new Set(others.map(({ key }) => key));
    return others.every(({ key }) => key !== undefined && before.has(key));
  }

  async #sync(image: string): Promise<string[] | undefined> {
    if (!this.#container?.running) return undefined;
    const outcome = await this.#container.sync(image);
    if ('refused' in outcome) {
      this.#emit({ type: 'warning', time: Date.now(), message: `not synchronised: ${outcome.refused}` });
      return undefined;
    }
    const { restart, verify } = this.#options.run ?? {};
    if (verify) {
      const different = await this.#container.differences();
      if (different.length > 0) {
        const message = `the container differs from the image at /${different.slice(0, 5).join(', /')}`;
        this.#emit({ type: 'warning', time: Date.now(), message });
        return undefined;
      }
    }
    if (restart) return undefined;
    const count = outcome.paths.length;
    return [`synced ${count} ${count === 1 ? 'path' : 'paths'}${verify ? ', verified' : ''}`];
  }

  async #start(image: string): Promise<void> {
    const { sync: _, restart: __, verify: ___, ...run } = this.#options.run ?? {};
    const container = await this.#options.engine.start({
      ...run,
      image,
      signal: this.#options.signal,
      onOutput: (stream, data) => this.#emit({ type: 'output', stream, data, time: Date.now() }),
    });
    this.#container = container;
    const ended = (how: { state: 'exited'; exitCode: number } | { state: 'failed'; error: unknown }): void => {
      const isOver = this.#container !== container || this.#stopping === container;
      if (isOver || this.#options.signal.aborted) return;
      this.#emit({ type: 'container', time: Date.now(), ...how });
    };
    void container.exited.then(
      (exitCode) => ended({ state: 'exited', exitCode }),
      (error: unknown) => ended({ state: 'failed', error }),
    );
  }
}

async function endSoon(container: RunningContainer): Promise<void> {
  const ended = new AbortController();
  const stopped = container.stop().then(() => ended.abort());
  await pause(LAST_GRACE, ended.signal);
  if (!ended.signal.aborted) await container.kill();
  await stopped;
}
