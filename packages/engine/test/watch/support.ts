import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { openStore } from '@strake/store';

import { createEngine } from '../../src/engine.js';
import type { Engine } from '../../src/types.js';
import type { WatchEvent, WatchOptions } from '../../src/watch/types.js';
import { watchBuild, type WatchInternals } from '../../src/watch/watch.js';

type Built = Extract<WatchEvent, { type: 'built' }>;

/** A watch under test, on a folder of its own. */
export class WatchTest {
  readonly folder: string;
  readonly context: string;
  readonly events: WatchEvent[] = [];
  readonly #controller = new AbortController();
  readonly #hooks: ((event: WatchEvent) => void)[] = [];
  #engine: Engine | undefined;
  #ended: Promise<void> | undefined;
  #read = 0;
  #wake: (() => void) | undefined;

  constructor() {
    this.folder = fs.mkdtempSync(path.join(tmpdir(), 'strake-watch-'));
    this.context = path.join(this.folder, 'context');
    fs.mkdirSync(this.context);
  }

  get store(): string {
    return path.join(this.folder, 'store');
  }

  get engine(): Engine {
    assert.ok(this.#engine);
    return this.#engine;
  }

  /** Writes files of the context, folders made on the way. */
  write(files: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(files)) {
      const file = this.at(name);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, text);
    }
  }

  at(name: string): string {
    return path.join(this.context, name);
  }

  /** Called with each event, before anyone else is told. */
  on(hook: (event: WatchEvent) => void): void {
    this.#hooks.push(hook);
  }

  /** Starts, and waits until saves are seen. */
  async start(options: Partial<WatchOptions> = {}, internals: WatchInternals = {}): Promise<void> {
    this.#engine ??= await createEngine({ root: this.store });
    const { build, ...rest } = options;
    this.#ended = watchBuild(
      {
        engine: this.#engine,
        build: { context: this.context, tags: ['watched'], ...build },
        signal: this.#controller.signal,
        onEvent: (event) => {
          for (const hook of this.#hooks) hook(event);
          this.events.push(event);
          this.#wake?.();
        },
        ...rest,
      },
      internals,
    );
    this.#ended.catch(() => this.#wake?.());
    await this.next('watching');
  }

  /** The next event of a type that has not been asked for. */
  async next<T extends WatchEvent['type']>(type: T): Promise<Extract<WatchEvent, { type: T }>> {
    for (;;) {
      while (this.#read < this.events.length) {
        const event = this.events[this.#read++];
        if (event?.type === type) return event as Extract<WatchEvent, { type: T }>;
      }
      const ended = await Promise.race([
        new Promise<false>((resolve) => (this.#wake = () => resolve(false))),
        (this.#ended ?? new Promise<void>(() => undefined)).then(() => true),
      ]);
      if (ended && this.#read >= this.events.length) throw new Error(`the watch ended without ${type}`);
    }
  }

  /** The next build, after which saves are seen again. */
  async built(): Promise<Built> {
    const event = await this.next('built');
    await this.next('watching');
    return event;
  }

  /** Saves a file that is watched, and returns what was built because of that and everything before. */
  async sentinel(name = 'src/sentinel'): Promise<Built> {
    this.write({ [name]: `${Math.random()}` });
    return this.built();
  }

  /** The files of the image by path: their content, `-> target` of links, `dir` of folders, with mode and owner. */
  async files(name = 'watched'): Promise<Record<string, string>> {
    const { layers } = await this.engine.inspect(name);
    const store = await openStore({ root: this.store });
    try {
      const view = await store.layers.view(layers.map(({ diffId }) => diffId));
      const found: Record<string, string> = {};
      for (const entry of view.walk('')) {
        const facts = `${entry.mode.toString(8)} ${entry.uid}:${entry.gid}`;
        if (entry.type === 'file') found[entry.path] = (await view.read(entry, 1 << 20)).toString();
        else if (entry.type === 'symlink') found[entry.path] = `-> ${entry.link ?? ''}`;
        found[`${entry.path} facts`] = facts;
      }
      return found;
    } finally {
      await store.close();
    }
  }

  /** What a build from nothing makes of the context as it is now. */
  async fresh(): Promise<Record<string, string>> {
    await this.engine.build({ context: this.context, tags: ['fresh'], noCache: true });
    return this.files('fresh');
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await this.#ended;
  }

  async remove(): Promise<void> {
    await this.stop().catch(() => undefined);
    await this.#engine?.close();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
