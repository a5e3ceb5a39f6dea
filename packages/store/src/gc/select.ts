import type { Digest } from '@strake/core';

import type { CacheItem, CacheSelection, Inventory } from './types.js';

/** Bytes that would be given back if the cache were emptied: what named images hold is none of it. */
export function cacheSize(inventory: Inventory, items: Iterable<CacheItem> = inventory.items): number {
  const named = new Set(inventory.images.flatMap(({ holds }) => holds));
  const counted = new Set<Digest>();
  let size = 0;
  for (const { holds, size: own } of items) {
    if (holds.length === 0) size += own;
    for (const digest of holds) {
      if (named.has(digest) || counted.has(digest)) continue;
      counted.add(digest);
      size += inventory.sizes.get(digest) ?? 0;
    }
  }
  return size;
}

function matches(item: CacheItem, selection: CacheSelection): boolean {
  const { all, before, types, ids, shared, descriptions } = selection;
  if (!all && shared === undefined && item.shared) return false;
  if (before !== undefined && item.used >= before) return false;
  if (types && !types.includes(item.type)) return false;
  if (ids && !ids.some((id) => item.id.replace(/^sha256:/, '').startsWith(id.replace(/^sha256:/, '')))) return false;
  if (shared !== undefined && item.shared !== shared) return false;
  return descriptions?.every((text) => item.description.includes(text)) ?? true;
}

/**
 * What is to be removed: all that matches, or, where some may stay, what was used last longest ago until the rest is small
 * enough. What stands on a step goes before the step.
 */
export function selectItems(inventory: Inventory, selection: CacheSelection): CacheItem[] {
  const found = inventory.items
    .filter((item) => matches(item, selection))
    .sort((a, b) => a.used - b.used || b.holds.length - a.holds.length || (a.id < b.id ? -1 : 1));
  const { keep } = selection;
  if (keep === undefined) return found;
  const named = new Set(inventory.images.flatMap(({ holds }) => holds));
  const holders = new Map<Digest, number>();
  for (const { holds } of inventory.items) for (const one of holds) holders.set(one, (holders.get(one) ?? 0) + 1);
  const { types } = selection;
  let size = cacheSize(
    inventory,
    inventory.items.filter(({ type }) => types?.includes(type) ?? true),
  );
  const removed: CacheItem[] = [];
  for (const item of found) {
    if (size <= keep) break;
    removed.push(item);
    if (item.holds.length === 0) size -= item.size;
    for (const digest of item.holds) {
      const left = (holders.get(digest) ?? 1) - 1;
      holders.set(digest, left);
      if (left === 0 && !named.has(digest)) size -= inventory.sizes.get(digest) ?? 0;
    }
  }
  return removed;
}
