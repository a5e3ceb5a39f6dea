import { canonicalJson, digestOf, type Digest } from '@strake/core';
import type { Input, Vertex } from '@strake/solver';

import { selectSource, type SelectOptions } from '../copy/select.js';
import { selectionDigest, selectionFacts, selectionSize, unnamed } from '../copy/selection.js';
import { builderError } from '../errors.js';
import { noteSelection } from '../explain/selection-notes.js';
import type { SelectedFact } from '../explain/types.js';
import { parentOf, type ChainResult } from '../result.js';
import type { BuilderServices, ParentChain, StepMount } from '../services.js';
import { chainView } from '../tree/chain-view.js';
import { layerTree } from '../tree/layer-tree.js';
import { treePath } from '../tree/paths.js';
import type { SourceTree } from '../tree/source-tree.js';
import { contextLayer } from './context-layer.js';

/** Where a bind or cache mount takes its content from: a step's result, or a local context. */
export type MountFrom =
  | { readonly kind: 'stage'; readonly vertex: Vertex<ChainResult>; readonly where: string }
  | { readonly kind: 'context'; readonly tree: () => Promise<SourceTree>; readonly where: string };

/** A `--mount` with its target made absolute and its source looked up. */
export type RunMountPlan =
  | {
      readonly kind: 'bind';
      readonly target: string;
      readonly from: MountFrom;
      readonly source: string;
      readonly readOnly: boolean;
    }
  | {
      readonly kind: 'cache';
      readonly target: string;
      /** With its namespace. */
      readonly id: string;
      readonly sharing: 'shared' | 'private' | 'locked';
      readonly from: MountFrom | undefined;
      readonly source: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly readOnly: boolean;
    }
  | {
      readonly kind: 'tmpfs';
      readonly target: string;
      readonly size: number | undefined;
      readonly readOnly: boolean;
    }
  | {
      readonly kind: 'secret';
      readonly id: string;
      readonly target: string | undefined;
      readonly env: string | undefined;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | {
      readonly kind: 'ssh';
      readonly id: string;
      readonly target: string;
      /** Name of the variable that tells the socket. */
      readonly env: string | undefined;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

const SELECT: Omit<SelectOptions, 'where'> = { exclude: [], parents: false, unpack: false, literal: true };

/** Mounts that read a step's result, in the order in which `mountInputs` lists them. */
function stageMounts(mounts: readonly RunMountPlan[]): { mount: RunMountPlan; vertex: Vertex<ChainResult> }[] {
  return mounts.flatMap((mount) =>
    (mount.kind === 'bind' || mount.kind === 'cache') && mount.from?.kind === 'stage'
      ? [{ mount, vertex: mount.from.vertex }]
      : [],
  );
}

/** The graph's edges that mounts need. A mount of a part counts with that part's content, one of a whole tree with its identity. */
export function mountInputs(mounts: readonly RunMountPlan[], services: BuilderServices): Input<ChainResult>[] {
  return stageMounts(mounts).map(({ mount, vertex }) => {
    const source = 'source' in mount ? treePath(mount.source) : '';
    if (source === '') return { vertex };
    return {
      vertex,
      content: {
        selector: { kind: 'mount', source },
        digest: async (chain, signal) => {
          const tree = layerTree(await chainView(chain, services.store, signal));
          const sources = unnamed(selectSource(tree, source, { ...SELECT, where: 'the stage' }));
          const digest = await selectionDigest(sources, signal);
          const facts = (): SelectedFact[] => selectionFacts(sources);
          await noteSelection(services.store.journal, digest, facts, selectionSize(sources));
          return digest;
        },
      },
    };
  });
}

async function contextDigest(
  from: Extract<MountFrom, { kind: 'context' }>,
  source: string,
  signal: AbortSignal,
): Promise<Digest> {
  const sources = unnamed(selectSource(await from.tree(), source, { ...SELECT, where: from.where }));
  return selectionDigest(sources, signal);
}

/** A mount's part of its step's key. */
export async function mountKey(
  mount: RunMountPlan,
  signal: AbortSignal,
): Promise<{ operation: Readonly<Record<string, unknown>>; content?: Digest }> {
  switch (mount.kind) {
    case 'bind': {
      const { kind, target, readOnly, from } = mount;
      if (from.kind === 'stage') return { operation: { kind, target, readOnly } };
      return { operation: { kind, target, readOnly }, content: await contextDigest(from, mount.source, signal) };
    }
    case 'cache': {
      const { kind, target, readOnly, from, source } = mount;
      // What it starts from counts, what steps have made of it does not.
      const content = from?.kind === 'context' ? await contextDigest(from, source, signal) : undefined;
      return { operation: { kind, target, readOnly }, ...(content && { content }) };
    }
    case 'tmpfs': {
      const { kind, target, size, readOnly } = mount;
      return { operation: { kind, target, ...(size ? { size } : {}), ...(readOnly && { readOnly }) } };
    }
    case 'secret':
    case 'ssh': {
      const { kind, id, target, env, mode, uid, gid } = mount;
      return { operation: { kind, id, target: target ?? '', env: env ?? '', mode, uid, gid } };
    }
  }
}

interface PreparedMounts {
  readonly mounts: readonly StepMount[];
  /** Variables that mounts add: secrets with `env=`, the agent's socket. */
  readonly env: readonly string[];
  release(): Promise<void>;
}

/** Makes everything ready that a step mounts; RENEW: cache mounts start empty. @throws StrakeError `SECRET_MISSING`, `COPY_SOURCE_NOT_FOUND` */
export async function prepareMounts(
  plans: readonly RunMountPlan[],
  results: readonly ChainResult[],
  services: BuilderServices,
  renew: boolean,
  signal: AbortSignal,
): Promise<PreparedMounts> {
  const mounts: StepMount[] = [];
  const env: string[] = [];
  const releases: (() => Promise<void>)[] = [];
  const chains = new Map(stageMounts(plans).map(({ mount }, i) => [mount, results[i]] as const));
  const tree = async (
    plan: RunMountPlan,
    from: MountFrom,
    source: string,
  ): Promise<{ chain: ParentChain; path: string }> => {
    if (from.kind === 'context') return contextLayer(await from.tree(), source, from.where, services, signal);
    const result = chains.get(plan) ?? { layers: [] };
    // Layers for Windows are no tree as they lie there.
    if (result.windows) {
      const windows = layerTree(await chainView(result, services.store, signal));
      return contextLayer(windows, source, from.where, services, signal);
    }
    // A whole tree needs no index: the snapshot that its layer is still written from will do.
    if (treePath(source) === '' && plan.kind === 'bind') return { chain: await parentOf(result, signal), path: '/' };
    const view = await chainView(result, services.store, signal);
    const path = view.resolve(treePath(source));
    if (!view.lookup(path))
      throw builderError('COPY_SOURCE_NOT_FOUND', `"/${treePath(source)}": not found in ${from.where}`);
    return { chain: view.chain, path: `/${path}` };
  };
  const prepare = async (plan: RunMountPlan): Promise<void> => {
    switch (plan.kind) {
      case 'bind': {
        const found = await tree(plan, plan.from, plan.source);
        mounts.push({ kind: 'layers', target: plan.target, ...found, readOnly: plan.readOnly });
        return;
      }
      case 'cache': {
        const { target, mode, uid, gid, readOnly } = plan;
        const base = plan.from && (await tree(plan, plan.from, plan.source));
        // A cache that starts from other content is another cache.
        const id = base ? `${plan.id}\n${digestOf(canonicalJson(base))}` : plan.id;
        const held = await holdCache(id, plan.sharing, services, signal);
        releases.push(held.release);
        const { folder } = held;
        const renewNow = renew && !services.renewedCaches.has(folder);
        if (renewNow) services.renewedCaches.add(folder);
        // Without a base the source is a part of the cache itself.
        const path = base ? undefined : treePath(plan.source) || undefined;
        mounts.push({ kind: 'cache', target, folder, path, base, mode, uid, gid, readOnly, renew: renewNow });
        return;
      }
      case 'tmpfs':
        mounts.push({ kind: 'tmpfs', target: plan.target, size: plan.size, readOnly: plan.readOnly });
        return;
      case 'secret': {
        const content = await services.secret(plan.id, signal);
        if (!content && plan.required) {
          throw builderError('SECRET_MISSING', `secret ${plan.id}: not found`, {
            hint: `Give it to the build: --secret id=${plan.id},src=FILE or --secret id=${plan.id},env=NAME.`,
          });
        }
        if (plan.env !== undefined) env.push(`${plan.env}=${Buffer.from(content ?? []).toString('utf8')}`);
        const { target, mode, uid, gid } = plan;
        if (target !== undefined && content) mounts.push({ kind: 'file', target, content, mode, uid, gid });
        return;
      }
      case 'ssh': {
        const { uid, gid, mode } = plan;
        const socket = await services.sshSocket(plan.id);
        if (plan.env !== undefined) env.push(`${plan.env}=${plan.target}`);
        if (!socket) {
          if (!plan.required) return;
          throw builderError('SECRET_MISSING', `no SSH key "${plan.id}" was given to the build`, {
            hint: `Add --ssh ${plan.id} (and start an ssh-agent), or --ssh ${plan.id}=KEYFILE.`,
          });
        }
        releases.push(() => socket.close());
        mounts.push({ kind: 'socket', target: plan.target, source: socket.path, mode, uid, gid });
      }
    }
  };
  const release = async (): Promise<void> => {
    for (const free of releases.splice(0).reverse()) await free();
  };
  try {
    for (const plan of plans) await prepare(plan);
  } catch (error) {
    await release();
    throw error;
  }
  return { mounts, env, release };
}

/** The folder of a cache mount, held as its sharing mode asks: `locked` waits for others, `private` takes a folder of its own. */
async function holdCache(
  id: string,
  sharing: 'shared' | 'private' | 'locked',
  services: BuilderServices,
  signal: AbortSignal,
): Promise<{ folder: string; release: () => Promise<void> }> {
  const { store } = services;
  if (sharing === 'shared') return { folder: await store.cacheMounts.folder(id), release: () => Promise.resolve() };
  if (sharing === 'locked') {
    const lock = await store.lock(`mount ${id}`, signal);
    return { folder: await store.cacheMounts.folder(id), release: () => lock.release() };
  }
  for (let n = 0; ; n++) {
    const name = n === 0 ? id : `${id}#${n}`;
    const lock = await store.tryLock(`mount ${name}`);
    if (lock) return { folder: await store.cacheMounts.folder(name), release: () => lock.release() };
  }
}
