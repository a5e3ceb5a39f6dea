import { canonicalJson, type Digest } from '@strake/core';
import { createHash, hash } from 'node:crypto';

import type { SelectedFact } from '../explain/types.js';
import { BLOCK, type RememberedSelection, type SelectionMemory } from '../tree/remembered-selections.js';
import type { SourceEntry, SourceTree } from '../tree/source-tree.js';
import { changedSince, timesOf, type Renewal } from './renewal.js';

/** An entry below a selected source. */
export interface SelectedEntry {
  /** Relative to the source; '' for the source itself. */
  readonly relative: string;
  readonly entry: SourceEntry;
  /** A folder that only leads to what was selected: its time is not copied. */
  readonly implied?: boolean | undefined;
}

/**
 * Entries below a source, in the order in which a walk finds them; where the tree has numbers for them, 4 bytes each. The walk goes
 * as far as is asked for: whoever goes through the entries has them as they are found, all else needs all of them. Where it
 * fails, everything that needs more of it does, with the same error.
 */
export class EntryList implements Iterable<SelectedEntry> {
  readonly #tree: SourceTree;
  readonly #root: string;
  readonly #entries: SelectedEntry[] = [];
  readonly #implied = new Set<number>();
  readonly #memory: SelectionMemory | undefined;
  #numbers: Uint32Array = new Uint32Array(64);
  #count = 0;
  /** What the entries come to, the root's included, once it is known: {@link entriesDigest}. */
  digest: Digest | undefined;
  readonly #renewals: Renewal[] = [];
  #ownRows: Uint32Array | undefined;
  /** What is not yet walked; undefined at the end. */
  #rest: Iterator<SelectedEntry> | undefined;
  #failure: { readonly error: unknown } | undefined;

  /**
   * ROOT: the path in TREE that the relative paths start from. WALK finds the entries. NAME: under which the tree may remember what was
   * selected.
   */
  constructor(tree: SourceTree, root: string, walk: Iterable<SelectedEntry>, name?: string) {
    this.#tree = tree;
    this.#root = root;
    this.#rest = walk[Symbol.iterator]();
    this.#memory = name === undefined ? undefined : tree.selections?.(name);
  }

  /** What an earlier build selected under NAME, where the tree can say that nothing came or went since. */
  static recall(tree: SourceTree, root: string, name: string): EntryList | undefined {
    const known = tree.recall?.(name);
    if (!known) return undefined;
    const list = new EntryList(tree, root, [], name);
    // The first is the root itself.
    list.#numbers = known.rows.subarray(1);
    list.#count = known.rows.length - 1;
    list.#rest = undefined;
    list.digest = known.digest;
    return list;
  }

  /** Has the tree remember, for later builds, what these entries and that of their root come to. */
  remember(root: SourceEntry, digest: Digest, blocks: Buffer): void {
    this.digest = digest;
    const rows = this.#rows(root);
    if (rows) this.#memory?.remember({ rows, digest, blocks });
  }

  /** Has the tree take note that a layer was written of what it remembers of these entries. */
  settle(): void {
    this.#memory?.settle();
  }

  /** What the times of all entries before a renewal came to. */
  timesBefore({ before }: Renewal): string {
    return timesOf(before.rows, this.#tree);
  }

  /** What the times of ROOT and all entries come to; undefined where the tree has no numbers for them. */
  times(root: SourceEntry): string | undefined {
    const rows = this.#rows(root);
    return rows && timesOf(rows, this.#tree);
  }

  /** The numbers of ROOT and all entries, where the tree has them. */
  #rows(root: SourceEntry): Uint32Array | undefined {
    this.complete();
    const number = this.#tree.numberOf?.(root);
    if (number === undefined || this.#implied.size > 0) return undefined;
    if (this.#ownRows?.[0] === number) return this.#ownRows;
    const rows = new Uint32Array(this.#count + 1);
    rows[0] = number;
    rows.set(this.#numbers.subarray(0, this.#count), 1);
    return (this.#ownRows = rows);
  }

  /** How the entries, that of ROOT among them, differ from those selected last; undefined where others came or went. */
  renewal(root: SourceEntry): Renewal | undefined {
    return this.#since(this.#memory?.last, root);
  }

  /** As `renewal`, of those that a layer was written of last. */
  renewalOfWritten(root: SourceEntry): Renewal | undefined {
    return this.#since(this.#memory?.written, root);
  }

  #since(before: RememberedSelection | undefined, root: SourceEntry): Renewal | undefined {
    const known = this.#renewals.find((renewal) => renewal.before === before);
    if (known || !before) return known;
    const rows = this.#rows(root);
    const renewal = rows && changedSince(before, rows, this.#tree);
    if (renewal) this.#renewals.push(renewal);
    return renewal;
  }

  /** Numbers of the entries, where the tree has numbers. */
  get numbers(): Uint32Array | undefined {
    this.complete();
    return this.#tree.entryOf && this.#numbers.subarray(0, this.#count);
  }

  /**
   * Numbers of those among the entries below ROOT whose digests may have to be learned: where an earlier build has learned the others,
   * the few that changed since.
   */
  fresh(root: SourceEntry): Uint32Array | undefined {
    const { numbers } = this;
    const renewal = this.renewal(root);
    return renewal && numbers
      ? Uint32Array.from(renewal.places.filter((place) => place > 0).map((place) => numbers[place - 1] as number))
      : numbers;
  }

  /** Whether all entries were found. */
  get isWalked(): boolean {
    return this.#rest === undefined;
  }

  /** Numbers of the first COUNT entries, or of as many as there are, where the tree has numbers. */
  firstNumbers(count: number): Uint32Array | undefined {
    while (this.#found < count && this.#next());
    return this.#tree.entryOf && this.#numbers.subarray(0, Math.min(count, this.#count));
  }

  /** Walks to the end. */
  complete(): void {
    while (this.#next());
  }

  /** Walks on to the next entry; undefined at the end. */
  #next(): SelectedEntry | undefined {
    if (this.#failure) throw this.#failure.error;
    if (!this.#rest) return undefined;
    try {
      const next = this.#rest.next();
      if (!next.done) {
        this.#add(next.value);
        return next.value;
      }
      this.#rest = undefined;
      return undefined;
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }

  #add(selected: SelectedEntry): void {
    const number = this.#tree.numberOf?.(selected.entry);
    if (number === undefined) {
      this.#entries.push(selected);
      return;
    }
    if (this.#count === this.#numbers.length) {
      const grown = new Uint32Array(this.#count * 2);
      grown.set(this.#numbers);
      this.#numbers = grown;
    }
    if (selected.implied) this.#implied.add(this.#count);
    this.#numbers[this.#count++] = number;
  }

  /** How many entries the walk has found by now. */
  get #found(): number {
    return this.#count + this.#entries.length;
  }

  get length(): number {
    this.complete();
    return this.#found;
  }

  *[Symbol.iterator](): Generator<SelectedEntry> {
    for (let i = 0; ; i++) {
      const one = i < this.#found ? this.#at(i) : this.#next();
      if (!one) return;
      yield one;
    }
  }

  #at(place: number): SelectedEntry | undefined {
    const entry = this.#tree.entryOf?.(this.#numbers[place] as number);
    if (!entry) return this.#entries[place];
    const start = this.#root === '' ? 0 : this.#root.length + 1;
    return { relative: entry.path.slice(start), entry, implied: this.#implied.has(place) };
  }
}

/** One source of a COPY or ADD, found and walked. */
export interface SelectedSource {
  readonly tree: SourceTree;
  /** The name under which a file goes into a destination folder. */
  readonly name: string;
  /** The source itself, links followed. A folder's entry may be synthetic (`--parents`). */
  readonly entry: SourceEntry;
  /** Folders and files below a folder, parents first; the source itself is not among them. */
  readonly below: EntryList | readonly SelectedEntry[];
  /** False for remote trees: their own root's facts go to the destination. */
  readonly contentsOnly: boolean;
  /** Unpack it, where it is a tar archive. */
  readonly unpack: boolean;
  /** Where it was fetched from, for people: an address without credentials, of a repository with the commit. */
  readonly origin?: { readonly address: string; readonly commit?: string | undefined } | undefined;
}

/** The source itself and all below it. */
export function* selectedEntries({ entry, below }: SelectedSource): Generator<SelectedEntry> {
  yield { relative: '', entry };
  yield* below;
}

/** Learns the content digests of everything selected. */
export async function learnDigests(source: SelectedSource, signal?: AbortSignal): Promise<void> {
  const { tree, entry, below } = source;
  const list = below instanceof EntryList ? below : undefined;
  if (list?.numbers && tree.learnNumbers) {
    // A digest stands for those of all files.
    if (list.digest) return;
    await tree.learnNumbers(list.fresh(entry) ?? list.numbers, signal);
    await tree.learn([entry], signal);
    return;
  }
  const entries = { [Symbol.iterator]: () => entriesOf(source) };
  await tree.learn(entries, signal);
}

function* entriesOf(source: SelectedSource): Generator<SourceEntry> {
  for (const { entry } of selectedEntries(source)) yield entry;
}

/** The facts that the digest below is made of, by path, for people: what of a selection changed between two builds. */
export function selectionFacts(sources: readonly SelectedSource[]): SelectedFact[] {
  const facts: SelectedFact[] = [];
  for (const source of sources) {
    const { tree, origin } = source;
    for (const { relative, entry } of selectedEntries(source)) {
      // A repository's own folder has no link: there stands its commit.
      const link = entry.link ?? (relative === '' ? (origin?.commit ?? '') : '');
      facts.push(factOf(entry, tree, shownPath(entry.path, origin), link));
    }
  }
  return facts;
}

/** The facts of one entry. */
export function factOf(entry: SourceEntry, tree: SourceTree, path: string, link: string): SelectedFact {
  const { type, mode, uid, gid, size } = entry;
  return [path, type, mode, uid, gid, size, link, tree.digest(entry) ?? ''];
}

/** A path for people; of what was fetched the address, and behind it the path in a repository. */
function shownPath(path: string, origin: SelectedSource['origin']): string {
  if (!origin) return path;
  return origin.commit === undefined || path === '' ? origin.address : `${path} of ${origin.address}`;
}

/** How many files are selected, the sources themselves included. */
export function selectionSize(sources: readonly SelectedSource[]): number {
  return sources.reduce((sum, { below }) => sum + 1 + below.length, 0);
}

/**
 * The digest of everything in a selection that can show in the image: relative paths, types, modes, owners, sizes, link
 * targets, extended attributes, contents. Not: times, inodes, where the context lies.
 */
export async function selectionDigest(sources: readonly SelectedSource[], signal?: AbortSignal): Promise<Digest> {
  const hash = createHash('sha256');
  for (const source of sources) {
    const { name, entry, unpack, contentsOnly } = source;
    await learnDigests(source, signal);
    hash.update(canonicalJson({ name: entry.type === 'directory' ? '' : name, unpack, contentsOnly }));
    hash.update(entriesDigest(source));
  }
  return `sha256:${hash.digest('hex')}`;
}

/** Sources as a mount has them: at its target nothing is seen of their names. */
export function unnamed(sources: readonly SelectedSource[]): SelectedSource[] {
  return sources.map((source) => ({ ...source, name: '' }));
}

/** The digest of a source's entries; remembered where nothing changed since an earlier build. Their contents have been learned. */
function entriesDigest(source: SelectedSource): Digest {
  const { tree, entry: root, below } = source;
  const list = below instanceof EntryList ? below : undefined;
  if (list?.digest) return list.digest;
  const blocks = list && renewedBlocks(list, root, tree);
  const all = blocks ?? blocksOf(selectedEntries(source), 1 + below.length, tree);
  const digest: Digest = `sha256:${hash('sha256', all, 'hex')}`;
  list?.remember(root, digest, all);
  return digest;
}

/** The blocks of a list of which only few entries are others than last time. */
function renewedBlocks(list: EntryList, root: SourceEntry, tree: SourceTree): Buffer | undefined {
  const renewal = list.renewal(root);
  const { numbers } = list;
  if (!renewal || !numbers || !tree.entryOf) return undefined;
  const blocks = Buffer.from(renewal.before.blocks);
  const skipped = root.path === '' ? 0 : root.path.length + 1;
  for (const block of new Set(renewal.places.map((place) => Math.floor(place / BLOCK)))) {
    const entries: SelectedEntry[] = block === 0 ? [{ relative: '', entry: root }] : [];
    const start = Math.max(0, block * BLOCK - 1);
    for (const number of numbers.subarray(start, (block + 1) * BLOCK - 1)) {
      const entry = tree.entryOf(number);
      entries.push({ relative: entry.path.slice(skipped), entry });
    }
    blocks.set(blocksOf(entries, entries.length, tree), block * DIGEST);
  }
  return blocks;
}

const DIGEST = 32;

/** The sha256 of each block of COUNT entries. */
function blocksOf(entries: Iterable<SelectedEntry>, count: number, tree: SourceTree): Buffer {
  const blocks = Buffer.allocUnsafe(Math.ceil(count / BLOCK) * DIGEST);
  let text = '';
  let done = 0;
  for (const { relative, entry: e } of entries) {
    const more = e.xattrs || e.device ? JSON.stringify([e.xattrs ?? {}, e.device ?? {}]) : '';
    const { type, mode, uid, gid, size, link = '' } = e;
    // No path and no link holds a NUL.
    text += `${relative}\0${type}\0${mode}\0${uid}\0${gid}\0${size}\0${link}\0${tree.digest(e) ?? ''}\0${more}\0`;
    done++;
    if (done % BLOCK !== 0 && done < count) continue;
    blocks.write(hash('sha256', text, 'hex'), (Math.ceil(done / BLOCK) - 1) * DIGEST, 'hex');
    text = '';
  }
  return blocks;
}
