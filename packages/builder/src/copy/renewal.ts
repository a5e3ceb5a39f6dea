import { createHash } from 'node:crypto';

import type { RememberedSelection } from '../tree/remembered-selections.js';
import type { SourceEntry, SourceTree } from '../tree/source-tree.js';

/** Of more changes there is no sense in treating them one by one. */
const MOST = 256;

/** How a selection differs from the one that was remembered last: the same paths in the same order, some with other facts. */
export interface Renewal {
  readonly before: RememberedSelection;
  /** Places of the entries that changed: 0 is the root, 1 the first one below it. */
  readonly places: readonly number[];
  /** Each as it was and as it is. */
  readonly changes: readonly (readonly [before: SourceEntry, after: SourceEntry])[];
}

/** How ROWS differ from what was selected BEFORE; undefined where paths came or went, or too many changed. */
export function changedSince(before: RememberedSelection, rows: Uint32Array, tree: SourceTree): Renewal | undefined {
  if (!tree.entryOf || before.rows.length !== rows.length) return undefined;
  const places: number[] = [];
  for (let i = 0; i < rows.length; i++) {
    if (rows[i] === before.rows[i]) continue;
    if (places.push(i) > MOST) return undefined;
  }
  const changes: [SourceEntry, SourceEntry][] = [];
  for (const place of places) {
    const old = tree.entryOf(before.rows[place] as number);
    const now = tree.entryOf(rows[place] as number);
    if (old.path !== now.path) return undefined;
    changes.push([old, now]);
  }
  return { before, places, changes };
}

const knownTimes = new WeakMap<Uint32Array, string>();

/** What the times of entries come to, which their digest leaves out. ROWS do not change, nor do the times of rows. */
export function timesOf(rows: Uint32Array, tree: SourceTree): string {
  const known = knownTimes.get(rows);
  if (known !== undefined) return known;
  const times = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) times[i] = tree.secondsOf?.(rows[i] as number) ?? 0;
  const digest = createHash('sha256').update(times).digest('hex');
  knownTimes.set(rows, digest);
  return digest;
}
