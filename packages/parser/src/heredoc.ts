import { parserError } from './errors.js';
import { lex } from './lexer.js';
import { trimNewline, trimTabs } from './text.js';
import type { Environment, Heredoc } from './types.js';
import type { LineReader } from './source.js';

/** What announces a heredoc: `<<EOF`, `3<<-"EOF"`. */
export interface HeredocWord {
  readonly name: string;
  readonly fileDescriptor: number;
  readonly expand: boolean;
  readonly chomp: boolean;
}

const NO_VARIABLES: Environment = { get: () => undefined, names: () => [] };
const HEREDOC = /^(\d*)<<(-?)/;

function quotes(text: string): number {
  let count = 0;
  for (const char of text) if (char === "'" || char === '"') count++;
  return count;
}

/**
 * Reads a word as the announcement of a heredoc; undefined where it is none.
 * @throws StrakeError `EXPAND_SYNTAX` where its delimiter has an open quote
 */
export function parseHeredocWord(word: string): HeredocWord | undefined {
  const match = HEREDOC.exec(word);
  const rest = match ? word.slice(match[0].length).replace(/^[\t\n\f\r ]+/, '') : '';
  if (!match || rest === '' || rest.includes('<')) return undefined;
  const { words } = lex(rest, NO_VARIABLES, { escape: '\\', keepUnset: true, split: true });
  if (words.length !== 1) return undefined;
  const raw = lex(rest, NO_VARIABLES, { escape: '\\', keepUnset: true, rawQuotes: true, split: true }).words;
  const name = words[0] ?? '';
  return {
    name,
    fileDescriptor: Math.min(Number(match[1]), Number.MAX_SAFE_INTEGER),
    // A quote anywhere in the delimiter keeps the body from being expanded.
    expand: quotes(name) === quotes(raw[0] ?? ''),
    chomp: match[2] === '-',
  };
}

/** As parseHeredocWord, but a malformed delimiter is no heredoc: how COPY and RUN look at their arguments. */
export function asHeredocWord(word: string): HeredocWord | undefined {
  try {
    return parseHeredocWord(word);
  } catch {
    return undefined; // An open quote: then the word is an ordinary one.
  }
}

/** The heredocs that a line announces, in order. A line whose quotes do not match announces none. */
export function heredocsOfLine(line: string): HeredocWord[] {
  let words: readonly string[];
  try {
    ({ words } = lex(line, NO_VARIABLES, {
      escape: '\\',
      keepUnset: true,
      rawQuotes: true,
      rawEscapes: true,
      split: true,
    }));
  } catch {
    return []; // As in BuildKit: the shell will complain, if it is one.
  }
  return words.map(parseHeredocWord).filter((word) => word !== undefined);
}

/**
 * Reads the body of a heredoc.
 * @throws StrakeError `PARSE_HEREDOC` where it does not end
 */
export function readHeredoc(reader: LineReader, word: HeredocWord): Heredoc {
  const lines: string[] = [];
  for (let line = reader.next(); line !== undefined; line = reader.next()) {
    const end = trimNewline(line);
    if ((word.chomp ? trimTabs(end) : end) === word.name) {
      const raw = lines.join('');
      return { ...word, raw, content: word.chomp ? raw.replace(/(^|\n)\t+/g, '$1') : raw };
    }
    lines.push(line);
  }
  throw parserError(
    'PARSE_HEREDOC',
    `unterminated heredoc: no line consists of the delimiter ${word.name}`,
    'The delimiter that ends a heredoc stands alone on its line, without blanks around it.',
  );
}
