import { parserError } from './errors.js';
import { MAX_LINE_BYTES } from './source.js';
import { byteLength, cleanPath, clip, trimSpace } from './text.js';

/** A million take 2 GB of memory as expressions. */
const MOST_PATTERNS = 100_000;

/**
 * The patterns of a `.dockerignore` (moby/patternmatcher/ignorefile): lines that begin with `#` are comments, blanks around a pattern
 * do not count, patterns are cleaned and lose a leading slash; `!` marks exceptions.
 * @throws StrakeError `PATTERN_INVALID` where a line is longer than 64 KiB, or there are more than 100,000 patterns
 */
export function parseIgnoreFile(text: string): string[] {
  const out: string[] = [];
  for (const line of (text.startsWith('\uFEFF') ? text.slice(1) : text).split('\n')) {
    if (line.length * 3 > MAX_LINE_BYTES && byteLength(line) > MAX_LINE_BYTES) {
      throw parserError('PATTERN_INVALID', `a line of the ignore file is too long: ${clip(line, 40)}`);
    }
    if (line.startsWith('#')) continue;
    const pattern = trimSpace(line);
    if (pattern === '') continue;
    const exception = pattern.startsWith('!');
    let path = exception ? trimSpace(pattern.slice(1)) : pattern;
    if (path !== '') {
      path = cleanPath(path);
      if (path.length > 1 && path.startsWith('/')) path = path.slice(1);
    }
    if (out.length === MOST_PATTERNS) {
      throw parserError('PATTERN_INVALID', `the ignore file has too many patterns: the limit is ${MOST_PATTERNS}`);
    }
    out.push(exception ? `!${path}` : path);
  }
  return out;
}
