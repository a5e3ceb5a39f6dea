import { isStrakeError, parseReference } from '@strake/core';
import { statSync } from 'node:fs';
import { isAbsolute } from 'node:path';

import { builderError } from '../errors.js';
import { contextNotFound, type ContextSource } from './context.js';

/**
 * Checks what `--build-context` gives, also what the Dockerfile does not use: a name could be one of an image, as buildx asks of it,
 * and a folder is there.
 * @throws StrakeError `ARGUMENT_INVALID`, `CONTEXT_NOT_FOUND`
 */
export function checkNamedContexts(contexts: ReadonlyMap<string, ContextSource>): void {
  for (const [name, source] of contexts) {
    const refusal = refusalOf(name);
    if (refusal !== undefined) {
      throw builderError('ARGUMENT_INVALID', `invalid context name ${name}: ${refusal}`, {
        hint: /[A-Z]/.test(name)
          ? 'Write it in small letters: in a Dockerfile it then stands for any spelling of a stage.'
          : 'It must be written as an image is named: [registry/]repository[:tag].',
      });
    }
    if (typeof source === 'string' && isAbsolute(source) && !statSync(source, { throwIfNoEntry: false })) {
      throw contextNotFound(source);
    }
  }
}

/** Why NAME is no name of an image; undefined where it is one. */
function refusalOf(name: string): string | undefined {
  try {
    parseReference(name);
    return undefined;
  } catch (error) {
    if (isStrakeError(error)) return error.message;
    throw error;
  }
}
