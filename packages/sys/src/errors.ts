import os from 'node:os';

import { StrakeError } from '@strake/core';

/** Of two names for a number the first in the alphabet, as Node has it: EAGAIN, ENOTSUP. */
const NAMES = new Map(
  Object.entries(os.constants.errno)
    .sort(([a], [b]) => (a < b ? 1 : -1))
    .map(([name, number]) => [number, name]),
);

/** A system call that failed. Shaped like Node's own system errors: `code` is the errno's name. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;

  constructor(syscall: string, errno: number, path?: string) {
    const code = NAMES.get(errno) ?? `E${errno}`;
    super(`${code}: ${syscall}${path === undefined ? '' : ` '${path}'`}`);
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
    this.path = path;
  }
}

/** The one package that is no JavaScript, or its binary for this machine, is not there. */
export function nativeMissing(cause: unknown): StrakeError {
  const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
  return new StrakeError({
    code: 'NATIVE_MISSING',
    message: `the package koffi, by which strake calls the system, cannot be loaded: ${why}`,
    hint: `Install strake again where optional packages are not left out: its binary for ${process.platform} ${process.arch} is one.`,
    cause,
  });
}
