import { badPattern } from './errors.js';
import { codePoints } from './text.js';

/** One character of a pattern that is no star. */
type Single =
  | { readonly kind: 'char'; readonly point: number }
  | { readonly kind: 'any' }
  | { readonly kind: 'class'; readonly negated: boolean; readonly ranges: readonly (readonly [number, number])[] };

const SLASH = 0x2f;

/** One end of a range within a class. */
function classChar(points: readonly number[], at: number, pattern: string): readonly [number, number] {
  let position = at;
  const first = points[position];
  if (first === undefined || first === 0x2d || first === 0x5d) throw badPattern(pattern);
  if (first === 0x5c) position++;
  const point = points[position];
  // A class must go on behind every character: it is not closed yet.
  if (point === undefined || position + 1 >= points.length) throw badPattern(pattern);
  return [point, position + 1];
}

function parseClass(points: readonly number[], at: number, pattern: string): readonly [Single, number] {
  let position = at;
  const negated = points[position] === 0x5e;
  if (negated) position++;
  const ranges: [number, number][] = [];
  for (;;) {
    if (points[position] === 0x5d && ranges.length > 0) break;
    const [low, next] = classChar(points, position, pattern);
    position = next;
    let high = low;
    if (points[position] === 0x2d) [high, position] = classChar(points, position + 1, pattern);
    ranges.push([low, high]);
  }
  return [{ kind: 'class', negated, ranges }, position + 1];
}

/** The runs of single characters between the stars of PATTERN. */
function parsePattern(pattern: string): Single[][] {
  const points = codePoints(pattern);
  let run: Single[] = [];
  const runs = [run];
  for (let position = 0; position < points.length;) {
    const point = points[position] ?? 0;
    if (point === 0x2a) {
      run = [];
      runs.push(run);
      position++;
    } else if (point === 0x3f) {
      run.push({ kind: 'any' });
      position++;
    } else if (point === 0x5b) {
      const [single, next] = parseClass(points, position + 1, pattern);
      run.push(single);
      position = next;
    } else {
      if (point === 0x5c) position++;
      const literal = points[position];
      if (literal === undefined) throw badPattern(pattern, 'nothing follows the backslash');
      run.push({ kind: 'char', point: literal });
      position++;
    }
  }
  return runs;
}

function fits(single: Single, point: number | undefined): boolean {
  if (point === undefined) return false;
  if (single.kind === 'char') return single.point === point;
  if (single.kind === 'any') return point !== SLASH;
  return single.ranges.some(([low, high]) => low <= point && point <= high) !== single.negated;
}

function fitsAt(run: readonly Single[], name: readonly number[], at: number): boolean {
  if (at + run.length > name.length) return false;
  return run.every((single, i) => fits(single, name[at + i]));
}

/** A compiled pattern. */
export type NameMatcher = (name: string) => boolean;

/**
 * Compiles a pattern of Go's path.Match: `*` is any text without a slash, `?` one character other than a slash, `[a-z]` and `[^a-z]`
 * one of a class, `\` takes the meaning from the next character. It must match the whole name.
 * @throws StrakeError `PATTERN_INVALID`
 */
export function compileGoMatch(pattern: string): NameMatcher {
  const runs = parsePattern(pattern);
  const first = runs[0] ?? [];
  const last = runs[runs.length - 1] ?? [];
  return (text) => {
    const name = codePoints(text);
    if (!fitsAt(first, name, 0)) return false;
    let at = first.length;
    if (runs.length === 1) return at === name.length;
    // Each run at its earliest place: a star never gains by taking more.
    for (const run of runs.slice(1, -1)) {
      while (!fitsAt(run, name, at)) {
        if (at >= name.length || name[at] === SLASH) return false;
        at++;
      }
      at += run.length;
    }
    const end = name.length - last.length;
    if (end < at || !fitsAt(last, name, end)) return false;
    return !name.slice(at, end).includes(SLASH);
  };
}

/**
 * Whether the whole of NAME matches PATTERN: Go's path.Match, and filepath.Match on Linux. Source wildcards of COPY are matched so,
 * element by element.
 * @throws StrakeError `PATTERN_INVALID`
 */
export function goMatch(pattern: string, name: string): boolean {
  return compileGoMatch(pattern)(name);
}
