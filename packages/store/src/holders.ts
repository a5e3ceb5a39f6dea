import {
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import { errnoOf, isDigest, makeFolderNow, type Digest } from '@strake/core';

import { namesNow, randomName, readJsonNow } from './files.js';
import type { StoreLayout } from './layout.js';
import type { Lease } from './types.js';

/** How often a holder shows that it lives, and after what time without a sign it counts as dead where nothing else tells. */
const HEARTBEAT = 10_000;
const SILENCE = 120_000;

/** What a collection is to delete, among the temporary files of its process. */
export const TRASH = 'trash';

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
export function listHolders(layout: StoreLayout): { file: string; holder: Holder | undefined; age: number }[] {
  return namesNow(layout.leases).map((file) => {
    const path = `${layout.leases}/${file}`;
    const facts = statSync(path, { throwIfNoEntry: false });
    return { file, holder: parseHolder(readJsonNow(path)), age: facts ? Date.now() - facts.mtimeMs : 0 };
  });
}

/** The ids of holders that live, and those of dead ones. */
export function judgeHolders(layout: StoreLayout): { alive: Set<string>; dead: Set<string> } {
  const all = listHolders(layout);
  if (all.length === 0) return { alive: new Set(), dead: new Set() };
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

/** The digests that processes which live have leases of. */
export function leasedDigests(layout: StoreLayout): Set<Digest> {
  const { dead } = judgeHolders(layout);
  const digests = new Set<Digest>();
  for (const { file, holder } of listHolders(layout)) {
    if (dead.has(file)) continue;
    for (const one of holder?.holds ?? []) if (isDigest(one)) digests.add(one);
  }
  return digests;
}

/** A lease that RELEASE ends, however often it is released. */
export function leaseOf(release: () => void): Lease {
  let held = true;
  return {
    release: () =>
      new Promise((resolve) => {
        if (held) release();
        held = false;
        resolve();
      }),
  };
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
  /** What the lease file says beside what is held; set once that file is there. */
  #facts: Omit<Holder, 'holds'> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(layout: StoreLayout, parent?: string) {
    this.#layout = layout;
    this.#parent = parent;
  }

  get #path(): string {
    return `${this.#layout.leases}/${this.id}`;
  }

  #write(): void {
    const first = this.#facts === undefined;
    this.#facts ??= {
      id: this.id,
      pid: process.pid,
      start: startOf('self') ?? '',
      namespace: ownNamespace(),
      boot: bootId(),
      parent: this.#parent,
    };
    const text = JSON.stringify({ ...this.#facts, holds: [...this.#holds.keys()] } satisfies Holder);
    try {
      this.#replace(text);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      // The folder is missing, or somebody has taken the temporary file of one who has no lease yet for a leftover.
      makeFolderNow(this.#layout.leases, 0o700);
      writeFileSync(this.#path, text, { mode: 0o600 });
    }
    if (first) this.#beat();
  }

  /** As a whole: what was held before is held while this is written, and who is killed meanwhile leaves no half of a lease. */
  #replace(text: string): void {
    const temporary = `${this.#layout.tmp}/${this.id}.lease`;
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, this.#path);
  }

  #beat(): void {
    this.#timer = setInterval(() => {
      try {
        utimesSync(this.#path, new Date(), new Date());
      } catch {
        // Someone has removed the store: whoever uses it next will say so.
        clearInterval(this.#timer);
      }
    }, HEARTBEAT);
    this.#timer.unref();
  }

  /** Makes sure that the lease file is there. */
  ensure(): string {
    if (!this.#facts) this.#write();
    return this.id;
  }

  /** A name for a temporary file or folder, below `tmp`. */
  temporaryPath(what: string): string {
    return `${this.#layout.tmp}/${this.ensure()}.${what}.${randomName(8)}`;
  }

  /** Adds to what is held; the function takes it away again. */
  hold(what: readonly string[]): () => void {
    for (const one of what) this.#holds.set(one, (this.#holds.get(one) ?? 0) + 1);
    this.#write();
    return () => {
      for (const one of what) {
        const count = (this.#holds.get(one) ?? 1) - 1;
        if (count > 0) this.#holds.set(one, count);
        else this.#holds.delete(one);
      }
      this.#write();
    };
  }

  close(): void {
    if (!this.#facts) return;
    clearInterval(this.#timer);
    // What a cancelled call may have left of its own.
    let left = false;
    for (const file of readdirSync(this.#layout.tmp)) {
      if (file.startsWith(`${this.id}.${TRASH}.`)) left = true;
      else if (file.startsWith(`${this.id}.`)) rmSync(`${this.#layout.tmp}/${file}`, { recursive: true, force: true });
    }
    // What an interrupted collection was to delete may take long. By this lease of a process that is gone the next one finds it.
    if (left) {
      this.#holds.clear();
      this.#write();
      return;
    }
    try {
      unlinkSync(this.#path); // rmSync takes 1 ms to load
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }
}
