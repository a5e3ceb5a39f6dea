import { canonicalJson, digestOf, type Digest } from '@strake/core';
import type { LayerInfo } from '@strake/store';

import { someEntries, type CopyFacts } from '../copy/plan.js';
import type { Renewal } from '../copy/renewal.js';
import { EntryList, factOf, learnDigests, type SelectedSource } from '../copy/selection.js';
import type { TargetTree } from '../copy/target-tree.js';
import { withChanges, type LikeNote } from '../explain/selection-notes.js';
import type { SelectedFact } from '../explain/types.js';
import type { BuilderServices } from '../services.js';
import type { SourceEntry } from '../tree/source-tree.js';

/** Files of so many bytes are noted one by one. */
const LARGE = 4 << 20;
/** A smaller layer is written in the time that two threads take to start. */
const WORTH = 4 << 20;

/** What a record says of the layer that a source was made into last. */
interface FormerRecord {
  readonly diffId: Digest;
  /** What the layer was made of: all but the contents of the selection, what that came to, its times, and when (in seconds). */
  readonly made?:
    { readonly on: Digest; readonly selection: Digest; readonly times: string; readonly now?: number } | undefined;
  /** How the facts of the selection are noted. */
  readonly noted?: LikeNote | undefined;
}

/**
 * What the same folder of a local context was made into last: most of its files are likely to be the same. Only a hint: contents
 * count by their digests.
 */
export class FormerLayer {
  readonly #key: Digest;
  readonly #source: SelectedSource;
  readonly #services: BuilderServices;
  readonly #record: FormerRecord | undefined;
  /** The layer, where it is there still. */
  readonly #layer: LayerInfo | undefined;

  private constructor(
    key: Digest,
    source: SelectedSource,
    services: BuilderServices,
    record: FormerRecord | undefined,
    layer: LayerInfo | undefined,
  ) {
    this.#key = key;
    this.#source = source;
    this.#services = services;
    this.#record = record;
    this.#layer = layer;
  }

  /** Undefined where there is no sense in it. USE: whether what was made before may be used. */
  static async find(
    source: SelectedSource | undefined,
    destination: string,
    use: boolean,
    services: BuilderServices,
  ): Promise<FormerLayer | undefined> {
    const { place } = source?.tree ?? {};
    // Of a file it is of no use but for the question whether it was copied before, which is asked for large ones.
    if (!source || place === undefined || (source.entry.type !== 'directory' && source.entry.size < LARGE))
      return undefined;
    const key = digestOf(
      canonicalJson({ kind: 'former layer', version: 2, place, path: source.entry.path, destination }),
    );
    const { store } = services;
    const record = use ? await store.records.get<FormerRecord>(key) : undefined;
    const there = record && (await store.layers.info(record.diffId));
    return new FormerLayer(key, source, services, record, there);
  }

  get diffId(): Digest | undefined {
    return this.#layer?.diffId;
  }

  /** Whether the source was copied before. */
  get known(): boolean {
    return this.#record !== undefined;
  }

  /** How the selection differs from the one that the layer was made of; undefined where that is not known, or by too much. */
  get #renewal(): Renewal | undefined {
    const { entry, below } = this.#source;
    const renewal = below instanceof EntryList ? below.renewalOfWritten(entry) : undefined;
    return renewal?.before.digest === this.#record?.made?.selection ? renewal : undefined;
  }

  /**
   * The layer with what changed in the places of what it was; undefined where it must be written as a whole. ON: what it is made of
   * besides the selection; PLAN: makes the tree that it is planned on, at a time in seconds. That is the one of the first writing: no
   * folder has got or lost anything since, and what comes before the first change stays the same to the byte.
   */
  async amended(
    on: Digest,
    plan: (now?: number) => TargetTree,
    destination: string,
    facts: CopyFacts,
    signal: AbortSignal,
  ): Promise<{ readonly layer: LayerInfo; readonly now: number } | undefined> {
    const former = this.#layer;
    const renewal = this.#renewal;
    const made = this.#record?.made;
    const { below } = this.#source;
    if (!former || former.size < WORTH || !renewal || made?.on !== on || !(below instanceof EntryList))
      return undefined;
    if (below.timesBefore(renewal) !== made.times) return undefined;
    await learnDigests(this.#source, signal);
    const now = renewal.changes.map(([, after]) => after);
    const target = plan(made.now);
    const entries = someEntries(target, this.#source, destination, facts, now);
    const layer = entries && (await this.#services.store.layers.amend(former.diffId, entries, signal));
    return layer && { layer, now: target.now };
  }

  /** How the selection's facts can be noted by the few that changed; undefined where they must be noted in full. */
  get likeNote(): LikeNote | undefined {
    const renewal = this.#renewal;
    const noted = this.#record?.noted;
    if (!renewal || !noted) return undefined;
    const { tree } = this.#source;
    const fact = (entry: SourceEntry): SelectedFact => factOf(entry, tree, entry.path, entry.link ?? '');
    return withChanges(
      noted,
      renewal.changes.map(([before, after]) => [fact(before), fact(after)]),
    );
  }

  /** Notes the layer that now counts, what it was made on, when (NOW, in seconds), and how the facts of the selection are NOTED. */
  async replace(diffId: Digest, on: Digest, now: number, noted: LikeNote | undefined): Promise<void> {
    const { entry, below } = this.#source;
    const list = below instanceof EntryList ? below : undefined;
    const times = list?.times(entry);
    const selection = list?.digest;
    const made = times === undefined || selection === undefined ? undefined : { on, selection, times, now };
    list?.settle();
    await this.#services.store.records.put(this.#key, { diffId, made, noted } satisfies FormerRecord);
  }
}
