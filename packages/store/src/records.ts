import { utimesSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { errnoOf, makeFolderNow, type Digest } from '@strake/core';

import { readJson, readJsonNow, unlessMissing, writeFileWhole } from './files.js';
import type { OwnHolder } from './holders.js';
import { recordPath, type StoreLayout } from './layout.js';
import type { RecordStore } from './types.js';

const HEX = /^[0-9a-f]{64}$/;

/**
 * Records as JSON files below folders of two digits. The time of a file is that of its last use. They are not synced: a
 * record that a power cut takes, or cuts short, is a miss of the cache and nothing worse.
 */
export class FileRecords implements RecordStore {
  readonly #layout: StoreLayout;
  readonly #holder: OwnHolder;
  readonly #touched = new Set<Digest>();

  constructor(layout: StoreLayout, holder: OwnHolder) {
    this.#layout = layout;
    this.#holder = holder;
  }

  #path(key: Digest): string {
    return recordPath(this.#layout, key);
  }

  get<T>(key: Digest): Promise<T | undefined> {
    return new Promise((resolve) => resolve(readJsonNow(this.#path(key)) as T | undefined));
  }

  touch(key: Digest): void {
    this.#touched.add(key);
  }

  async put(key: Digest, record: unknown): Promise<void> {
    makeFolderNow(dirname(this.#path(key)), 0o700);
    await writeFileWhole(this.#path(key), JSON.stringify(record), this.#holder.temporaryPath('record'));
  }

  async remove(key: Digest): Promise<void> {
    await rm(this.#path(key), { force: true });
  }

  async *list(): AsyncGenerator<{ readonly key: Digest; readonly used: number; readonly record: unknown }> {
    for (const folder of (await unlessMissing(readdir(this.#layout.cache))) ?? []) {
      const path = `${this.#layout.cache}/${folder}`;
      for (const file of (await unlessMissing(readdir(path), ['ENOENT', 'ENOTDIR'])) ?? []) {
        if (!HEX.test(file)) continue;
        const facts = await unlessMissing(stat(`${path}/${file}`));
        const record = await readJson(`${path}/${file}`);
        if (facts && record !== undefined) yield { key: `sha256:${file}`, used: facts.mtimeMs, record };
      }
    }
  }

  /** Writes the times of what was touched. */
  flush(): void {
    const now = new Date();
    const keys = [...this.#touched];
    this.#touched.clear();
    for (const key of keys) {
      try {
        utimesSync(this.#path(key), now, now);
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
      }
    }
  }
}
