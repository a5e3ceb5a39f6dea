import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of material that is shared between projects, where this machine has one. */
export function sharedFolder(): string | undefined {
  if (process.env.STRAKE_SHARED) return process.env.STRAKE_SHARED;
  for (let dir = dirname(fileURLToPath(import.meta.url)); dir !== dirname(dir); dir = dirname(dir)) {
    if (existsSync(join(dir, 'tsconfig.base.json'))) {
      const shared = join(dir, '..', 'shared');
      return existsSync(shared) ? shared : undefined;
    }
  }
  return undefined;
}

/** The path of an own fixture, next to the sources of the tests. */
export function fixture(...parts: string[]): string {
  return join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'test', 'fixtures', ...parts);
}

export function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}
