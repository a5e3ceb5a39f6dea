import { parserError } from './errors.js';
import { makePattern, type Pattern } from './pattern.js';
import { cleanPath, trimSpace } from './text.js';

/** What a folder's match says about what lies in it. Opaque; made by `matchDirectory`. */
export interface DirectoryMatch {
  readonly matched: boolean;
  /** For each pattern whether the folder or one of its parents matches it. */
  readonly perPattern: readonly boolean[];
}

/**
 * Patterns of an ignore file, of `--exclude` or of a `--parents` source, compiled. Paths are relative, with slashes, cleaned. The last
 * pattern that matches a path or one of its parents decides.
 */
export interface PatternMatcher {
  /** The patterns, cleaned; exceptions with `!`. */
  readonly patterns: readonly string[];
  /** Whether there are exceptions. */
  readonly hasExceptions: boolean;
  /** Whether PATH is matched, found out from the path alone. @throws StrakeError `PATTERN_INVALID` */
  matches(path: string): boolean;
  /**
   * In a walk: whether PATH is matched, given its parent folder's match (undefined for what lies at the top). Costs one test a pattern,
   * however deep the path is. @throws StrakeError `PATTERN_INVALID`
   */
  matchesIn(path: string, parent: DirectoryMatch | undefined): boolean;
  /** As `matchesIn`, for a folder whose content is walked next. */
  matchDirectory(path: string, parent: DirectoryMatch | undefined): DirectoryMatch;
  /**
   * Whether something below a matched (ignored) folder may be excepted, so that it must be walked: BuildKit's rule (fsutil's filter).
   * Once an exception holds a wildcard other than one `/*` or `/**` at its end, every folder may.
   */
  mayContainIncluded(directory: string): boolean;
}

function parentsOf(path: string): string[] {
  const out: string[] = [];
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) out.push(path.slice(0, at));
  return out;
}

/** Whether PATTERN matches PATH or one of its parents. The path itself comes first: its error counts. */
function matchesAny(pattern: Pattern, path: string, parents: readonly string[]): boolean {
  return pattern.match(path) || parents.some((parent) => pattern.match(parent));
}

function withoutTrailingGlob(text: string): string {
  const deep = text.endsWith('/**') ? text.slice(0, -3) : text;
  return deep.endsWith('/*') ? deep.slice(0, -2) : deep;
}

function compile(written: string): Pattern | undefined {
  const trimmed = trimSpace(written);
  if (trimmed === '') return undefined;
  const clean = cleanPath(trimmed);
  if (!clean.startsWith('!')) return makePattern(clean, false);
  if (clean === '!') {
    throw parserError(
      'PATTERN_INVALID',
      'illegal exclusion pattern: "!"',
      'Behind the ! stands the path that is not to be ignored.',
    );
  }
  return makePattern(clean.slice(1), true);
}

/**
 * Compiles patterns (moby/patternmatcher). A leading slash is not removed here, other than in an ignore file.
 * @throws StrakeError `PATTERN_INVALID`
 */
export function createPatternMatcher(written: readonly string[]): PatternMatcher {
  const patterns = written.map(compile).filter((pattern) => pattern !== undefined);
  const exceptions = patterns
    .filter((pattern) => pattern.exception)
    .map((pattern) => withoutTrailingGlob(pattern.text));
  const anywhere = exceptions.some((text) => /[*[\]?^\\]/.test(text));

  const evaluate = (path: string, parent: DirectoryMatch | undefined, record: boolean[] | undefined): boolean => {
    let matched = false;
    // Only at the top there is no record of the parents; then they are tried one by one.
    let parents: readonly string[] | undefined;
    for (let i = 0; i < patterns.length; i++) {
      const pattern = patterns[i];
      if (!pattern) continue;
      let match = parent?.perPattern[i] ?? false;
      if (!match && pattern.exception === matched) {
        match = parent ? pattern.match(path) : matchesAny(pattern, path, (parents ??= parentsOf(path)));
      }
      if (record) record[i] = match;
      if (match) matched = !pattern.exception;
    }
    return matched;
  };

  return {
    patterns: patterns.map((pattern) => (pattern.exception ? `!${pattern.text}` : pattern.text)),
    hasExceptions: exceptions.length > 0,
    matches: (path) => evaluate(path, undefined, undefined),
    matchesIn: (path, parent) => evaluate(path, parent, undefined),
    matchDirectory: (path, parent) => {
      const perPattern = new Array<boolean>(patterns.length).fill(false);
      return { matched: evaluate(path, parent, perPattern), perPattern };
    },
    mayContainIncluded: (directory) => {
      if (exceptions.length === 0) return false;
      return anywhere || exceptions.some((text) => `${text}/`.startsWith(`${directory}/`));
    },
  };
}
