import { errnoOf, StrakeError } from '@strake/core';
import fs from 'node:fs';

import type { SecretSource } from './types.js';

/** Largest secret, as in BuildKit. */
const LIMIT = 500 << 10;

/**
 * Looks up secrets by id. Values are read when a step asks for them, and kept nowhere.
 * @throws StrakeError (at once) `SECRET_INVALID` where a source cannot be read
 */
export function createSecrets(
  sources: readonly SecretSource[],
  env: NodeJS.ProcessEnv,
): (id: string) => Promise<Uint8Array | undefined> {
  const byId = new Map(sources.map((source) => [source.id, source] as const));
  return async (id) => {
    const source = byId.get(id);
    if (!source) return undefined;
    const value = await valueOf(source, env);
    if (value && value.length > LIMIT) {
      throw new StrakeError({
        code: 'SECRET_INVALID',
        message: `secret ${id} is larger than ${LIMIT >> 10} KiB`,
        hint: 'Mount large files with --mount=type=bind from a --build-context.',
      });
    }
    return value;
  };
}

async function valueOf(source: SecretSource, env: NodeJS.ProcessEnv): Promise<Uint8Array | undefined> {
  if (source.value) return source.value;
  if (source.env !== undefined) {
    const text = env[source.env];
    return text === undefined ? undefined : Buffer.from(text);
  }
  if (source.file === undefined) {
    const text = env[source.id];
    return text === undefined ? undefined : Buffer.from(text);
  }
  try {
    return await readUpTo(source.file, LIMIT + 1);
  } catch (error) {
    throw new StrakeError({
      code: 'SECRET_INVALID',
      message: `secret ${source.id}: cannot read "${source.file}": ${errnoOf(error) ?? 'error'}`,
      hint: 'Check the path given with --secret.',
      cause: error,
    });
  }
}

/** The first LIMIT bytes of what may be a pipe of the shell, or a device without end. */
async function readUpTo(path: string, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of fs.createReadStream(path) as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= limit) break;
  }
  return Buffer.concat(chunks);
}
