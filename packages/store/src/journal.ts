import { hexOf, makeFolderNow, type Digest } from '@strake/core';

import { readJson, sizeNow, writeFileWhole } from './files.js';
import type { OwnHolder } from './holders.js';
import { journalFolder, notePath, type StoreLayout } from './layout.js';
import type { Journal } from './types.js';

/** How names of files with facts begin. */
export const FACTS = 'facts-';

/**
 * Notes as files, each replaced whole. Not synced: one that a power cut takes explains nothing, and nothing worse. What is too old
 * or too much goes with collections (`gc/journal.ts`).
 */
export class FileJournal implements Journal {
  readonly #layout: StoreLayout;
  readonly #folder: string;
  readonly #holder: OwnHolder;

  constructor(layout: StoreLayout, holder: OwnHolder) {
    this.#layout = layout;
    this.#folder = journalFolder(layout);
    this.#holder = holder;
  }

  #factsPath(digest: Digest): string {
    return `${this.#folder}/${FACTS}${hexOf(digest)}`;
  }

  read(name: string): Promise<unknown> {
    return readJson(notePath(this.#layout, name));
  }

  write(name: string, note: unknown): Promise<void> {
    return this.#write(notePath(this.#layout, name), note);
  }

  facts(digest: Digest): Promise<unknown> {
    return readJson(this.#factsPath(digest));
  }

  hasFacts(digest: Digest): Promise<boolean> {
    return Promise.resolve(sizeNow(this.#factsPath(digest)) !== undefined);
  }

  writeFacts(digest: Digest, facts: unknown): Promise<void> {
    return this.#write(this.#factsPath(digest), facts);
  }

  async #write(path: string, value: unknown): Promise<void> {
    makeFolderNow(this.#folder, 0o700);
    await writeFileWhole(path, JSON.stringify(value), this.#holder.temporaryPath('note'));
  }
}
