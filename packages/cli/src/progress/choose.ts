import type { Arguments, Flag } from '../args/parse.js';
import { choice } from '../args/values.js';
import { writeLine, type Io } from '../io.js';
import type { ProgressKind } from './display.js';

const KINDS = ['auto', 'plain', 'tty', 'quiet', 'rawjson', 'none'] as const;

/** `--progress` and `--quiet`. */
export const PROGRESS_FLAGS: readonly Flag[] = [
  { name: 'progress', kind: 'string', value: 'KIND', help: 'auto, plain, tty, quiet or rawjson' },
  { name: 'quiet', short: 'q', kind: 'boolean', help: 'Print only the id of the image' },
];

/**
 * What {@link PROGRESS_FLAGS} ask for, else `$STRAKE_PROGRESS` or buildx's `$BUILDKIT_PROGRESS`. By default a terminal gets
 * the live display, everything else plain lines.
 * @throws StrakeError `USAGE`
 */
export function progressKind(args: Arguments, io: Io): ProgressKind {
  if (args.boolean('quiet')) return 'quiet';
  const given = args.string('progress') || io.env['STRAKE_PROGRESS'] || io.env['BUILDKIT_PROGRESS'] || 'auto';
  const kind = choice(given, KINDS, '--progress');
  if (kind === 'auto') return io.stderr.isTerminal && io.env['TERM'] !== 'dumb' ? 'tty' : 'plain';
  if (kind === 'tty' && !io.stderr.isTerminal) {
    writeLine(io.stderr, 'warning: --progress tty needs a terminal on standard error; using plain');
    return 'plain';
  }
  return kind === 'none' ? 'quiet' : kind;
}
