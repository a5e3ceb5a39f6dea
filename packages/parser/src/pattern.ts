import { badPattern } from './errors.js';
import { goMatch } from './go-match.js';
import { matchPieces, readRegex } from './pattern-regex.js';

/** One pattern of an ignore file or of `--exclude`. */
export interface Pattern {
  /** Cleaned, without `!`. */
  readonly text: string;
  /** Written with `!`. */
  readonly exception: boolean;
  /** Whether PATH itself matches; its parents are not looked at. @throws StrakeError `PATTERN_INVALID` at first use */
  match(path: string): boolean;
}

type Test = (path: string) => boolean;

/** RegExp is fast, but its time grows with the path's length to the power of the wildcards: it is trusted within these bounds. */
const MAX_REGEXP_WILDCARDS = 3;
/** Wildcards that a pattern may have at all. */
const MAX_WILDCARDS = 100;
const MAX_REGEXP_PATH = 300;
/** Longer expressions are refused by engines, when they are used first. */
const MAX_REGEXP_LENGTH = 4096;
const ESCAPED = '.+()|{}$';
/** A class that JavaScript reads as Go does. */
const SIMPLE_CLASS = /\[\^?(?:[A-Za-z0-9_](?:-[A-Za-z0-9_])?)+\]/g;

/** What a path that matches begins with. */
const LITERAL = /^[^*?[\]^\\]*/;

/** What the pattern is made into: the expression of moby/patternmatcher, or one of its short cuts. */
interface Compiled {
  readonly type: 'exact' | 'prefix' | 'suffix' | 'regex';
  /** For Go, and the same for JavaScript. */
  readonly regex: string;
  readonly script: string;
  readonly wildcards: number;
}

function compile(pattern: string): Compiled {
  const chars = Array.from(pattern);
  let type: Compiled['type'] = 'exact';
  let regex = '^';
  let script = '^';
  let wildcards = 0;
  const emit = (go: string, js = go): void => {
    regex += go;
    script += js;
  };
  for (let at = 0, step = 0; at < chars.length; step++) {
    const char = chars[at++] ?? '';
    if (char === '*' && chars[at] === '*') {
      at++;
      // **/ is as good as **: the slash belongs to it.
      if (chars[at] === '/') at++;
      wildcards++;
      if (at < chars.length) {
        emit('(.*/)?', '(?:[^\\n]*/)?');
        type = 'regex';
      } else if (type === 'exact') {
        type = 'prefix';
      } else {
        emit('.*', '[^\\n]*');
        type = 'regex';
      }
      if (step === 0) type = 'suffix';
    } else if (char === '*') {
      emit('[^/]*');
      wildcards++;
      type = 'regex';
    } else if (char === '?') {
      emit('[^/]');
      type = 'regex';
    } else if (ESCAPED.includes(char)) {
      emit(`\\${char}`);
    } else if (char === '\\' && at < chars.length) {
      emit(`\\${chars[at++] ?? ''}`);
      type = 'regex';
    } else {
      if (char === '[' || char === ']') type = 'regex';
      emit(char);
    }
  }
  return { type, regex, script, wildcards };
}

function regexTest(pattern: string, { regex, script, wildcards }: Compiled): Test {
  const pieces = readRegex(regex.slice(1), pattern);
  const slow: Test = (path) => matchPieces(pieces, path);
  if (
    script.length > MAX_REGEXP_LENGTH ||
    wildcards > MAX_REGEXP_WILDCARDS ||
    /[[\]\\]/.test(pattern.replace(SIMPLE_CLASS, ''))
  )
    return slow;
  // Most paths are told by the pattern's beginning: of 100,000 patterns hardly one is made an expression then.
  const [beginning = ''] = LITERAL.exec(pattern) ?? [];
  let fast: RegExp | undefined;
  return (path) => {
    if (!path.startsWith(beginning)) return false;
    return path.length <= MAX_REGEXP_PATH ? (fast ??= new RegExp(`${script}$`, 'u')).test(path) : slow(path);
  };
}

function testOf(pattern: string): Test {
  const compiled = compile(pattern);
  if (compiled.wildcards > MAX_WILDCARDS) throw badPattern(pattern, `it has more than ${MAX_WILDCARDS} wildcards`);
  switch (compiled.type) {
    case 'exact':
      return (path) => path === pattern;
    case 'prefix': {
      const prefix = pattern.slice(0, -2);
      return (path) => path.startsWith(prefix);
    }
    case 'suffix': {
      const suffix = pattern.slice(2);
      const alone = suffix.startsWith('/') ? suffix.slice(1) : undefined;
      return (path) => path.endsWith(suffix) || path === alone;
    }
    case 'regex':
      return regexTest(pattern, compiled);
  }
}

/**
 * Makes a pattern of a cleaned text without `!`.
 * @throws StrakeError `PATTERN_INVALID` where Go's filepath.Match would not take it
 */
export function makePattern(text: string, exception: boolean): Pattern {
  goMatch(text, '.');
  let test: Test | undefined;
  return {
    text,
    exception,
    match: (path) => {
      test ??= testOf(text);
      return test(path);
    },
  };
}
