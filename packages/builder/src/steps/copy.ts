import { bothEnded, canonicalJson, digestOf, type Digest } from '@strake/core';
import type { LayerEntry, LayerInfo, OutlinePath, TreeView } from '@strake/store';
import type { KeyContext, KeyParts, Vertex } from '@strake/solver';
import { isDeepStrictEqual } from 'node:util';

import { resolveOwner, type ReadText } from '../copy/owner.js';
import { copyEntries, planCopy, type CopyFacts } from '../copy/plan.js';
import { copyPaths, USER_FILES } from '../copy/plan-paths.js';
import {
  learnDigests,
  selectionDigest,
  selectionFacts,
  selectionSize,
  type SelectedSource,
} from '../copy/selection.js';
import { selectSource, type SelectOptions } from '../copy/select.js';
import { checkRoom } from '../copy/room.js';
import { TargetTree } from '../copy/target-tree.js';
import { noteSelection, type LikeNote } from '../explain/selection-notes.js';
import type { SelectedFact } from '../explain/types.js';
import { EMPTY_CHAIN, storedLayer, usableChain, withLayer, type ChainResult } from '../result.js';
import type { BuilderServices } from '../services.js';
import { chainView } from '../tree/chain-view.js';
import { layerTree } from '../tree/layer-tree.js';
import type { SourceTree } from '../tree/source-tree.js';
import { textReader } from '../tree/text-reader.js';
import { copyEarly, isUnknown, type EarlyLayer } from './early-copy.js';
import { FormerLayer } from './former-layer.js';
import { layerEntries, planOn, type Planned } from './plan-on.js';

/** Where a COPY or ADD takes something from. */
export type CopySource =
  /** Paths of a stage or an image, and then heredocs. */
  | {
      readonly kind: 'stage';
      readonly patterns: readonly string[];
      readonly select: SelectOptions;
      readonly heredocs: readonly SelectedSource[];
    }
  /** What lies outside the graph: the context, downloads, heredocs. Prepared once, when its content is asked for. */
  | {
      readonly kind: 'outside';
      readonly find: (signal: AbortSignal) => Promise<readonly SelectedSource[]>;
      /** Whether other machines are asked. */
      readonly online: boolean;
    };

export interface CopyStep {
  readonly id: string;
  readonly name: string;
  readonly caching: 'use' | 'renew';
  /** Undefined with `--link`: the layer does not depend on what is below it. */
  readonly parent: Vertex<ChainResult> | undefined;
  readonly stage: Vertex<ChainResult> | undefined;
  readonly source: CopySource;
  /** Absolute, a trailing slash kept. */
  readonly destination: string;
  readonly chown: string | undefined;
  readonly mode: CopyFacts['mode'];
  /** `--chmod` as written, for the key. */
  readonly chmod: string | undefined;
  /** Time of the files that heredocs make and of a Windows layer's top folders, in seconds, where SOURCE_DATE_EPOCH gives one. */
  readonly epoch?: number | undefined;
  /** Whether the image is one for Windows. */
  readonly windows?: boolean | undefined;
}

/** COPY and ADD: one layer, planned over the indexes of the layers below and written as a tar. Nothing is unpacked. */
export function copyVertex(step: CopyStep, services: BuilderServices): Vertex<ChainResult> {
  const { source, parent, stage, destination, chown, chmod } = step;
  const link = parent === undefined;
  /** Without a parent nothing else tells the form of the layer. */
  const form = link && step.windows ? { windows: true } : {};
  const belowOf = (inputs: readonly (ChainResult | undefined)[]): ChainResult =>
    parent ? (inputs[0] ?? EMPTY_CHAIN) : { ...EMPTY_CHAIN, ...form };
  let outside: Promise<readonly SelectedSource[]> | undefined;
  /** The digest of what is taken, once it is known. */
  let selected: Digest | undefined;
  const findOutside = (signal: AbortSignal): Promise<readonly SelectedSource[]> => {
    if (source.kind !== 'outside') return Promise.resolve([]);
    outside ??= source.find(signal);
    return outside;
  };
  const selectStage = async (chain: ChainResult, signal: AbortSignal): Promise<SelectedSource[]> => {
    if (source.kind !== 'stage') return [];
    const tree: SourceTree = layerTree(await chainView(chain, services.store, signal));
    return source.patterns.flatMap((pattern) => selectSource(tree, pattern, source.select));
  };
  /** What was selected of a stage for the key: a step that runs then need not walk it again. Not kept longer. */
  let walked: { readonly chain: ChainResult; readonly sources: readonly SelectedSource[] } | undefined;
  const takeStage = (chain: ChainResult, signal: AbortSignal): Promise<readonly SelectedSource[]> => {
    const sources = walked?.chain === chain ? walked.sources : undefined;
    walked = undefined;
    return sources ? Promise.resolve(sources) : selectStage(chain, signal);
  };
  /** The layer, where it was written while its files were digested for the key. */
  let early: EarlyLayer | undefined;
  const startEarly = async (
    [source, ...more]: readonly SelectedSource[],
    context: KeyContext<ChainResult> | undefined,
    signal: AbortSignal,
  ): Promise<EarlyLayer | undefined> => {
    if (!source || more.length > 0 || (source.unpack && source.entry.type !== 'directory')) return undefined;
    // What was copied before may be found again, which must not write it once more.
    if (!context || !isUnknown(source) || (await findFormer(source))?.known) return undefined;
    const inputs = await context.inputs();
    if (!inputs) return undefined;
    return copyEarly(source, belowOf(inputs), destination, factsOn, step.epoch, services, signal);
  };
  const factsWith = async (read: ReadText | undefined): Promise<CopyFacts> => ({
    owner: chown === undefined || chown === '' ? undefined : await resolveOwner(chown, read),
    mode: step.mode,
  });
  const factsOn = (view: TreeView): Promise<CopyFacts> =>
    factsWith(view.chain.length > 0 ? textReader(view) : undefined);
  const findFormer = (source: SelectedSource | undefined): Promise<FormerLayer | undefined> =>
    FormerLayer.find(source, destination, step.caching === 'use', services);
  return {
    id: step.id,
    name: step.name,
    caching: step.caching,
    online: source.kind === 'outside' && source.online,
    inputs: [
      ...(parent ? [{ vertex: parent }] : []),
      ...(stage && source.kind === 'stage'
        ? [
            {
              vertex: stage,
              content: {
                selector: { patterns: source.patterns, ...source.select, where: undefined },
                digest: async (chain: ChainResult, signal: AbortSignal) => {
                  walked = { chain, sources: await selectStage(chain, signal) };
                  return (selected = await selectionDigest(walked.sources, signal));
                },
              },
            },
          ]
        : []),
    ],
    key: async (signal, context): Promise<KeyParts> => {
      const operation = {
        kind: 'copy',
        version: 4,
        destination,
        chown: chown ?? '',
        chmod: chmod ?? '',
        link,
        ...form,
        ...(step.epoch === undefined ? {} : { epoch: step.epoch }),
      };
      if (source.kind !== 'outside') {
        const { heredocs } = source;
        return heredocs.length === 0
          ? { operation }
          : { operation, content: { heredocs: await selectionDigest(heredocs) } };
      }
      const found = await findOutside(signal);
      early ??= await startEarly(found, context, signal);
      if (!early) checkRoom(found, services.store.root);
      selected = await selectionDigest(found, signal);
      services.selections?.set(selected, () => selectionFacts(found));
      return { operation, content: { source: selected } };
    },
    run: async (inputs, { signal }) => {
      const below = belowOf(inputs);
      const from = inputs[parent ? 1 : 0];
      const found = from && stage ? await takeStage(from, signal) : await findOutside(signal);
      const sources = source.kind === 'stage' ? [...found, ...source.heredocs] : found;
      const [only] = sources.length === 1 ? sources : [];
      const former = await findFormer(only);
      /** What the layer is made of besides the selection. */
      const foundation = async (): Promise<Digest> => {
        const chain = parent ? await usableChain(below, signal) : [];
        return digestOf(canonicalJson({ chain, chown: chown ?? '', chmod: chmod ?? '', link, ...form }));
      };
      const write = async ({ view, read, chain }: Planned): Promise<{ layer: LayerInfo; now: number }> => {
        const plan = (now = Math.floor(services.now() / 1000)): TargetTree => new TargetTree(view, now);
        const facts = await factsWith(read);
        // On layers that are not written yet there is nothing to compare.
        const amended =
          early || !chain || below.windows
            ? undefined
            : await former?.amended(await foundation(), plan, destination, facts, signal);
        if (amended) return amended;
        const target = plan();
        if (early && isDeepStrictEqual(early.below, chain)) return { layer: await early.install(), now: target.now };
        let entries: Iterable<LayerEntry> | undefined;
        for (const one of sources) {
          if (one.unpack) {
            const { planUnpack } = await import('../copy/unpack.js');
            if (await planUnpack(target, one, destination, facts, services.store, signal)) continue;
          }
          await learnDigests(one, signal);
          if (one === only) entries = copyEntries(target, one, destination, facts);
          else planCopy(target, one, destination, facts);
        }
        const written = layerEntries(below, entries ?? target.entries(), view, step.epoch ?? target.now);
        const layer = await services.store.layers.write(written, signal, former?.diffId);
        return { layer, now: target.now };
      };
      const paths = (): OutlinePath[] | undefined => {
        const asked = copyPaths(sources, destination);
        return asked && chown ? [...asked, ...USER_FILES] : asked;
      };
      const note = async (): Promise<LikeNote | undefined> => {
        selected ??= await selectionDigest(found, signal);
        const { journal } = services.store;
        const facts = (): SelectedFact[] => selectionFacts(found);
        return noteSelection(journal, selected, facts, selectionSize(found), former?.likeNote);
      };
      // A worker writes meanwhile.
      const [{ layer, now }, noted] = await bothEnded(planOn(below, paths, services, signal, write), note());
      const replaced = foundation().then((on) => former?.replace(layer.diffId, on, now, noted));
      if (below.layers.some((one) => one.outline)) {
        // Only a hint for later builds: whoever needs the layers below is told of what became of them.
        const tried = replaced.catch(() => undefined);
        services.onCleanup(() => tried);
      } else await replaced;
      return withLayer(below, storedLayer(layer.diffId));
    },
  };
}
