import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { errnoOf } from '@strake/core';

import { inUserNamespace } from './user-namespace.js';

interface CacheFile {
  readonly version: 1;
  /** Details of probes that went well. */
  readonly found: Readonly<Record<string, string>>;
}

/**
 * Answers of earlier probes. Only good ones are kept: what did not work is tried again, for it costs little and may have been
 * repaired. An answer holds for the same program, or file system of a folder, and the same kernel and kind of user.
 */
export class ProbeCache {
  readonly #file: string | undefined;
  #found: Record<string, string> | undefined;

  constructor(file: string | undefined) {
    this.#file = file;
  }

  async get(binary: string, name: string): Promise<string | undefined> {
    const [found, key] = [await this.#load(), await cacheKey(binary, name)];
    return key !== undefined && Object.hasOwn(found, key) ? found[key] : undefined;
  }

  /** Remembers DETAIL for BINARY, used as NAME. A cache that cannot be written is no failure: the next process probes again. */
  async set(binary: string, name: string, detail: string): Promise<void> {
    const [found, key] = [await this.#load(), await cacheKey(binary, name)];
    if (this.#file === undefined || key === undefined) return;
    found[key] = detail;
    const temporary = `${this.#file}.${process.pid}.tmp`;
    try {
      await fs.mkdir(path.dirname(this.#file), { recursive: true });
      await fs.writeFile(temporary, JSON.stringify({ version: 1, found } satisfies CacheFile));
      await fs.rename(temporary, this.#file);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
    }
  }

  async #load(): Promise<Record<string, string>> {
    this.#found ??= this.#file === undefined ? {} : await readCache(this.#file);
    return this.#found;
  }
}

async function readCache(file: string): Promise<Record<string, string>> {
  try {
    const content = JSON.parse(await fs.readFile(file, 'utf8')) as Partial<CacheFile> | null;
    if (content?.version !== 1 || !isObject(content.found)) return {};
    return Object.fromEntries(Object.entries(content.found).filter(([, detail]) => typeof detail === 'string'));
  } catch (error) {
    if (error instanceof SyntaxError || errnoOf(error) !== undefined) return {};
    throw error;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

async function cacheKey(binary: string, name: string): Promise<string | undefined> {
  try {
    const facts = await fs.stat(binary);
    const what = facts.isDirectory() ? [facts.dev] : [facts.mtimeMs, facts.size];
    return [name, binary, ...what, os.release(), inUserNamespace() ? 'user namespace' : 'root'].join('|');
  } catch (error) {
    if (errnoOf(error) !== undefined) return undefined;
    throw error;
  }
}
