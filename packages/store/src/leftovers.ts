import { readdir, readFile, readlink, rm } from 'node:fs/promises';

import { unlessMissing } from './files.js';
import { bootId, judgeHolders } from './holders.js';
import type { StoreLayout } from './layout.js';
import { parseNote } from './snapshot/notes.js';
import type { Leftover } from './types.js';

/** Names in a folder; none where it is missing. */
async function names(folder: string): Promise<string[]> {
  return (await unlessMissing(readdir(folder), ['ENOENT', 'ENOTDIR'])) ?? [];
}

/** Trees that a layer refers to, of this boot; links of other boots are worth nothing, since trees are not synced. */
async function linkedTrees(layout: StoreLayout): Promise<{ trees: Set<string>; stale: string[] }> {
  const trees = new Set<string>();
  const stale: string[] = [];
  const boot = bootId();
  for (const layer of await names(layout.layers)) {
    for (const name of await names(`${layout.layers}/${layer}`)) {
      if (!name.startsWith('tree-')) continue;
      const path = `${layout.layers}/${layer}/${name}`;
      const target = await unlessMissing(readlink(path), ['ENOENT', 'EINVAL']);
      if (target !== undefined && name.split('-').includes(boot)) trees.add(target.slice(target.lastIndexOf('/') + 1));
      else stale.push(path);
    }
  }
  return { trees, stale };
}

async function leftoverSnapshots(layout: StoreLayout, alive: ReadonlySet<string>): Promise<Leftover[]> {
  const found: Leftover[] = [];
  const { trees, stale } = await linkedTrees(layout);
  for (const path of stale)
    found.push({ path, what: 'a link to an unpacked layer of an earlier boot', privileged: false });
  for (const name of await names(layout.snapshots)) {
    const [id = ''] = name.split('.');
    const note = parseNote(await unlessMissing(readFile(`${layout.snapshots}/${id}.note`, 'utf8')));
    const path = `${layout.snapshots}/${name}`;
    if (note && alive.has(note.holder)) continue;
    if (name === 'empty' || (name === id && trees.has(id))) continue;
    found.push({ path, what: 'a snapshot that nothing uses', privileged: !name.endsWith('.note') });
  }
  return found;
}

/**
 * What processes that are gone have left in the store. With `quick` only what dead lease files lead to, which costs nothing
 * where there are none.
 */
export async function findLeftovers(
  layout: StoreLayout,
  own: string,
  options: { readonly quick?: boolean } = {},
): Promise<Leftover[]> {
  const { alive, dead } = await judgeHolders(layout);
  alive.add(own);
  if (options.quick && dead.size === 0) return [];
  const found: Leftover[] = [];
  for (const name of await names(layout.tmp)) {
    const [holder = ''] = name.split('.');
    if (options.quick ? dead.has(holder) : !alive.has(holder)) {
      found.push({ path: `${layout.tmp}/${name}`, what: 'a temporary file', privileged: false });
    }
  }
  if (!options.quick) {
    for (const name of await names(layout.layers)) {
      const files = await names(`${layout.layers}/${name}`);
      const whole = files.includes('info') || files.some((file) => file.startsWith('blob-'));
      if (!whole) found.push({ path: `${layout.layers}/${name}`, what: 'a layer without facts', privileged: false });
    }
    found.push(...(await leftoverSnapshots(layout, alive)));
  }
  for (const id of dead) {
    found.push({ path: `${layout.leases}/${id}`, what: 'a lease of a process that is gone', privileged: false });
  }
  return found;
}

/** Removes what {@link findLeftovers} finds and an ordinary process may remove; returns that. */
export async function removeLeftovers(
  layout: StoreLayout,
  own: string,
  options: { readonly quick?: boolean } = {},
): Promise<Leftover[]> {
  const removed: Leftover[] = [];
  for (const leftover of await findLeftovers(layout, own, options)) {
    if (leftover.privileged) continue;
    await rm(leftover.path, { recursive: true, force: true });
    removed.push(leftover);
  }
  return removed;
}
