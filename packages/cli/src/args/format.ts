import type { Arguments, Flag } from './parse.js';
import { choice } from './values.js';

/** `--json` and `--format`, of commands that print a table. */
export const FORMAT_FLAGS: readonly Flag[] = [
  { name: 'format', kind: 'string', value: 'FORMAT', help: 'table or json' },
  { name: 'json', kind: 'boolean', help: 'The same as --format json' },
];

/**
 * Whether JSON is wanted.
 * @throws StrakeError `USAGE`
 */
export function wantsJson(args: Arguments): boolean {
  const format = args.string('format');
  if (format !== undefined) return choice(format, ['table', 'json'] as const, '--format') === 'json';
  return args.boolean('json');
}
