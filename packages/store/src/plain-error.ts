import { StrakeError } from '@strake/core';

import type { PlainError } from './worker-protocol.js';

/** ERROR as it crosses to another thread. */
export function plainError(error: unknown): PlainError {
  if (error instanceof StrakeError) {
    return { strake: { ...error.toFields(), cause: undefined }, message: error.message };
  }
  if (!(error instanceof Error)) return { message: String(error) };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return { message: error.message, code, stack: error.stack };
}

/** The error that {@link plainError} was made of. */
export function revivedError({ strake, message, code, stack }: PlainError): Error {
  if (strake) return new StrakeError(strake);
  const error = Object.assign(new Error(message), code === undefined ? {} : { code });
  if (stack !== undefined) error.stack = stack;
  return error;
}
