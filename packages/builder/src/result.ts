import { setImmediate } from 'node:timers/promises';

import { digestOf, type ByteStream, type Descriptor, type Digest, type ImageReference } from '@strake/core';
import type { LayerOutline, OutlinePath, Store } from '@strake/store';

import type { Sandbox } from './services.js';

/** Where a layer of a base image comes from, while the store need not have its bytes. */
export interface LayerOrigin {
  readonly descriptor: Descriptor;
  /** Set for layers that a registry has: pushes there can mount them. */
  readonly reference?: ImageReference | undefined;
  fetch(signal?: AbortSignal): ByteStream;
}

/** A layer of a step's result. */
export interface LayerRef {
  /** What the snapshotter takes as a parent: known at once, also while the layer is still being written. */
  readonly parent: Digest | { readonly snapshot: string };
  /** Absent for layers that were built here. */
  readonly origin?: LayerOrigin | undefined;
  /** The diff ID; waits for the layer to be written. */
  diffId(): Promise<Digest>;
  /** Makes index and tar of the layer available: downloads and decompresses a base image's layer. */
  usable(signal?: AbortSignal): Promise<void>;
  /** Of a layer that is still being written: what it has at some paths; undefined where that cannot be told yet. */
  outline?: (paths: readonly OutlinePath[], signal?: AbortSignal) => Promise<LayerOutline | undefined>;
}

/** What every vertex of a build results in: a chain of layers, lowest first. Empty for `scratch`. */
export interface ChainResult {
  readonly layers: readonly LayerRef[];
  /** Whether they are layers of an image for Windows: the tree is what lies in their folder `Files`, and so are further layers. */
  readonly windows?: boolean | undefined;
}

export const EMPTY_CHAIN: ChainResult = { layers: [] };

/** BELOW with one more layer. */
export function withLayer(below: ChainResult, layer: LayerRef): ChainResult {
  return { ...below, layers: [...below.layers, layer] };
}

/** A layer that is in the store. */
export function storedLayer(diffId: Digest): LayerRef {
  return { parent: diffId, diffId: () => Promise.resolve(diffId), usable: () => Promise.resolve() };
}

/** A layer of a base image, fetched and decompressed when something reads it. */
export function baseLayer(store: Store, diffId: Digest, origin: LayerOrigin): LayerRef {
  let importing: Promise<unknown> | undefined;
  return {
    parent: diffId,
    origin,
    diffId: () => Promise.resolve(diffId),
    usable: async (signal) => {
      importing ??= store.layers.import(diffId, origin.descriptor, (s) => origin.fetch(s), signal);
      await importing;
    },
  };
}

/** A layer that SANDBOX makes from a frozen snapshot from now on, behind what is asked of it in this turn: the next step comes first. */
export function pendingLayer(snapshot: string, sandbox: Sandbox, signal: AbortSignal): LayerRef {
  const commit = setImmediate().then(() => sandbox.commit(snapshot, signal));
  const layer: LayerRef = {
    parent: { snapshot },
    diffId: async () => (await commit).diffId,
    usable: async () => {
      await commit;
    },
    outline: async (paths, signal) => {
      const index = await sandbox.outline(snapshot, paths, signal);
      return index && { id: digestOf(`snapshot ${snapshot}`), index };
    },
  };
  commit.then(
    () => delete layer.outline,
    () => undefined,
  );
  return layer;
}

/** Diff IDs of all layers, lowest first, each usable. */
export async function usableChain(chain: ChainResult, signal?: AbortSignal): Promise<Digest[]> {
  const ids: Digest[] = [];
  for (const layer of chain.layers) {
    await layer.usable(signal);
    ids.push(await layer.diffId());
  }
  return ids;
}

/** What the snapshotter takes as the parent of a snapshot; layers of base images are made usable first. */
export async function parentOf(
  chain: ChainResult,
  signal?: AbortSignal,
): Promise<readonly (Digest | { readonly snapshot: string })[]> {
  for (const layer of chain.layers) if (layer.origin) await layer.usable(signal);
  return chain.layers.map((layer) => layer.parent);
}
