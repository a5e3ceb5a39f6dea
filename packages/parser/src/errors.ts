import { goQuote, StrakeError, type SourceLocation } from '@strake/core';
import { clip } from './text.js';

/** What can be wrong with a text that this package reads. */
export type ParserErrorCode =
  | 'CHECK_INVALID'
  | 'EXPAND_REQUIRED'
  | 'EXPAND_SYNTAX'
  | 'EXPAND_TOO_LARGE'
  | 'LINT_VIOLATION'
  | 'MODE_INVALID'
  | 'MOUNT_INVALID'
  | 'PARSE_ARGUMENTS'
  | 'PARSE_DIRECTIVE'
  | 'PARSE_EMPTY'
  | 'PARSE_FLAG'
  | 'PARSE_HEREDOC'
  | 'PARSE_JSON'
  | 'PARSE_LINE_TOO_LONG'
  | 'PARSE_NO_STAGE'
  | 'PARSE_ONBUILD'
  | 'PARSE_STAGE_NAME'
  | 'PARSE_UNKNOWN_INSTRUCTION'
  | 'PATTERN_INVALID'
  | 'PORT_INVALID'
  | 'STAGE_CYCLE'
  | 'STAGE_NOT_FOUND'
  | 'STAGE_ORDER';

/** An error of this package. The location is added where the text's place in the file is known. */
export function parserError(
  code: ParserErrorCode,
  message: string,
  hint?: string,
  location?: SourceLocation,
): StrakeError {
  return new StrakeError({ code, message, hint, location });
}

/** Runs TASK; an error of it that has no place yet gets that of INSTRUCTION. */
export function located<T>(instruction: { readonly location: SourceLocation }, task: () => T): T {
  try {
    return task();
  } catch (error) {
    if (!(error instanceof StrakeError)) throw error;
    throw error.with({ location: instruction.location });
  }
}

/** `(did you mean X?)`, with a blank in front, or nothing. */
export function didYouMean(choice: string | undefined): string {
  return choice === undefined ? '' : ` (did you mean ${choice}?)`;
}

export function unknownInstruction(keyword: string, choice: string | undefined): StrakeError {
  return parserError(
    'PARSE_UNKNOWN_INSTRUCTION',
    `unknown instruction: ${clip(keyword, 80)}${didYouMean(choice)}`,
    choice === undefined
      ? 'Every line begins with an instruction such as FROM, RUN or COPY; a line that ends in the escape character goes on in the next.'
      : `Write ${choice} instead.`,
  );
}

export function unknownFlag(flag: string, keyword: string, known: readonly string[], choice?: string): StrakeError {
  return parserError(
    'PARSE_FLAG',
    `unknown flag: ${clip(flag, 80)}${didYouMean(choice)}`,
    known.length === 0
      ? `${keyword} takes no flags.`
      : `${keyword} takes ${known.map((name) => `--${name}`).join(', ')}.`,
  );
}

export function lineTooLong(limit: number, location: SourceLocation): StrakeError {
  return parserError(
    'PARSE_LINE_TOO_LONG',
    `dockerfile line greater than max allowed size of ${limit}`,
    'Break the line with the escape character, or copy the content from a file.',
    location,
  );
}

export function badSubstitution(source: string, why: string): StrakeError {
  return parserError(
    'EXPAND_SYNTAX',
    `failed to process ${goQuote(clip(source))}: ${why}`,
    'A dollar sign that is meant literally is written \\$.',
  );
}

export function requiredVariable(source: string, why: string): StrakeError {
  return parserError(
    'EXPAND_REQUIRED',
    `failed to process ${goQuote(clip(source))}: ${why}`,
    'Give the variable a value with ARG or ENV, or with --build-arg.',
  );
}

export function expansionTooLarge(why: string): StrakeError {
  return parserError('EXPAND_TOO_LARGE', why, 'No real Dockerfile needs this: is it the right file?');
}

export function badPattern(pattern: string, why = 'syntax error in pattern'): StrakeError {
  return parserError(
    'PATTERN_INVALID',
    `${goQuote(clip(pattern))} is not a valid pattern: ${why}`,
    'Patterns know *, ?, [a-z] and **; a character that is meant literally is written with a backslash in front.',
  );
}

export function mountError(message: string, hint?: string): StrakeError {
  return parserError(
    'MOUNT_INVALID',
    message,
    hint ?? 'Write it as --mount=type=<type>,target=<path>[,<key>=<value>...].',
  );
}
