import { readdir, readFile, readlink, rm, stat } from 'node:fs/promises';

import { unheldMounts } from './cache-mounts.js';
import { unlessMissing } from './files.js';
import { bootId, judgeHolders } from './holders.js';
import type { StoreLayout } from './layout.js';
import { HOMES } from './layer/layer-homes.js';
import { REMOVED_MOUNT } from './gc/removed-mount.js';
import { parseNote } from './snapshot/notes.js';
import type { Leftover } from './types.js';

/** Milliseconds after which an unfinished layer is nobody's. */
const UNFINISHED = 3_600_000;

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

/** A file or folder of `snapshots` with what stands in the note of its snapshot. */
interface Noted {
  readonly name: string;
  readonly id: string;
  readonly holder: string | undefined;
}

async function listSnapshots(layout: StoreLayout): Promise<Noted[]> {
  return Promise.all(
    (await names(layout.snapshots)).map(async (name) => {
      const [id = ''] = name.split('.');
      const note = parseNote(await unlessMissing(readFile(`${layout.snapshots}/${id}.note`, 'utf8')));
      return { name, id, holder: note?.holder };
    }),
  );
}

async function leftoverSnapshots(
  layout: StoreLayout,
  all: readonly Noted[],
  alive: ReadonlySet<string>,
): Promise<Leftover[]> {
  const found: Leftover[] = [];
  const { trees, stale } = await linkedTrees(layout);
  for (const path of stale)
    found.push({ path, what: 'a link to an unpacked layer of an earlier boot', privileged: false });
  for (const { name, id, holder } of all) {
    const path = `${layout.snapshots}/${name}`;
    if (id === 'empty' || (holder !== undefined && alive.has(holder))) continue;
    if (trees.has(id) && !name.endsWith('.note')) continue;
    found.push({ path, what: 'a snapshot that nothing uses', privileged: !name.endsWith('.note') });
  }
  return found;
}

/** Folders of layers that were never finished. Facts are written last, so only what has been there for a while counts. */
async function leftoverLayers(layout: StoreLayout): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const name of await names(layout.layers)) {
    const path = `${layout.layers}/${name}`;
    const files = await names(path);
    if (files.includes('info') || files.some((file) => file.startsWith('blob-') || file.startsWith(HOMES))) continue;
    const facts = await unlessMissing(stat(path));
    if (facts && Date.now() - facts.mtimeMs > UNFINISHED) {
      found.push({ path, what: 'a layer without facts', privileged: false });
    }
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
  // What there is comes first, who lives second, links last: what another process makes meanwhile is never taken for dead.
  const temporary = options.quick ? [] : await names(layout.tmp);
  const snapshots = options.quick ? [] : await listSnapshots(layout);
  const { alive, dead } = judgeHolders(layout);
  alive.add(own);
  if (options.quick && dead.size === 0) return [];
  const found: Leftover[] = [];
  for (const name of options.quick ? await names(layout.tmp) : temporary) {
    const [holder = ''] = name.split('.');
    if (options.quick ? dead.has(holder) : !alive.has(holder)) {
      found.push({ path: `${layout.tmp}/${name}`, what: 'a temporary file', privileged: false });
    }
  }
  if (!options.quick) {
    const removed = (await names(layout.mounts)).filter((name) => name.startsWith(REMOVED_MOUNT));
    for (const path of unheldMounts(layout, removed)) {
      found.push({ path, what: 'a cache mount that was removed', privileged: true });
    }
    found.push(...(await leftoverLayers(layout)));
    found.push(...(await leftoverSnapshots(layout, snapshots, alive)));
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
