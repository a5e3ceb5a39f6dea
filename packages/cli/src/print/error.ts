import { errnoOf, isStrakeError, type StrakeError } from '@strake/core';
import { harmless, harmlessLines, oneLine, withoutPasswords } from '../progress/text.js';
import { excerpt } from './excerpt.js';

const TAIL_LINES = 20;
/** Characters of a message: names and commands in it may have been made to be long. */
const LONGEST = 10_000;
/** What is wrong mostly stands behind the name. */
const LAST = 500;

/** What the operating system refuses for reasons that lie outside of strake. */
const SYSTEM: Readonly<Record<string, string>> = {
  ENOSPC: 'Free some space on the disk, or put the store elsewhere with --root.',
  EDQUOT: 'Free some of your quota, or put the store elsewhere with --root.',
  EROFS: 'Put the store onto a disk that may be written, with --root.',
  EACCES: 'Check who owns it, or put the store elsewhere with --root.',
  EPERM: 'See strake doctor for what this machine allows.',
  EMFILE: 'Raise the limit of open files: ulimit -n 4096.',
  ENFILE: 'The whole machine has too many open files.',
  ENOMEM: 'Give strake more memory.',
  EIO: 'The disk reports an error; see the log of the kernel.',
};

export interface ErrorOptions {
  /** With stack trace and causes. */
  readonly debug: boolean;
  /** Whether the command was interrupted: then the interruption is the reason, whatever the error says. */
  readonly cancelled?: boolean;
}

function clipped(text: string): string {
  const short = text.length > LONGEST ? `${text.slice(0, LONGEST - LAST)}…${text.slice(-LAST)}` : text;
  return harmlessLines(withoutPasswords(short));
}

/** Whether what is behind ERROR is the limit of open files: whatever could not be opened then is not to blame. */
function tooManyFiles(error: unknown): boolean {
  // What the agent could not open comes without its cause.
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (errnoOf(cause) === 'EMFILE' || cause.message.includes('EMFILE: too many open files')) return true;
  return false;
}

function known(error: StrakeError): string {
  let out = `error: ${clipped(error.message)}\n`;
  if (error.step !== undefined && !error.message.includes(error.step))
    out += `  in step ${oneLine(error.step.slice(0, LONGEST))}\n`;
  if (error.location) out += `\n${excerpt(error.location)}`;
  const tail = error.outputTail?.replace(/\n+$/, '');
  if (tail) {
    const lines = tail.split('\n').slice(-TAIL_LINES);
    out += `\nlast lines of the step's output:\n${lines.map((line) => `  | ${harmless(line)}`.trimEnd()).join('\n')}\n`;
  }
  const hint = tooManyFiles(error) ? SYSTEM['EMFILE'] : error.hint;
  if (hint) out += `${error.location || tail ? '\n' : ''}hint: ${clipped(hint)}\n`;
  return out;
}

/** So many descriptors a build may need at once, and some more. */
const ENOUGH_FILES = 256;

/** How many files this process may have open; asked for in a way that opens none. */
function openFilesLimit(): number {
  Object.assign(process.report, { excludeNetwork: true }); // else names of other machines are looked up
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Infinity;
}

/** ERROR is what no code foresees, and is taken for a mistake of ours but where too few files may be open: then any call can fail. */
function bug(error: unknown, options: ErrorOptions): string {
  const message = error instanceof Error ? error.message : String(error);
  const limit = openFilesLimit();
  if (limit < ENOUGH_FILES)
    return `error: only ${limit} files may be open at once, which is too few: ${clipped(message)}\nhint: ${SYSTEM['EMFILE'] ?? ''}\n`;
  const first = `error: this is a bug in strake: ${clipped(message)}\n`;
  return options.debug
    ? first
    : `${first}hint: Please report it, with the Dockerfile and what the same command prints with STRAKE_DEBUG=1.\n`;
}

function debugInfo(error: unknown): string {
  let out = '';
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    out += `${out ? 'caused by: ' : ''}${cause.stack ?? cause.message}\n`;
  }
  return out;
}

/**
 * What is printed of an error: what failed, the lines of the Dockerfile, the step's last output, the hint. A stack trace only
 * for debugging.
 */
export function describeError(error: unknown, options: ErrorOptions): string {
  if (options.cancelled || isStrakeError(error, 'CANCELLED')) return 'cancelled\n';
  const trace = options.debug ? debugInfo(error) : '';
  if (isStrakeError(error)) return known(error) + trace;
  const hint = SYSTEM[errnoOf(error) ?? ''];
  if (hint && error instanceof Error) return `error: ${harmlessLines(error.message)}\nhint: ${hint}\n${trace}`;
  return bug(error, options) + trace;
}
