import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs';
import path from 'node:path';
import type { DockerRegistry } from '../docker-registry.js';
import { Workshop, type Outcome, type RunOptions } from '../strake.js';
import { Injector } from './injector.js';
import { namesIn } from './soundness.js';

const KEPT = 'docker.io/library/kept:latest';

/** The Dockerfile of all that is built here; `a.txt` is what makes it one or another image. */
const LINES = ['FROM busybox', 'RUN head -c 300000 /dev/zero > /zeros', 'COPY a.txt d /d/', 'RUN cat /d/* > /all'];
/** Files of the context that stay the same. */
const FILES = 12;

/** What the image of a.txt = TEXT has in the files by which it is told. */
export function contentOf(text: string): Readonly<Record<string, string>> {
  const same = Object.fromEntries(Array.from({ length: FILES }, (_, i) => [`d/f${i}`, `${i} `.repeat(500)]));
  const names = ['d/a.txt', ...Object.keys(same).sort()];
  const files: Record<string, string> = { 'd/a.txt': text, ...same };
  return { ...files, all: names.map((name) => files[name] ?? '').join('') };
}

/** As it is, with hard links: an unpacked busybox is one file of many names. */
function copyTree(from: string, to: string): void {
  mkdirSync(path.dirname(to), { recursive: true });
  execFileSync('cp', ['-a', from, to]);
}

/** A store on a disk of its own on which commands are run with faults, and what it is put back to before each. */
export class Bench {
  readonly workshop: Workshop = new Workshop();
  /** The folder whose calls are counted; the store is in it, so that the making of the store counts too. */
  readonly disk: string = path.join(this.workshop.folder, 'disk');
  readonly store: string = path.join(this.disk, 'store');
  readonly injector: Injector;
  readonly registry: DockerRegistry | undefined;
  /** Digest of the image named kept, once there is one. */
  kept = '';
  /** The name that is pushed next, and one that can be pulled. */
  pushed = '';
  pullable = '';
  /** The call that the last fault met, as it was written down. */
  faulted = '';
  #repositories = 0;

  constructor(registry?: DockerRegistry) {
    mkdirSync(this.disk);
    this.registry = registry;
    this.injector = new Injector(this.disk, path.join(this.workshop.folder, 'injector'));
    const content = contentOf('');
    for (let i = 0; i < FILES; i++) this.workshop.write(`d/f${i}`, content[`d/f${i}`] ?? '');
  }

  strake(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return this.workshop.strake(argv, { ...options, env: { ...options.env, STRAKE_ROOT: this.store } });
  }

  build(text: string, argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    this.workshop.write('a.txt', text);
    return this.workshop.build(LINES, argv, { ...options, env: { ...options.env, STRAKE_ROOT: this.store } });
  }

  /** As `strake`, and it must work. */
  async must(outcome: Promise<Outcome>): Promise<Outcome> {
    const done = await outcome;
    assert.equal(done.status, 0, done.stderr);
    return done;
  }

  /** A name that the registry has not seen. */
  newName(): string {
    return `${this.registry?.host ?? ''}/faults/n${this.#repositories++}:1`;
  }

  #saved(name: string): string {
    return path.join(this.workshop.folder, 'saved', name);
  }

  /** Puts the store away under NAME. */
  save(name: string): void {
    copyTree(this.store, this.#saved(name));
  }

  /** Puts the store back as it was saved; without a name there is none. */
  restore(name: string | undefined): void {
    rmSync(this.disk, { recursive: true, force: true });
    mkdirSync(this.disk);
    if (name === undefined) return;
    copyTree(this.#saved(name), this.store);
  }

  /** A store with the images kept, spare and app (of an older a.txt), and with garbage of an image that lost its name. */
  async prepare(): Promise<void> {
    await this.must(this.build('kept\n', ['-t', 'kept', '-t', 'spare']));
    await this.must(this.build('gone\n', ['-t', 'app']));
    await this.must(this.build('old\n', ['-t', 'app']));
    this.kept = namesIn(this.store).get(KEPT) ?? '';
    this.save('full');
  }

  /** Lets leases that cannot be read get old: one that was just begun could be of a process that lives. ALL: all of them. */
  passTime(all = false): void {
    const folder = path.join(this.store, 'leases');
    const before = Date.now() / 1000 - 600;
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      if (all || statSync(path.join(folder, name)).size === 0) utimesSync(path.join(folder, name), before, before);
    }
  }

  /** Builds TEXT's image as app, from whatever is in the cache, and compares every file. */
  async rebuild(text: string, env: Readonly<Record<string, string>> = {}): Promise<string[]> {
    const dest = path.join(this.workshop.folder, 'out');
    rmSync(dest, { recursive: true, force: true });
    const built = await this.build(text, ['-t', 'app', '-o', `type=local,dest=${dest}`], { env });
    if (built.status !== 0) return [`the next build fails: ${built.stderr.slice(-500)}`];
    const problems = Object.entries(contentOf(text)).flatMap(([name, wanted]) => {
      const file = path.join(dest, name);
      if (!existsSync(file)) return [`the next build has no ${name}`];
      return readFileSync(file, 'utf8') === wanted ? [] : [`the next build has another ${name}`];
    });
    if (readFileSync(path.join(dest, 'zeros')).length !== 300_000) problems.push('the next build has another /zeros');
    if (readdirSync(path.join(dest, 'bin')).length < 100) problems.push('the next build has not all of its base');
    return problems;
  }

  close(): void {
    this.workshop.close();
  }
}
