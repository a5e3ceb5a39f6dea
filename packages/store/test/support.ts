import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { isStrakeError } from '@strake/core';

import type { LayerEntry } from '../src/index.js';
import { openStore } from '../src/index.js';
import type { FileStore } from '../src/store.js';

/** Runs TEST with a new store, which is gone afterwards. */
export async function withStore<T>(test: (store: FileStore) => Promise<T>): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), 'strake-store-'));
  const store = await openStore({ root });
  try {
    return await test(store);
  } finally {
    await store.close();
    rmSync(root, { recursive: true, force: true });
  }
}

/** A folder that is gone after TEST. */
export async function withFolder<T>(test: (path: string) => Promise<T> | T): Promise<T> {
  const path = mkdtempSync(join(tmpdir(), 'strake-test-'));
  try {
    return await test(path);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

export const folder = (path: string, more: object = {}): LayerEntry => ({
  path,
  type: 'directory',
  mode: 0o755,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 1000,
  ...more,
});

export const file = (path: string, text: string, more: object = {}): LayerEntry => {
  const bytes = Buffer.from(text, 'utf8');
  const content = { kind: 'bytes', bytes } as const;
  return { path, type: 'file', mode: 0o644, uid: 0, gid: 0, size: bytes.length, mtime: 1000, content, ...more };
};

export const link = (path: string, target: string, more: object = {}): LayerEntry => ({
  path,
  type: 'symlink',
  mode: 0o777,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 1000,
  link: target,
  ...more,
});

export const hardlink = (path: string, target: string): LayerEntry => ({
  path,
  type: 'hardlink',
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 1000,
  link: target,
});

export const whiteout = (path: string): LayerEntry => ({ path, type: 'whiteout' });

/** For assert.rejects: a StrakeError of this code, whose message matches. */
export function failsWith(code: string, message?: RegExp): (error: unknown) => true {
  return (error) => {
    if (!isStrakeError(error, code)) throw error;
    if (message && !message.test(error.message))
      throw new Error(`"${error.message}" does not match ${String(message)}`);
    return true;
  };
}
