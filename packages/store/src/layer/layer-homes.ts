import { hexOf, makeFolderNow, type Digest } from '@strake/core';

import { readJson, writeFileWhole } from '../files.js';
import type { OwnHolder } from '../holders.js';
import { layerPath, type StoreLayout } from '../layout.js';

/** Repositories remembered a blob; the ones seen last are kept. */
const LIMIT = 8;

/** The start of the names of files that say where a layer's blob can be had. */
export const HOMES = 'from-';

/** Which repositories have a blob of a layer, in a file beside the layer's facts: what need not be downloaded is found again. */
export class LayerHomes {
  readonly #layout: StoreLayout;
  readonly #holder: OwnHolder;

  constructor(layout: StoreLayout, holder: OwnHolder) {
    this.#layout = layout;
    this.#holder = holder;
  }

  #path(diffId: Digest, digest: Digest): string {
    return `${layerPath(this.#layout, diffId)}/${HOMES}${hexOf(digest).slice(0, 20)}`;
  }

  async list(diffId: Digest, digest: Digest): Promise<readonly string[]> {
    const found = await readJson(this.#path(diffId, digest));
    return Array.isArray(found) ? found.filter((name): name is string => typeof name === 'string') : [];
  }

  async add(diffId: Digest, digest: Digest, repository: string): Promise<void> {
    const known = await this.list(diffId, digest);
    if (known[0] === repository) return;
    const names = [repository, ...known.filter((name) => name !== repository)].slice(0, LIMIT);
    makeFolderNow(layerPath(this.#layout, diffId), 0o700);
    await writeFileWhole(this.#path(diffId, digest), JSON.stringify(names), this.#holder.temporaryPath('homes'));
  }
}
