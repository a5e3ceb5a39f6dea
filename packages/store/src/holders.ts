import { readdirSync, readFileSync, readlinkSync, rmSync, utimesSync } from 'node:fs';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';

import { isDigest } from '@strake/core';

import { randomName, readJson, unlessMissing } from './files.js';
import type { StoreLayout } from './layout.js';

/** How often a holder shows that it lives, and after what time without a sign it counts as dead where nothing else tells. */
const HEARTBEAT = 10_000;
const SILENCE = 120_000;

/** A process that holds things of the store; the content of its lease file. */
export interface Holder {
  readonly id: string;
  readonly pid: number;
  /** Of /proc/PID/stat: tells processes apart that had the same pid. */
  readonly start: string;
  readonly namespace: string;
  readonly boot: string;
  /** The holder that this one ends with: the builder of an agent. */
  readonly parent?: string | undefined;
  /** Digests, snapshots, record keys. */
  readonly holds: readonly string[];
}

/** Field 22 of /proc/PID/stat, or undefined where there is no such process or it has ended. The name in it may hold anything but the last `)`. */
function startOf(pid: number | 'self'): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // One that has ended and that nobody has buried yet holds nothing.
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function firstLine(read: () => string): string {
  try {
    return read().trim();
  } catch {
    return '';
  }
}

/** This boot of the machine: files that were not synced are worth nothing in another one. */
export function bootId(): string {
  return firstLine(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1'))
    .replaceAll('-', '')
    .slice(0, 12);
}

function ownNamespace(): string {
  return firstLine(() => readlinkSync('/proc/self/ns/pid'));
}

function parseHolder(value: unknown): Holder | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { id, pid, start, namespace, boot, parent, holds } = value as Record<string, unknown>;
  const texts = [id, start, namespace, boot].every((text) => typeof text === 'string');
  if (!texts || typeof pid !== 'number' || !Array.isArray(holds)) return undefined;
  return {
    id: id as string,
    pid,
    start: start as string,
    namespace: namespace as string,
    boot: boot as string,
    parent: typeof parent === 'string' ? parent : undefined,
    holds: holds.filter((hold) => typeof hold === 'string' || isDigest(hold)),
  };
}

/** All lease files: their names and what they say. A file that cannot be read yet counts as held. */
export async function listHolders(
  layout: StoreLayout,
): Promise<{ file: string; holder: Holder | undefined; age: number }[]> {
  const files = (await unlessMissing(readdir(layout.leases))) ?? [];
  return Promise.all(
    files.map(async (file) => {
      const path = `${layout.leases}/${file}`;
      const facts = await unlessMissing(stat(path));
      return { file, holder: parseHolder(await readJson(path)), age: facts ? Date.now() - facts.mtimeMs : 0 };
    }),
  );
}

/** The ids of holders that live, and those of dead ones. */
export async function judgeHolders(layout: StoreLayout): Promise<{ alive: Set<string>; dead: Set<string> }> {
  const all = await listHolders(layout);
  const byId = new Map(all.map((one) => [one.file, one]));
  const boot = bootId();
  const namespace = ownNamespace();
  const lives = (file: string, depth: number): boolean => {
    const one = byId.get(file);
    if (!one) return false;
    const { holder, age } = one;
    if (!holder) return age < SILENCE;
    if (holder.namespace === namespace && holder.boot === boot) return startOf(holder.pid) === holder.start;
    if (holder.parent !== undefined && depth < 8) return lives(holder.parent, depth + 1);
    return age < SILENCE;
  };
  const alive = new Set<string>();
  const dead = new Set<string>();
  for (const { file } of all) (lives(file, 0) ? alive : dead).add(file);
  return { alive, dead };
}

/**
 * This process's lease file: made when the first thing is held, removed by `close`. Temporary files and snapshots carry its
 * id in their names or notes, so that another process can tell whose they are and whether that one lives.
 */
export class OwnHolder {
  readonly id: string = randomName(8);
  readonly #layout: StoreLayout;
  readonly #parent: string | undefined;
  readonly #holds = new Map<string, number>();
  #made: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(layout: StoreLayout, parent?: string) {
    this.#layout = layout;
    this.#parent = parent;
  }

  get #path(): string {
    return `${this.#layout.leases}/${this.id}`;
  }

  async #write(): Promise<void> {
    const holder: Holder = {
      id: this.id,
      pid: process.pid,
      start: startOf('self') ?? '',
      namespace: ownNamespace(),
      boot: bootId(),
      parent: this.#parent,
      holds: [...this.#holds.keys()],
    };
    await mkdir(this.#layout.leases, { recursive: true, mode: 0o700 });
    await writeFile(this.#path, JSON.stringify(holder), { mode: 0o600 });
  }

  /** Makes sure that the lease file is there. */
  async ensure(): Promise<string> {
    this.#made ??= this.#write().then(() => {
      this.#timer = setInterval(() => {
        try {
          utimesSync(this.#path, new Date(), new Date());
        } catch {
          // Someone has removed the store: whoever uses it next will say so.
          clearInterval(this.#timer);
        }
      }, HEARTBEAT);
      this.#timer.unref();
    });
    await this.#made;
    return this.id;
  }

  /** A name for a temporary file or folder, below `tmp`. */
  async temporaryPath(what: string): Promise<string> {
    await this.ensure();
    return `${this.#layout.tmp}/${this.id}.${what}.${randomName(8)}`;
  }

  /** Adds to what is held; the function takes it away again. */
  async hold(what: readonly string[]): Promise<() => Promise<void>> {
    for (const one of what) this.#holds.set(one, (this.#holds.get(one) ?? 0) + 1);
    await this.ensure();
    await this.#update();
    return async () => {
      for (const one of what) {
        const count = (this.#holds.get(one) ?? 1) - 1;
        if (count > 0) this.#holds.set(one, count);
        else this.#holds.delete(one);
      }
      await this.#update();
    };
  }

  #update(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async close(): Promise<void> {
    if (!this.#made) return;
    await Promise.allSettled([this.#made, this.#writing]);
    clearInterval(this.#timer);
    // What a cancelled call may have left of its own.
    for (const file of readdirSync(this.#layout.tmp)) {
      if (file.startsWith(`${this.id}.`)) rmSync(`${this.#layout.tmp}/${file}`, { recursive: true, force: true });
    }
    rmSync(this.#path, { force: true });
  }
}
