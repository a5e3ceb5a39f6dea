import { usage } from '../errors.js';
import type { Arguments } from './parse.js';

/**
 * The positional arguments of a command that takes exactly the ones NAMED.
 * @throws StrakeError `USAGE` where one is missing or too many are given
 */
export function positionals<const T extends readonly string[]>(
  args: Arguments,
  ...named: T
): { [K in keyof T]: string } {
  const given = args.positionals;
  const missing = named[given.length];
  if (missing !== undefined) throw usage(`the ${missing} is missing`);
  const extra = given[named.length];
  if (extra !== undefined) {
    throw usage(
      named.length === 0 ? `no arguments are expected, but "${extra}" is given` : `"${extra}" is one argument too many`,
    );
  }
  if (given.includes('')) throw usage('an argument is empty');
  return given as { [K in keyof T]: string };
}
