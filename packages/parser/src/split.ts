import { isSpace, trimSpace } from './text.js';

/** Whether CODE separates an instruction from what follows, and the words of most instructions. A no-break space does not. */
export function isSeparator(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0b || code === 0x0c || code === 0x0d;
}

/** TEXT cut at its first run of separators. */
export function splitFirst(text: string): readonly [string, string | undefined] {
  let start = 0;
  while (start < text.length && !isSeparator(text.charCodeAt(start))) start++;
  if (start === text.length) return [text, undefined];
  let end = start;
  while (end < text.length && isSeparator(text.charCodeAt(end))) end++;
  return [text.slice(0, start), text.slice(end)];
}

/** TEXT cut at every run of separators; quotes mean nothing here. */
export function splitAll(text: string): string[] {
  return text === '' ? [] : text.split(/[\t\v\f\r ]+/);
}

/** An instruction cut into its parts. */
export interface CommandLine {
  readonly keyword: string;
  /** The words that begin with two dashes directly behind the keyword, quotes and escapes resolved. */
  readonly flags: readonly string[];
  readonly rest: string;
}

export function splitCommand(line: string, escape: string): CommandLine {
  const [keyword, args] = splitFirst(trimSpace(line));
  if (args === undefined) return { keyword, flags: [], rest: '' };
  const { flags, rest } = extractFlags(args, escape);
  return { keyword, flags, rest: trimSpace(rest) };
}

function extractFlags(line: string, escape: string): { readonly flags: string[]; readonly rest: string } {
  const flags: string[] = [];
  let position = 0;
  for (;;) {
    while (position < line.length && isSpace(line.charCodeAt(position))) position++;
    if (!line.startsWith('--', position)) return { flags, rest: line.slice(position) };
    let word = '';
    let quote = '';
    let quoted = false;
    for (; position < line.length; position++) {
      let char = line.charAt(position);
      if (quote === '' && isSpace(line.charCodeAt(position))) break;
      if (quote === '' && (char === "'" || char === '"')) {
        quote = char;
        quoted = true;
        continue;
      }
      if (quote !== '' && char === quote) {
        quote = '';
        continue;
      }
      if (char === escape) {
        if (position + 1 === line.length) continue;
        char = line.charAt(++position);
      }
      word += char;
    }
    // Two dashes alone end the flags.
    if (word === '--') return { flags, rest: line.slice(position) };
    if (quoted || word !== '') flags.push(word);
    if (position >= line.length) return { flags, rest: '' };
  }
}

/**
 * The words of ENV, LABEL and ARG: blanks within quotes and behind an escape character do not separate. Quotes and escape characters
 * stay: the expansion resolves them.
 */
export function splitWords(text: string, escape: string): string[] {
  const words: string[] = [];
  let word = '';
  let started = false;
  let quote = '';
  for (let position = 0; position < text.length; position++) {
    const char = text.charAt(position);
    if (quote === '' && isSpace(text.charCodeAt(position))) {
      if (started) words.push(word);
      word = '';
      started = false;
      continue;
    }
    if (char === escape && quote !== "'") {
      // One at the very end is dropped.
      if (position + 1 === text.length) break;
      word += char + text.charAt(++position);
      started = true;
      continue;
    }
    if (quote === '' ? char === "'" || char === '"' : char === quote) quote = quote === '' ? char : '';
    word += char;
    started = true;
  }
  if (started) words.push(word);
  return words;
}
