import { expansionTooLarge, parserError } from './errors.js';
import { codePoints } from './text.js';

/** A pattern of `${v#pattern}`, `${v%pattern}` and `${v/pattern/text}` as a list: code points, or one of the two wildcards. */
type Token = number;
const STAR = -1;
const ANY = -2;
const NEWLINE = 10;

/** Steps that one substitution may take. Only patterns made to take long come near it. */
const BUDGET = 20_000_000;

function fromCodePoints(points: readonly number[]): string {
  let out = '';
  for (let i = 0; i < points.length; i += 4096) out += String.fromCodePoint(...points.slice(i, i + 4096));
  return out;
}

/** Reads a pattern: `*` any text, `?` one character, `\` in front of `* ? \ / }`; all else stands for itself. */
function tokenize(pattern: string): Token[] {
  const points = codePoints(pattern);
  const out: Token[] = [];
  for (let i = 0; i < points.length; i++) {
    const char = String.fromCodePoint(points[i] ?? 0);
    if (char === '*') out.push(STAR);
    else if (char === '?') out.push(ANY);
    else if (char === '\\') {
      const next = points[i + 1];
      const escaped = next === undefined ? '' : String.fromCodePoint(next);
      if (next === undefined || !'*?\\/}'.includes(escaped)) {
        throw parserError(
          'EXPAND_SYNTAX',
          `invalid pattern (${pattern}) in substitution: invalid escape '\\${escaped}'`,
          'In a pattern a backslash may stand before * ? \\ / } only.',
        );
      }
      out.push(next);
      i++;
    } else out.push(points[i] ?? 0);
  }
  return out;
}

/** The runs of TOKENS between the stars. */
function segments(tokens: readonly Token[]): Token[][] {
  const out: Token[][] = [[]];
  for (const token of tokens) {
    if (token === STAR) out.push([]);
    else out[out.length - 1]?.push(token);
  }
  return out;
}

/**
 * Matches patterns as Go's regexp does the expressions that BuildKit makes of them: leftmost match; wildcards never cross a newline.
 * Its own, and not RegExp: that takes forever on `a*a*a*a*b`.
 */
class Matcher {
  readonly #segments: readonly Token[][];
  readonly #text: readonly number[];
  readonly #longest: boolean;
  #budget = BUDGET;

  constructor(tokens: readonly Token[], text: readonly number[], longest: boolean) {
    this.#segments = segments(tokens);
    this.#text = text;
    this.#longest = longest;
  }

  #spend(): void {
    if (--this.#budget < 0) throw expansionTooLarge('the pattern of a substitution takes too long to match');
  }

  #fits(segment: readonly Token[], at: number): boolean {
    if (at + segment.length > this.#text.length) return false;
    for (let i = 0; i < segment.length; i++) {
      this.#spend();
      const token = segment[i];
      const char = this.#text[at + i];
      if (token === ANY ? char === NEWLINE : token !== char) return false;
    }
    return true;
  }

  /** Where the line ends that AT lies in: as far as a star that begins there reaches. */
  #lineEnd(at: number): number {
    let end = at;
    while (end < this.#text.length && this.#text[end] !== NEWLINE) {
      this.#spend();
      end++;
    }
    return end;
  }

  /**
   * The end of the shortest or longest match that begins at START, or -1. The shortest takes each segment as early as possible;
   * the longest differs in the last segment alone.
   */
  matchAt(start: number): number {
    const first = this.#segments[0] ?? [];
    if (!this.#fits(first, start)) return -1;
    let at = start + first.length;
    for (let i = 1; i < this.#segments.length; i++) {
      const segment = this.#segments[i] ?? [];
      const end = this.#lineEnd(at);
      const last = i === this.#segments.length - 1;
      let found = -1;
      if (last && this.#longest) {
        for (let from = end; from >= at && found < 0; from--) if (this.#fits(segment, from)) found = from;
      } else {
        for (let from = at; from <= end && found < 0; from++) if (this.#fits(segment, from)) found = from;
      }
      if (found < 0) return -1;
      at = found + segment.length;
    }
    return at;
  }

  /** The leftmost match at or behind FROM. */
  find(from: number): { readonly start: number; readonly end: number } | undefined {
    const first = this.#segments[0] ?? [];
    for (let start = from; start <= this.#text.length; start++) {
      this.#spend();
      if (!this.#fits(first, start)) continue;
      const end = this.matchAt(start);
      if (end >= 0) return { start, end };
      // What could not follow here cannot follow later in the same line, either: there is only less room.
      if (!first.includes(NEWLINE)) start = this.#lineEnd(start + first.length) - first.length;
    }
    return undefined;
  }
}

/** VALUE without the part in front that PATTERN matches: `${v#pattern}`, with LONGEST `${v##pattern}`. */
export function trimPrefix(value: string, pattern: string, longest: boolean): string {
  const text = codePoints(value);
  const end = new Matcher(tokenize(pattern), text, longest).matchAt(0);
  return end <= 0 ? value : fromCodePoints(text.slice(end));
}

/** VALUE without the part at its end that PATTERN matches: `${v%pattern}`, with LONGEST `${v%%pattern}`. */
export function trimSuffix(value: string, pattern: string, longest: boolean): string {
  const text = codePoints(value).reverse();
  const end = new Matcher(tokenize(pattern).reverse(), text, longest).matchAt(0);
  return end <= 0 ? value : fromCodePoints(text.slice(end).reverse());
}

/** Go's Regexp.Expand for a template without groups: `$$` is a dollar, `$0` the match, any other `$name` nothing. */
function expandTemplate(template: string, match: string): string {
  return template.replace(/\$(?:\$|(\w+)|\{(\w+)\})/g, (whole, bare?: string, braced?: string) =>
    whole === '$$' ? '$' : (bare ?? braced) === '0' ? match : '',
  );
}

/** VALUE with the first match of PATTERN, or all of them, replaced: `${v/pattern/text}` and `${v//pattern/text}`. */
export function replacePattern(value: string, pattern: string, replacement: string, all: boolean): string {
  const text = codePoints(value);
  const matcher = new Matcher(tokenize(pattern), text, true);
  if (!all) {
    const match = matcher.find(0);
    if (!match) return value;
    return fromCodePoints(text.slice(0, match.start)) + replacement + fromCodePoints(text.slice(match.end));
  }
  const out: string[] = [];
  let copied = 0;
  let from = 0;
  let previousEnd = -1;
  for (;;) {
    const match = matcher.find(from);
    if (!match) break;
    const empty = match.end === match.start;
    // An empty match directly behind another one does not count.
    if (!empty || match.start !== previousEnd) {
      out.push(fromCodePoints(text.slice(copied, match.start)));
      out.push(expandTemplate(replacement, fromCodePoints(text.slice(match.start, match.end))));
      copied = match.end;
      previousEnd = match.end;
    }
    from = empty ? match.end + 1 : match.end;
    if (from > text.length) break;
  }
  out.push(fromCodePoints(text.slice(copied)));
  return out.join('');
}
