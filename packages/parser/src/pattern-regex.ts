import { badPattern } from './errors.js';
import { codePoints } from './text.js';

/** What one state of the automaton takes. */
type Accepts = (point: number) => boolean;

/** A piece of a compiled ignore pattern. */
export type Piece =
  /** One character. `repeat`: any number of them. */
  | { readonly kind: 'one'; readonly accepts: Accepts; readonly repeat: boolean }
  /** `(.*\/)?`: nothing, or anything up to a slash. */
  | { readonly kind: 'folders' }
  /** An assertion that the text begins here (`^` in a pattern) or of a word boundary. */
  | { readonly kind: 'assert'; readonly holds: (text: readonly number[], at: number) => boolean };

const SLASH = 0x2f;
const NEWLINE = 0x0a;
const dot: Accepts = (point) => point !== NEWLINE;

const isDigit: Accepts = (p) => p >= 0x30 && p <= 0x39;
const isUpper: Accepts = (p) => p >= 0x41 && p <= 0x5a;
const isLower: Accepts = (p) => p >= 0x61 && p <= 0x7a;
const isAlpha: Accepts = (p) => isUpper(p) || isLower(p);
const isWord: Accepts = (p) => isAlpha(p) || isDigit(p) || p === 0x5f;
const isBlank: Accepts = (p) => p === 0x20 || p === 0x09;
const isPerlSpace: Accepts = (p) => isBlank(p) || p === 0x0a || p === 0x0c || p === 0x0d;
const isGraph: Accepts = (p) => p > 0x20 && p < 0x7f;

const POSIX: ReadonlyMap<string, Accepts> = new Map<string, Accepts>([
  ['alnum', (p) => isAlpha(p) || isDigit(p)],
  ['alpha', isAlpha],
  ['ascii', (p) => p < 0x80],
  ['blank', isBlank],
  ['cntrl', (p) => p < 0x20 || p === 0x7f],
  ['digit', isDigit],
  ['graph', isGraph],
  ['lower', isLower],
  ['print', (p) => isGraph(p) || p === 0x20],
  ['punct', (p) => isGraph(p) && !isAlpha(p) && !isDigit(p)],
  ['space', (p) => isPerlSpace(p) || p === 0x0b],
  ['upper', isUpper],
  ['word', isWord],
  ['xdigit', (p) => isDigit(p) || (p >= 0x41 && p <= 0x46) || (p >= 0x61 && p <= 0x66)],
]);
const PERL: ReadonlyMap<string, Accepts> = new Map([
  ['d', isDigit],
  ['s', isPerlSpace],
  ['w', isWord],
]);
const CONTROL: ReadonlyMap<string, number> = new Map([
  ['a', 0x07],
  ['f', 0x0c],
  ['n', 0x0a],
  ['r', 0x0d],
  ['t', 0x09],
  ['v', 0x0b],
]);

function atBoundary(text: readonly number[], at: number): boolean {
  const before = text[at - 1];
  const after = text[at];
  return (before !== undefined && isWord(before)) !== (after !== undefined && isWord(after));
}

/**
 * Reads the regular expression that moby/patternmatcher makes of a pattern, with the meaning that Go's regexp gives it. Only what can
 * arise there is understood; all else is a bad pattern, as in Go, or as good as one.
 */
class RegexReader {
  readonly #chars: readonly string[];
  readonly #pattern: string;
  #at = 0;

  constructor(regex: string, pattern: string) {
    this.#chars = Array.from(regex);
    this.#pattern = pattern;
  }

  read(): Piece[] {
    const pieces: Piece[] = [];
    while (this.#at < this.#chars.length) pieces.push(this.#piece());
    return pieces;
  }

  #piece(): Piece {
    const char = this.#next();
    switch (char) {
      case '(':
        // The only group there is: (.*/)?
        this.#at += '.*/)?'.length;
        return { kind: 'folders' };
      case '^':
        return { kind: 'assert', holds: (_text, at) => at === 0 };
      case '.':
        return this.#repeated(dot);
      case '[':
        return this.#repeated(this.#class());
      case '\\':
        return this.#escape();
      default:
        return this.#repeated(this.#literal(char));
    }
  }

  #next(): string {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw badPattern(this.#pattern);
    return char;
  }

  #literal(char: string): Accepts {
    const point = char.codePointAt(0);
    return (p) => p === point;
  }

  #repeated(accepts: Accepts): Piece {
    const repeat = this.#chars[this.#at] === '*';
    if (repeat) this.#at++;
    return { kind: 'one', accepts, repeat };
  }

  #escape(): Piece {
    const char = this.#next();
    switch (char) {
      case 'A':
        return { kind: 'assert', holds: (_text, at) => at === 0 };
      case 'z':
        return { kind: 'assert', holds: (text, at) => at === text.length };
      case 'b':
        return { kind: 'assert', holds: atBoundary };
      case 'B':
        return { kind: 'assert', holds: (text, at) => !atBoundary(text, at) };
      case 'C':
        return this.#repeated(() => true);
      default: {
        const set = this.#set(char);
        return this.#repeated(set ?? this.#literal(String.fromCodePoint(this.#point(char))));
      }
    }
  }

  /** `\d` and its like. */
  #set(char: string): Accepts | undefined {
    const set = PERL.get(char.toLowerCase());
    if (!set) return undefined;
    return char === char.toLowerCase() ? set : (p) => !set(p);
  }

  /** The code point of an escape; letters and digits without a meaning are errors, as in Go. */
  #point(char: string): number {
    const control = CONTROL.get(char);
    if (control !== undefined) return control;
    if (/[0-9A-Za-z\u0080-\u{10ffff}]/u.test(char))
      throw badPattern(this.#pattern, `invalid escape sequence \\${char}`);
    return char.codePointAt(0) ?? 0;
  }

  #class(): Accepts {
    const negated = this.#chars[this.#at] === '^';
    if (negated) this.#at++;
    const sets: Accepts[] = [];
    for (let first = true; ; first = false) {
      if (this.#chars[this.#at] === ']' && !first) break;
      const posix = this.#posix();
      if (posix) {
        sets.push(posix);
        continue;
      }
      const low = this.#classChar();
      if (typeof low === 'function') {
        sets.push(low);
        continue;
      }
      let high: number | Accepts = low;
      if (this.#chars[this.#at] === '-' && this.#chars[this.#at + 1] !== ']') {
        this.#at++;
        high = this.#classChar();
        if (typeof high === 'function' || high < low) throw badPattern(this.#pattern, 'invalid character class range');
      }
      const end = high;
      sets.push((p) => low <= p && p <= end);
    }
    this.#at++;
    return (p) => sets.some((set) => set(p)) !== negated;
  }

  #posix(): Accepts | undefined {
    if (this.#chars[this.#at] !== '[' || this.#chars[this.#at + 1] !== ':') return undefined;
    const rest = this.#chars.slice(this.#at).join('');
    const match = /^\[:(\^?)([a-z]*):\]/.exec(rest);
    if (!match) {
      if (rest.includes(':]')) throw badPattern(this.#pattern, 'invalid character class');
      return undefined;
    }
    const set = POSIX.get(match[2] ?? '');
    if (!set) throw badPattern(this.#pattern, 'invalid character class');
    this.#at += match[0].length;
    return match[1] === '^' ? (p) => !set(p) : set;
  }

  #classChar(): number | Accepts {
    const char = this.#next();
    if (char !== '\\') return char.codePointAt(0) ?? 0;
    const escaped = this.#next();
    return this.#set(escaped) ?? this.#point(escaped);
  }
}

/** The pieces of REGEX, which was made of PATTERN. @throws StrakeError `PATTERN_INVALID` */
export function readRegex(regex: string, pattern: string): readonly Piece[] {
  return new RegexReader(regex, pattern).read();
}

/** States that are reached, each once. */
class StateSet {
  readonly list: number[] = [];
  readonly #marks: Uint8Array;

  constructor(size: number) {
    this.#marks = new Uint8Array(size);
  }

  add(state: number): void {
    if (this.#marks[state]) return;
    this.#marks[state] = 1;
    this.list.push(state);
  }

  clear(): void {
    for (const state of this.list) this.#marks[state] = 0;
    this.list.length = 0;
  }
}

/**
 * Whether PIECES match the whole of NAME. It follows all possibilities at once, so that it takes at most `pieces x length` steps,
 * however many wildcards there are.
 */
export function matchPieces(pieces: readonly Piece[], name: string): boolean {
  const text = codePoints(name);
  const { length } = pieces;
  // State i: the pieces before i are matched. State length + 1 + i: within the folders of piece i.
  let current = new StateSet(2 * length + 2);
  let next = new StateSet(2 * length + 2);
  const reach = (set: StateSet, from: number, at: number): void => {
    for (let state = from; ; state++) {
      set.add(state);
      const piece = pieces[state];
      if (!piece || (piece.kind === 'one' && !piece.repeat)) return;
      if (piece.kind === 'assert' && !piece.holds(text, at)) return;
    }
  };
  reach(current, 0, 0);
  for (let at = 0; at < text.length; at++) {
    const point = text[at] ?? 0;
    for (const state of current.list) {
      const index = state > length ? state - length - 1 : state;
      const piece = pieces[index];
      if (piece?.kind === 'folders') {
        if (point !== NEWLINE) next.add(length + 1 + index);
        if (point === SLASH) reach(next, index + 1, at + 1);
      } else if (piece?.kind === 'one' && piece.accepts(point)) {
        reach(next, piece.repeat ? index : index + 1, at + 1);
      }
    }
    [current, next] = [next, current];
    next.clear();
    if (current.list.length === 0) return false;
  }
  return current.list.includes(length);
}
