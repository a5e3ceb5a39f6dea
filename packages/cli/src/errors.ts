import { errnoOf, StrakeError } from '@strake/core';

/** Codes of the failures that the command line itself finds. */
export type CliErrorCode =
  | 'USAGE'
  | 'CREDENTIALS_MISSING'
  | 'FILE_UNREADABLE'
  | 'FILE_UNWRITABLE'
  | 'STDIN_USED_TWICE'
  | 'OUTPUT_TO_TERMINAL'
  | 'BUILD_MISSING';

function make(code: CliErrorCode, message: string, hint?: string, cause?: unknown): StrakeError {
  return new StrakeError({ code, message, hint, cause });
}

/** The arguments make no sense. Ends with exit status 2. */
export function usage(message: string, hint?: string): StrakeError {
  return make('USAGE', message, hint);
}

/** `strake login` without a name or password, and nobody there to ask. */
export function credentialsMissing(what: string): StrakeError {
  return make(
    'CREDENTIALS_MISSING',
    `no ${what} given, and standard input is not a terminal to ask on`,
    'Give --username NAME and --password-stdin, and the password on standard input.',
  );
}

/** A file that was asked for (`--iidfile`, `--metadata-file`) cannot be written. MADE: what has been done all the same. */
export function fileUnwritable(file: string, cause: unknown, made?: string): StrakeError {
  return make(
    'FILE_UNWRITABLE',
    `cannot write ${file}: ${reasonOf(cause)}`,
    made ?? 'Check that its folder exists and may be written.',
    cause,
  );
}

/** A file that was named cannot be read. */
export function fileUnreadable(file: string, cause: unknown): StrakeError {
  return make('FILE_UNREADABLE', `cannot read ${file}: ${reasonOf(cause)}`, 'Check its name and its mode.', cause);
}

/** What a system call's failure says, without its code and its arguments. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (errnoOf(cause) === 'ENXIO') return 'it is a socket, or a pipe with nobody at its other end';
  return cause.message.replace(/^E[A-Z]+: /, '').replace(/, \w+(?: '.*)?$/s, '');
}

/** Both the context and the Dockerfile are `-`. */
export function stdinUsedTwice(): StrakeError {
  return make(
    'STDIN_USED_TWICE',
    'the context and the Dockerfile cannot both come from standard input',
    'Put the Dockerfile into the archive, or give the context as a folder.',
  );
}

/** An archive would be written to a terminal. */
export function outputToTerminal(type: string): StrakeError {
  return make(
    'OUTPUT_TO_TERMINAL',
    `the ${type} output would go to the terminal`,
    `Name a file (--output type=${type},dest=FILE), or redirect standard output.`,
  );
}
