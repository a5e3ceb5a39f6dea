import { goQuote } from '@strake/core';
import { parserError } from './errors.js';
import { parseJsonArray } from './json-array.js';
import { splitAll, splitCommand, splitFirst, splitWords } from './split.js';
import { clip, isSpace } from './text.js';
import type { Node } from './tree.js';

/** How the text behind an instruction is cut into arguments. */
type ArgumentParser = (rest: string, escape: string) => Partial<Pick<Node, 'args' | 'json' | 'sub'>>;

/** The whole rest as one argument. */
const one: ArgumentParser = (rest) => ({ args: rest === '' ? [] : [rest] });

const words: ArgumentParser = (rest) => ({ args: splitAll(rest) });

/** A JSON array, else what FALLBACK makes of the text. */
function jsonOr(fallback: ArgumentParser): ArgumentParser {
  return (rest, escape) => {
    const array = parseJsonArray(rest);
    return array ? { args: array, json: true } : fallback(rest, escape);
  };
}

/** `key=value ...`, or `key value` in the old form. */
function pairs(keyword: string): ArgumentParser {
  return (rest, escape) => {
    const parts = splitWords(rest, escape);
    const first = parts[0];
    if (first === undefined) return {};
    if (!first.includes('=')) {
      const [key, value] = splitFirst(rest);
      if (value === undefined) {
        throw parserError(
          'PARSE_ARGUMENTS',
          `${keyword} must have two arguments`,
          `Write ${keyword} ${clip(key, 40)}=value.`,
        );
      }
      return { args: [key, value, ''] };
    }
    return {
      args: parts.flatMap((part) => {
        const at = part.indexOf('=');
        if (at < 0) {
          throw parserError(
            'PARSE_ARGUMENTS',
            `Syntax error - can't find = in ${goQuote(clip(part, 80))}. Must be of the form: name=value`,
            'A value with blanks in it stands in quotes.',
          );
        }
        return [part.slice(0, at), part.slice(at + 1), '='];
      }),
    };
  };
}

/** `NONE`, or `CMD` and a command. */
const health: ArgumentParser = (rest) => {
  let end = 0;
  while (end < rest.length && !isSpace(rest.charCodeAt(end))) end++;
  if (end === 0) return {};
  let next = end;
  while (next < rest.length && isSpace(rest.charCodeAt(next))) next++;
  const command = rest.slice(next);
  const array = parseJsonArray(command);
  return { args: [rest.slice(0, end), ...(array ?? (command === '' ? [] : [command]))], json: array !== undefined };
};

const onbuild: ArgumentParser = (rest, escape) => {
  if (rest === '') return {};
  // One level: an ONBUILD within an ONBUILD is refused anyway, however deep it goes.
  if (/^onbuild(?![^\t\v\f\r ])/i.test(rest)) return { args: ['ONBUILD'] };
  const sub = argumentsOf(rest, escape);
  return { args: [sub.keyword, ...sub.args], sub };
};

const PARSERS: ReadonlyMap<string, ArgumentParser> = new Map([
  ['add', jsonOr(words)],
  ['arg', (rest, escape) => ({ args: splitWords(rest, escape) })],
  ['cmd', jsonOr(one)],
  ['copy', jsonOr(words)],
  ['entrypoint', jsonOr(one)],
  ['env', pairs('ENV')],
  ['expose', words],
  ['from', words],
  ['healthcheck', health],
  ['label', pairs('LABEL')],
  ['maintainer', one],
  ['onbuild', onbuild],
  ['run', jsonOr(one)],
  ['shell', jsonOr(one)],
  ['stopsignal', one],
  ['user', one],
  ['volume', jsonOr(words)],
  ['workdir', one],
]);

/** The names of all instructions, in capitals. */
export const INSTRUCTIONS: readonly string[] = [...PARSERS.keys()].map((name) => name.toUpperCase());

/**
 * Cuts an instruction into keyword, flags and arguments. An unknown keyword is no error here: ONBUILD may hold one.
 * @throws StrakeError `PARSE_ARGUMENTS`, `PARSE_JSON`
 */
export function argumentsOf(line: string, escape: string): Node {
  const { keyword, flags, rest } = splitCommand(line, escape);
  const parse = PARSERS.get(keyword.toLowerCase());
  const parsed: ReturnType<ArgumentParser> = parse ? parse(rest, escape) : { args: [''] };
  const { args = [], json = false, sub } = parsed;
  return { keyword, flags, args, json, sub, original: line };
}
