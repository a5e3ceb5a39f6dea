import { badSubstitution, expansionTooLarge, requiredVariable } from './errors.js';
import { replacePattern, trimPrefix, trimSuffix } from './shell-pattern.js';
import { isSpace } from './text.js';
import type { Environment } from './types.js';

/** How a text is read. Everything off: quotes and escapes are resolved, unset variables are empty. */
export interface LexerMode {
  /** `\` or a backtick. */
  readonly escape: string;
  /** Quotes stay in the result. */
  readonly rawQuotes?: boolean;
  /** Escape characters stay in the result. */
  readonly rawEscapes?: boolean;
  /** Quotes are ordinary characters. */
  readonly ignoreQuotes?: boolean;
  /** Variables that are not set stay as written. */
  readonly keepUnset?: boolean;
  /** The words are wanted, not only the text. */
  readonly split?: boolean;
}

/** What one run of the lexer found. */
export interface LexerResult {
  readonly text: string;
  /** The text cut at blanks outside of quotes. */
  readonly words: readonly string[];
  readonly matched: ReadonlySet<string>;
  readonly unmatched: ReadonlySet<string>;
}

/** `${` within `${` deeper than this is an error. */
const MAX_DEPTH = 100;
/** Characters that an expansion may add: a variable that doubles itself line by line fills the memory otherwise. */
const MAX_LENGTH = 4 * 1024 * 1024;
const SPECIAL_PARAMETERS = '@*#?-$!0';
const LETTER = /^[\p{L}\p{Nd}_]$/u;
const DIGIT = /^\p{Nd}$/u;

/**
 * The shell lexer of BuildKit (frontend/dockerfile/shell): quotes, escapes, `$v` and `${v...}`, splitting at blanks. One object
 * reads one text.
 */
class Lexer {
  readonly matched = new Set<string>();
  readonly unmatched = new Set<string>();
  readonly words: string[] = [];
  readonly #source: string;
  readonly #env: Environment;
  readonly #mode: LexerMode;
  readonly #limit: number;
  #position = 0;
  #rawEscapes: boolean;
  #depth = 0;
  /** The word being collected. One for all levels, as in BuildKit: an operand empties it, so `1${x:-2}3` is split into `23`. */
  #word = '';

  constructor(source: string, env: Environment, mode: LexerMode) {
    this.#source = source;
    this.#env = env;
    this.#mode = mode;
    this.#limit = source.length + MAX_LENGTH;
    this.#rawEscapes = mode.rawEscapes ?? false;
    if (source.startsWith('\uFEFF')) this.#position = 1;
  }

  /** Reads up to STOP (which is skipped), or to the end where there is none. */
  read(stop: string | undefined, rawEscapes: boolean): string {
    const { escape, ignoreQuotes, split } = this.#mode;
    const outerRaw = this.#rawEscapes;
    this.#rawEscapes = rawEscapes;
    this.#word = '';
    const words: string[] = stop === undefined ? this.words : [];
    let inWord = false;
    let out = '';
    const endWord = (): void => {
      if (this.#word !== '') words.push(this.#word);
      this.#word = '';
    };
    const addRaw = (text: string): void => {
      if (!split) return;
      this.#word += text;
      inWord = true;
    };
    const add = (text: string): void => {
      if (!split) return;
      for (let i = 0; i < text.length; i++) {
        const char = text.charAt(i);
        if (!isSpace(text.charCodeAt(i))) addRaw(char);
        else if (inWord && this.#word !== '') {
          endWord();
          inWord = false;
        }
      }
    };
    while (this.#position < this.#source.length) {
      const char = this.#source.charAt(this.#position);
      if (char === stop) {
        this.#position++;
        endWord();
        this.#rawEscapes = outerRaw;
        return out;
      }
      if (char === '$') {
        const value = this.#dollar();
        out += value;
        add(value);
      } else if (char === '<') {
        const value = this.#angle();
        out += value;
        addRaw(value);
      } else if (char === "'" && !ignoreQuotes) {
        const value = this.#singleQuote();
        out += value;
        addRaw(value);
      } else if (char === '"' && !ignoreQuotes) {
        const value = this.#doubleQuote();
        out += value;
        addRaw(value);
      } else {
        this.#position++;
        if (char !== escape) {
          out += char;
          add(char);
        } else {
          if (this.#rawEscapes) {
            out += char;
            addRaw(char);
          }
          // An escape character at the very end is dropped.
          if (this.#position >= this.#source.length) break;
          const escaped = this.#source.charAt(this.#position++);
          out += escaped;
          addRaw(escaped);
        }
      }
      this.#checkLength(out);
    }
    if (stop !== undefined) throw this.#bad(`unexpected end of statement while looking for matching ${stop}`);
    endWord();
    return out;
  }

  #checkLength(out: string): void {
    if (out.length > this.#limit)
      throw expansionTooLarge(`an expansion is too large: it has more than ${this.#limit} characters, the limit`);
  }

  #bad(why: string): Error {
    return badSubstitution(this.#source, why);
  }

  #atEnd(): boolean {
    return this.#position >= this.#source.length;
  }

  #singleQuote(): string {
    const end = this.#source.indexOf("'", this.#position + 1);
    if (end < 0) throw this.#bad('unexpected end of statement while looking for matching single-quote');
    const raw = this.#mode.rawQuotes ?? false;
    const text = this.#source.slice(this.#position + (raw ? 0 : 1), end + (raw ? 1 : 0));
    this.#position = end + 1;
    return text;
  }

  #doubleQuote(): string {
    const { escape, rawQuotes } = this.#mode;
    let out = rawQuotes ? '"' : '';
    this.#position++;
    for (;;) {
      if (this.#atEnd()) throw this.#bad('unexpected end of statement while looking for matching double-quote');
      const char = this.#source.charAt(this.#position);
      if (char === '$') {
        out += this.#dollar();
        this.#checkLength(out);
        continue;
      }
      this.#position++;
      if (char === '"') return rawQuotes ? `${out}"` : out;
      if (char !== escape) {
        out += char;
        continue;
      }
      if (this.#rawEscapes) out += char;
      if (this.#atEnd()) continue;
      const next = this.#source.charAt(this.#position);
      // Within double quotes only these can be escaped; elsewhere the escape character stands for itself.
      if (next === '"' || next === '$' || next === escape) {
        this.#position++;
        out += next;
      } else {
        out += char;
      }
    }
  }

  /** `<` and `<<` with the blanks behind it, which thereby do not end a word: `<< EOF` is one. */
  #angle(): string {
    const start = this.#position++;
    if (this.#source[this.#position] !== '<') return '<';
    this.#position++;
    while (/^[\t\r ]$/.test(this.#source.charAt(this.#position))) this.#position++;
    return this.#source.slice(start, this.#position);
  }

  #name(): string {
    const start = this.#position;
    const first = this.#charAt(start);
    if (first !== '' && DIGIT.test(first)) {
      while (DIGIT.test(this.#charAt(this.#position))) this.#position += this.#charAt(this.#position).length;
    } else if (first !== '' && SPECIAL_PARAMETERS.includes(first)) {
      this.#position++;
    } else {
      while (LETTER.test(this.#charAt(this.#position))) this.#position += this.#charAt(this.#position).length;
    }
    return this.#source.slice(start, this.#position);
  }

  #charAt(position: number): string {
    const code = this.#source.codePointAt(position);
    return code === undefined ? '' : String.fromCodePoint(code);
  }

  #value(name: string): string | undefined {
    const value = this.#env.get(name);
    (value === undefined ? this.unmatched : this.matched).add(name);
    return value;
  }

  /** An operand of `${...}`, up to STOP. */
  #operand(stop: string, rawEscapes: boolean): string {
    try {
      return this.read(stop, rawEscapes);
    } catch (error) {
      if (this.#atEnd()) {
        throw this.#bad(stop === '/' ? "syntax error: missing '/' in ${}" : "syntax error: missing '}'");
      }
      throw error;
    }
  }

  #dollar(): string {
    this.#position++;
    if (this.#source[this.#position] !== '{') {
      const name = this.#name();
      if (name === '') return '$';
      const value = this.#value(name);
      return value ?? (this.#mode.keepUnset ? `$${name}` : '');
    }
    if (++this.#depth > MAX_DEPTH) {
      throw expansionTooLarge(`variables in variables are nested deeper than ${MAX_DEPTH} levels`);
    }
    this.#position++;
    const value = this.#braces();
    this.#depth--;
    return value;
  }

  #braces(): string {
    if (this.#atEnd()) throw this.#bad("syntax error: missing '}'");
    if ('{}:'.includes(this.#source.charAt(this.#position))) throw this.#bad('syntax error: bad substitution');
    const name = this.#name();
    if (this.#atEnd()) throw this.#bad("syntax error: missing '}'");
    let operator = this.#charAt(this.#position);
    this.#position += operator.length;
    if (operator === '}') {
      const value = this.#value(name);
      return value ?? (this.#mode.keepUnset ? `\${${name}}` : '');
    }
    if (operator === '/') return this.#replace(name);
    let written = operator;
    const emptyIsUnset = operator === ':';
    if (emptyIsUnset) {
      operator = this.#charAt(this.#position);
      this.#position += operator.length;
      written += operator;
    } else if (!'+-?#%'.includes(operator)) {
      throw this.#bad(`unsupported modifier (${written}) in substitution`);
    }
    const isTrim = operator === '#' || operator === '%';
    if (emptyIsUnset && isTrim) throw this.#bad(`unsupported modifier (${written}) in substitution`);
    const operand = this.#operand('}', isTrim);
    const value = this.#value(name);
    if (value === undefined && this.#mode.keepUnset) return `\${${name}${written}${operand}}`;
    const missing = value === undefined || (emptyIsUnset && value === '');
    switch (operator) {
      case '-':
        return missing ? operand : value;
      case '+':
        return missing ? '' : operand;
      case '?':
        if (!missing) return value;
        throw requiredVariable(
          this.#source,
          `${name}: ${operand || `is not allowed to be ${value === undefined ? 'unset' : 'empty'}`}`,
        );
      case '#':
      case '%': {
        const longest = operand.startsWith(operator);
        const pattern = longest ? operand.slice(1) : operand;
        return (operator === '#' ? trimPrefix : trimSuffix)(value ?? '', pattern, longest);
      }
      default:
        throw this.#bad(`unsupported modifier (${written}) in substitution`);
    }
  }

  #replace(name: string): string {
    const all = this.#source[this.#position] === '/';
    if (all) this.#position++;
    const pattern = this.#operand('/', true);
    const replacement = this.#operand('}', true);
    const value = this.#value(name);
    if (value === undefined && this.#mode.keepUnset) return `\${${name}/${pattern}/${replacement}}`;
    return replacePattern(value ?? '', pattern, replacement, all);
  }
}

/** Runs the lexer over TEXT. Throws StrakeError `EXPAND_SYNTAX`, `EXPAND_REQUIRED` or `EXPAND_TOO_LARGE`. */
export function lex(text: string, env: Environment, mode: LexerMode): LexerResult {
  const lexer = new Lexer(text, env, mode);
  const result = lexer.read(undefined, mode.rawEscapes ?? false);
  return { text: result, words: lexer.words, matched: lexer.matched, unmatched: lexer.unmatched };
}
