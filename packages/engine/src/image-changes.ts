import { hasEscapedBytes, type Digest } from '@strake/core';
import type { EntryFacts, Store, TreeView, ViewEntry } from '@strake/store';

import type { TreeChange } from './container-changes.js';

/** What a container has at a path instead of what its image had; `unknown` where it was to be changed and may not have been. */
export type Brought = ComparedFacts | 'removed' | 'unknown';

type ComparedFacts = EntryFacts & { readonly digest?: Digest | undefined };

/**
 * What makes the tree of the chain BEFORE that of the chain AFTER, in an order in which it can be made; undefined where that cannot
 * be told from what their different layers hold. BROUGHT: what is no longer as in BEFORE, by path.
 */
export async function imageChanges(
  store: Store,
  before: readonly Digest[],
  after: readonly Digest[],
  brought: ReadonlyMap<string, Brought> = new Map(),
): Promise<readonly TreeChange[] | undefined> {
  const same = commonLength(before, after);
  const [old, now] = [await store.layers.view(before), await store.layers.view(after)];
  const removed: TreeChange[] = [];
  const put: TreeChange[] = [];
  const seen = new Set<string>();
  const has = (path: string): ComparedFacts | undefined => {
    const one = brought.get(path);
    return one === undefined || one === 'unknown' ? old.lookup(path) : one === 'removed' ? undefined : one;
  };
  const isSame = (is: ViewEntry): boolean => {
    const was = has(is.path);
    return was !== undefined && brought.get(is.path) !== 'unknown' && equal(was, is);
  };
  for (const entry of tail(await store.layers.view(after.slice(same)))) {
    seen.add(entry.path);
    if (hasEscapedBytes(entry.path)) return undefined;
    const is = now.lookup(entry.path);
    if (!is) return undefined;
    const was = has(entry.path);
    if (was && was.type === 'directory' && is.type !== 'directory') removed.push({ kind: 'remove', path: entry.path });
    if (!isSame(is)) put.push(change(is, now, store));
  }
  for (const { path } of tail(await store.layers.view(before.slice(same)))) {
    if (seen.has(path)) continue;
    if (hasEscapedBytes(path)) return undefined;
    const is = now.lookup(path);
    seen.add(path);
    if (!is) removed.push({ kind: 'remove', path });
    else if (!isSame(is)) put.push(change(is, now, store));
  }
  for (const path of brought.keys()) {
    if (seen.has(path)) continue;
    const is = now.lookup(path);
    if (!is) removed.push({ kind: 'remove', path });
    else if (!isSame(is)) put.push(change(is, now, store));
  }
  put.sort((a, b) => (pathOf(a) < pathOf(b) ? -1 : 1));
  return [...removed, ...put];
}

/** How many layers two chains have in common from the lowest up. */
export function commonLength(a: readonly Digest[], b: readonly Digest[]): number {
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  return same;
}

function* tail(view: TreeView): Generator<ViewEntry> {
  for (const entry of view.walk('')) if (entry.path !== '') yield entry;
}

function pathOf(one: TreeChange): string {
  return one.kind === 'remove' ? one.path : one.facts.path;
}

function equal(a: ComparedFacts, b: ComparedFacts): boolean {
  return (
    a.type === b.type &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.size === b.size &&
    a.mtime === b.mtime &&
    a.digest === b.digest &&
    a.link === b.link &&
    a.device?.major === b.device?.major &&
    a.device?.minor === b.device?.minor &&
    JSON.stringify(a.xattrs ?? {}) === JSON.stringify(b.xattrs ?? {})
  );
}

function change(entry: ViewEntry, view: TreeView, store: Store): TreeChange {
  const { path, type, mode, uid, gid, size, mtime, link, device, xattrs } = entry;
  const facts = { path, type, mode, uid, gid, size, mtime, link, device, xattrs };
  if (type !== 'file') return { kind: 'put', facts };
  const source = view.source(entry);
  if (source.kind === 'bytes') return { kind: 'put', facts, content: { bytes: source.bytes } };
  if (source.kind === 'file') throw new Error('a layer has no files of its own');
  return {
    kind: 'put',
    facts,
    content: { file: store.blobs.path(source.blob), offset: source.offset, segments: source.segments },
  };
}

/** Whether two image configs differ in nothing that a running container was started with. */
export function sameRuntime(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
