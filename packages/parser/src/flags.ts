import { closest } from '@strake/core';
import { parserError, unknownFlag } from './errors.js';
import { clip, cut } from './text.js';

/** What a flag takes: a boolean that may be left out, one value, or a value each time it is given. */
export type FlagKind = 'boolean' | 'value' | 'list';

/** The flags of one instruction, checked. */
export interface Flags {
  value(name: string): string | undefined;
  list(name: string): readonly string[];
  /** Undefined where the flag is not given. */
  boolean(name: string): boolean | undefined;
}

function booleanOf(flag: string, value: string | undefined): string {
  if (value === '') throw missingValue(flag);
  const word = (value ?? 'true').toLowerCase();
  if (word === 'true' || word === 'false') return word;
  throw parserError(
    'PARSE_FLAG',
    `expecting boolean value for flag ${flag}, not: ${clip(value ?? '', 80)}`,
    `Write ${flag}, ${flag}=true or ${flag}=false.`,
  );
}

function missingValue(flag: string): Error {
  return parserError('PARSE_FLAG', `missing a value on flag: ${flag}`, `Write ${flag}=<value>, without a blank.`);
}

/**
 * Checks the flags of an instruction against those it KNOWs.
 * @throws StrakeError `PARSE_FLAG`
 */
export function parseFlags(
  keyword: string,
  given: readonly string[],
  known: Readonly<Record<string, FlagKind>>,
): Flags {
  const kinds = new Map(Object.entries(known));
  const values = new Map<string, string[]>();
  for (const word of given) {
    const [flag, value] = cut(word, '=');
    const name = flag.slice(2);
    const kind = kinds.get(name);
    if (kind === undefined) {
      const choice = name.length > 40 ? undefined : closest(name, kinds.keys(), 2);
      throw unknownFlag(flag, keyword.toUpperCase(), [...kinds.keys()], choice);
    }
    const earlier = values.get(name);
    if (earlier && kind !== 'list') {
      throw parserError('PARSE_FLAG', `duplicate flag specified: ${flag}`, `Give ${flag} once.`);
    }
    if (kind === 'boolean') values.set(name, [booleanOf(flag, value)]);
    else if (value === undefined) throw missingValue(flag);
    else if (earlier) earlier.push(value);
    else values.set(name, [value]);
  }
  return {
    value: (name) => values.get(name)?.[0],
    list: (name) => values.get(name) ?? [],
    boolean: (name) => {
      const value = values.get(name)?.[0];
      return value === undefined ? undefined : value === 'true';
    },
  };
}
