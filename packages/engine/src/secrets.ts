import { collect, errnoOf, isStrakeError, openPipe, readAtOnce, StrakeError } from '@strake/core';
import fs from 'node:fs';

import type { SecretSource } from './types.js';

/** Largest secret, as in BuildKit. */
const LIMIT = 500 << 10;

/** Checks, before anything is built, that the files of secrets are there, also of those that no step asks for. @throws StrakeError `SECRET_INVALID` */
export function checkSecretFiles(sources: readonly SecretSource[]): void {
  for (const source of sources) {
    try {
      if (source.file !== undefined && !source.value) fs.statSync(source.file);
    } catch (error) {
      throw unreadable(source, error);
    }
  }
}

/**
 * Looks up secrets by id. Values are read when a step asks for them, and kept nowhere.
 * @throws StrakeError (at once) `SECRET_INVALID` where a source cannot be read
 */
export function createSecrets(
  sources: readonly SecretSource[],
  env: NodeJS.ProcessEnv,
): (id: string, signal?: AbortSignal) => Promise<Uint8Array | undefined> {
  const byId = new Map(sources.map((source) => [source.id, source] as const));
  return async (id, signal) => {
    const source = byId.get(id);
    if (!source) return undefined;
    const value = await valueOf(source, env, signal);
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

async function valueOf(
  source: SecretSource,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  if (source.value) return source.value;
  // A variable that is not set gives an empty secret, as with BuildKit: builds without the real one go on.
  if (source.env !== undefined) return Buffer.from(env[source.env] ?? '');
  if (source.file === undefined) {
    const text = env[source.id];
    return text === undefined ? undefined : Buffer.from(text);
  }
  try {
    if (!fs.statSync(source.file).isFIFO()) return readAtOnce(source.file, LIMIT + 1);
    return await collect(await openPipe(source.file, 'read', { signal }), LIMIT, `secret ${source.id}`);
  } catch (error) {
    if (isStrakeError(error)) throw error;
    throw unreadable(source, error);
  }
}

function unreadable({ id, file = '' }: SecretSource, error: unknown): StrakeError {
  return new StrakeError({
    code: 'SECRET_INVALID',
    message: `secret ${id}: cannot read "${file}": ${reasonOf(error)}`,
    hint: 'Check the path given with --secret.',
    cause: error,
  });
}

const REASONS: Readonly<Record<string, string>> = {
  EAGAIN: 'nothing has been written to it',
  EISDIR: 'it is a folder',
  ENXIO: 'it is a socket, or a pipe that nobody writes to',
};

function reasonOf(error: unknown): string {
  const errno = errnoOf(error) ?? 'error';
  return REASONS[errno] ?? errno;
}
