import type { Digest } from '@strake/core';
import type { Journal } from '@strake/store';

import type { SelectedFact } from './types.js';

/** Files of one selection that are kept: some megabytes. Of more it can only be said that something changed. */
const MOST_FACTS = 100_000;
/** Beyond that all facts are noted anew. */
const MOST_CHANGES = 256;

/** A file as it is in the selection that a note refers to, and as it is in its own. */
export type ChangedFact = readonly [before: SelectedFact, after: SelectedFact];

/** What is noted of a selection that is nearly another one, whose facts are noted in full: the few files that differ. */
export interface LikeNote {
  readonly like: Digest;
  readonly changed: readonly ChangedFact[];
}

/** What is kept under the digest of a selection. */
type SelectionNote = readonly SelectedFact[] | LikeNote;

const isLike = (note: SelectionNote): note is LikeNote => 'like' in note;

/**
 * Keeps what a step took, under the digest that stands in its key. LIKE: how it differs from a selection that was noted before.
 * Returns how the next one can refer to it; undefined where it is not noted.
 */
export async function noteSelection(
  journal: Journal,
  digest: Digest,
  facts: () => readonly SelectedFact[],
  count: number,
  like?: LikeNote,
): Promise<LikeNote | undefined> {
  if (count > MOST_FACTS) return undefined;
  if (like && like.changed.length <= MOST_CHANGES && (await journal.hasFacts(like.like))) {
    if (digest === like.like) return { like: digest, changed: [] };
    if (!(await journal.hasFacts(digest))) await journal.writeFacts(digest, like);
    return like;
  }
  if (!(await journal.hasFacts(digest))) await journal.writeFacts(digest, facts());
  return { like: digest, changed: [] };
}

/** NOTE, and what changed since on top of it. */
export function withChanges({ like, changed }: LikeNote, since: readonly ChangedFact[]): LikeNote {
  const all = new Map(changed.map((change) => [change[0][0], change]));
  for (const [before, after] of since) all.set(after[0], [all.get(after[0])?.[0] ?? before, after]);
  return { like, changed: [...all.values()] };
}

/** Reads what was noted of selections. */
export class SelectionNotes {
  readonly #journal: Journal;
  readonly #others: ReadonlyMap<Digest, () => readonly SelectedFact[]>;

  /** OTHERS: selections that are not noted yet. */
  constructor(journal: Journal, others: ReadonlyMap<Digest, () => readonly SelectedFact[]> = new Map()) {
    this.#journal = journal;
    this.#others = others;
  }

  /** The facts of two selections, as far as they can differ. Undefined where they were not kept. */
  async pair(
    before: Digest,
    after: Digest,
  ): Promise<readonly [before: readonly SelectedFact[], after: readonly SelectedFact[]] | undefined> {
    const now = await this.#read(after);
    if (!now) return undefined;
    if (isLike(now) && now.like === before) {
      return [now.changed.map(([old]) => old), now.changed.map(([, one]) => one)];
    }
    const old = await this.#read(before);
    if (!old) return undefined;
    if (isLike(old) && isLike(now) && old.like === now.like) return differing(old, now);
    const [a, b] = [await this.#whole(old), await this.#whole(now)];
    return a && b && [a, b];
  }

  async #read(digest: Digest): Promise<SelectionNote | undefined> {
    return this.#others.get(digest)?.() ?? ((await this.#journal.facts(digest)) as SelectionNote | undefined);
  }

  /** All facts of a selection. */
  async #whole(note: SelectionNote): Promise<readonly SelectedFact[] | undefined> {
    if (!isLike(note)) return note;
    const facts = await this.#read(note.like);
    if (!facts || isLike(facts)) return undefined;
    const changed = new Map(note.changed.map(([, after]) => [after[0], after]));
    return facts.map((fact) => changed.get(fact[0]) ?? fact);
  }
}

/** The facts of files that either of two notes on the same selection says something of. */
function differing(old: LikeNote, now: LikeNote): [SelectedFact[], SelectedFact[]] {
  const [before, after] = [old, now].map(({ changed }) => new Map(changed.map((change) => [change[0][0], change])));
  const pairs = [...new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])])].flatMap((path) => {
    const [a, b] = [before?.get(path), after?.get(path)];
    const [was, is] = [a?.[1] ?? b?.[0], b?.[1] ?? a?.[0]];
    return was && is ? [[was, is] as const] : [];
  });
  return [pairs.map(([was]) => was), pairs.map(([, is]) => is)];
}
