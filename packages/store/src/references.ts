import { statSync, utimesSync } from 'node:fs';
import { rm } from 'node:fs/promises';

import { canonicalJson, isDigest, type Descriptor, type Digest } from '@strake/core';

import { namesNow, readJsonNow, syncFolder, writeFileWhole } from './files.js';
import type { OwnHolder } from './holders.js';
import { referencePath, type StoreLayout } from './layout.js';
import type { ImageRecord, ReferenceStore } from './types.js';

function parseRecord(value: unknown): ImageRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { name, target, updated, pulled } = value as Partial<ImageRecord>;
  if (typeof name !== 'string' || typeof updated !== 'number' || typeof target !== 'object') return undefined;
  return isDigest(target.digest) && typeof target.size === 'number'
    ? { name, target, updated, ...(pulled === true && { pulled }) }
    : undefined;
}

/** The record in a file. Where its image was set again, the file's time says when. */
function readRecord(path: string): ImageRecord | undefined {
  const record = parseRecord(readJsonNow(path));
  const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  return record && touched ? { ...record, updated: Math.max(record.updated, Math.floor(touched)) } : record;
}

/** Names of images, a file each. */
export class FileReferences implements ReferenceStore {
  readonly #layout: StoreLayout;
  readonly #holder: OwnHolder;
  readonly #secure: (image: Digest) => Promise<void>;

  /** SECURE brings an image to the disk: a name promises it. */
  constructor(layout: StoreLayout, holder: OwnHolder, secure: (image: Digest) => Promise<void>) {
    this.#layout = layout;
    this.#holder = holder;
    this.#secure = secure;
  }

  #path(name: string): string {
    return referencePath(this.#layout, name);
  }

  get(name: string): Promise<ImageRecord | undefined> {
    return new Promise((resolve) => resolve(this.#getNow(name)));
  }

  #getNow(name: string): ImageRecord | undefined {
    const record = readRecord(this.#path(name));
    return record?.name === name ? record : undefined;
  }

  async list(): Promise<readonly ImageRecord[]> {
    const files = namesNow(this.#layout.refs);
    const records = files.map((file) => readRecord(`${this.#layout.refs}/${file}`));
    return Promise.resolve(
      records.filter((record) => record !== undefined).sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)),
    );
  }

  async set(name: string, target: Descriptor, options: { readonly pulled?: boolean } = {}): Promise<void> {
    const before = this.#getNow(name);
    if (before && canonicalJson(before.target) === canonicalJson(target) && before.pulled === options.pulled) {
      // What a cached build does: to bring the same text to the disk again takes longer than all the rest of it.
      utimesSync(this.#path(name), new Date(), new Date());
      return;
    }
    await this.#secure(target.digest);
    const record: ImageRecord = { name, target, updated: Date.now(), ...(options.pulled && { pulled: true }) };
    const temporary = this.#holder.temporaryPath('ref');
    await writeFileWhole(this.#path(name), JSON.stringify(record), temporary, { durable: true });
  }

  async remove(name: string): Promise<boolean> {
    if (!(await this.get(name))) return false;
    await rm(this.#path(name), { force: true });
    await syncFolder(this.#layout.refs);
    return true;
  }
}
