import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';

import type { Digest } from '@strake/core';

import { readJsonNow, syncData, unlessMissing, writeFileWhole } from './files.js';
import { bootId, judgeHolders, listHolders, type OwnHolder } from './holders.js';
import { isOfThisBoot, type LayerFacts } from './layer/layer-facts.js';
import { blobPath, layerPath, type StoreLayout } from './layout.js';
import type { Locks } from './locks.js';

/** Where the boot stands in which the store was last looked through. */
const bootFile = (layout: StoreLayout): string => `${layout.root}/boot`;

/** Notes that nothing in the store is older than this boot of the machine, or was looked through in it. */
export function noteBoot(layout: StoreLayout, temporary: string): Promise<void> {
  return writeFileWhole(bootFile(layout), bootId(), temporary);
}

function isSameBoot(layout: StoreLayout): boolean {
  try {
    return readFileSync(bootFile(layout), 'utf8') === bootId();
  } catch {
    return false;
  }
}

/** Whether a process on another machine, or one of before the boot that has not been silent for long, holds something. */
function hasForeignHolders(layout: StoreLayout): boolean {
  const { alive } = judgeHolders(layout);
  const boot = bootId();
  return listHolders(layout).some(({ file, holder }) => alive.has(file) && holder && holder.boot !== boot);
}

async function hasDigest(path: string, digest: Digest): Promise<boolean> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return `sha256:${hash.digest('hex')}` === digest;
}

/** Of a layer that was not on the disk when the power went nothing stays but a tar that is right all the same. */
async function judgeLayer(layout: StoreLayout, diffId: Digest): Promise<void> {
  const path = blobPath(layout, diffId);
  const right = await unlessMissing(hasDigest(path, diffId));
  if (right) await syncData(path);
  else await rm(path, { force: true });
  for (const name of ['info', 'index']) await rm(`${layerPath(layout, diffId)}/${name}`, { force: true });
}

/**
 * Once in a boot of the machine, before anything is read: takes layers away whose files were not yet on the disk when it began. Where
 * somebody of another boot may be alive that is left to a later time; until then such layers count as missing.
 */
export async function recoverFromPowerCut(layout: StoreLayout, own: OwnHolder, locks: () => Locks): Promise<void> {
  if (isSameBoot(layout) || hasForeignHolders(layout)) return;
  const lock = await locks().acquire('boot');
  try {
    if (isSameBoot(layout)) return;
    for (const hex of (await unlessMissing(readdir(layout.layers))) ?? []) {
      const facts = readJsonNow(`${layout.layers}/${hex}/info`) as LayerFacts | undefined;
      if (facts && !isOfThisBoot(facts)) await judgeLayer(layout, `sha256:${hex}`);
    }
    await noteBoot(layout, own.temporaryPath('boot'));
  } finally {
    await lock.release();
  }
}
