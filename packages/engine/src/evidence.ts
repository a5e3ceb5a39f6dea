import { fileIdentity, fileState, hasEscapedBytes, type Digest, type FileIdentity, type FileState } from '@strake/core';
import { hasReliableFolders, isRacy, type BuildNote, type BuildOutcome, type Witness } from '@strake/builder';
import type { Store, StoredFile } from '@strake/store';
import { lstatSync, statSync, type Stats } from 'node:fs';

/**
 * What the result of a build that ran nothing hangs on. While all of it is so, the same call comes to the same result. Paths are
 * absolute.
 */
export interface BuildEvidence {
  /** What lies at paths; undefined: nothing. */
  readonly seen: readonly (readonly [path: string, state: FileState | undefined])[];
  /** Where paths lead to over all their links. */
  readonly led: readonly (readonly [path: string, real: string])[];
  /** Files that must be the same ones, whatever their times are now; undefined: there must be none. */
  readonly same: readonly (readonly [path: string, identity: FileIdentity | undefined])[];
  /** Files whose time says when they were last used. */
  readonly used: readonly string[];
  /** What the build noted for `explain`, and in which files. */
  readonly note: { readonly files: readonly string[]; readonly content: BuildNote };
}

/** Of more paths a build is not told by its evidence: to look at what it remembers of them itself is as fast. */
const MOST = 2000;

/** Collects the evidence of one build. */
export class EvidenceCollector implements Witness {
  readonly #store: Store;
  readonly #opened = Date.now();
  readonly #seen = new Map<string, FileState | undefined>();
  readonly #led = new Map<string, string>();
  readonly #same = new Map<string, FileIdentity | undefined>();
  readonly #used = new Set<string>();
  #lost = false;

  constructor(store: Store) {
    this.#store = store;
  }

  looked(path: string, stats: Stats | undefined): void {
    if (this.#lost || this.#seen.has(path)) return;
    if (this.#seen.size >= MOST || hasEscapedBytes(path) || this.#isRacy(stats)) this.#lost = true;
    else this.#seen.set(path, stats && fileState(stats));
  }

  /** Whether the file may change again without a new time. */
  #isRacy(stats: Stats | undefined): boolean {
    return stats !== undefined && isRacy(stats.mtimeMs, stats.ctimeMs, this.#opened);
  }

  led(path: string, real: string): void {
    this.#led.set(path, real);
  }

  record(key: Digest): void {
    this.#mustStay({ record: key });
    this.#used.add(this.#store.fileOf({ record: key }));
  }

  name(name: string): void {
    this.#mustStay({ name });
  }

  elsewhere(): void {
    this.#lost = true;
  }

  #mustStay(what: StoredFile): void {
    const path = this.#store.fileOf(what);
    if (this.#lost || this.#same.has(path)) return;
    const stats = statSync(path, { throwIfNoEntry: false });
    const identity = stats && fileIdentity(stats);
    if (stats && !identity) this.#lost = true;
    else this.#same.set(path, identity);
  }

  /**
   * All of it, for a build that ended with OUTCOME, whose image has NAMES and is the blob IMAGE; undefined where the same call may
   * come to something else.
   */
  async evidence(
    outcome: BuildOutcome,
    names: readonly string[],
    image: Digest | undefined,
    note: BuildEvidence['note'],
  ): Promise<BuildEvidence | undefined> {
    if (!outcome.notes.every(({ cached, reason }) => cached || reason === 'not-cacheable')) return undefined;
    for (const name of names) {
      this.name(name);
      this.#used.add(this.#store.fileOf({ name }));
    }
    if (this.#lost || !this.#hasReliableTimes()) return undefined;
    const seen: BuildEvidence['seen'][number][] = [...this.#seen];
    if (image) seen.push(this.#stateNow({ blob: image }));
    for (const { chain, image: built } of outcome.results) {
      seen.push(this.#stateNow({ blob: built.configDescriptor.digest }));
      for (const layer of chain.layers) {
        const diffId = await layer.diffId();
        seen.push(this.#stateNow({ blob: diffId }), this.#stateNow({ layer: diffId }));
      }
    }
    const there = [...this.#used].filter((path) => this.#same.get(path));
    return { seen, led: [...this.#led], same: [...this.#same], used: there, note };
  }

  #stateNow(what: StoredFile): readonly [string, FileState | undefined] {
    const path = this.#store.fileOf(what);
    const stats = lstatSync(path, { throwIfNoEntry: false });
    return [path, stats && fileState(stats)];
  }

  /** Whether a change of a name, on every file system that was looked at, is seen by its folder's time. */
  #hasReliableTimes(): boolean {
    const folders = new Map<number, string | undefined>();
    for (const [path, state] of this.#seen) {
      if (!state) continue;
      const [, , , , mode, device] = state;
      const isFolder = (mode & 0o170000) === 0o040000;
      folders.set(device, folders.get(device) ?? (isFolder ? path : undefined));
    }
    return [...folders.values()].every((path) => path !== undefined && hasReliableFolders(path));
  }
}
