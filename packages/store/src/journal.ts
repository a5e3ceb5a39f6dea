import { mkdir } from 'node:fs/promises';

import { readJson, writeFileWhole } from './files.js';
import type { OwnHolder } from './holders.js';
import { fileNameOf, type StoreLayout } from './layout.js';
import type { Journal } from './types.js';

/** Notes as files, each replaced whole. Not synced: one that a power cut takes explains nothing, and nothing worse. */
export class FileJournal implements Journal {
  readonly #folder: string;
  readonly #holder: OwnHolder;

  constructor(layout: StoreLayout, holder: OwnHolder) {
    this.#folder = `${layout.root}/builds`;
    this.#holder = holder;
  }

  read(name: string): Promise<unknown> {
    return readJson(`${this.#folder}/${fileNameOf(name)}`);
  }

  async write(name: string, note: unknown): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const temporary = await this.#holder.temporaryPath('note');
    await writeFileWhole(`${this.#folder}/${fileNameOf(name)}`, JSON.stringify(note), temporary);
  }
}
