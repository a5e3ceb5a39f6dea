import { LONGEST_PATH, MAX_LINKS } from '../tree/paths.js';
import type { Place, TargetFacts } from './target-tree.js';

/** How far a path has been followed in a tree in the making. */
export interface PathWalk {
  readonly path: string;
  /** Undefined where nothing is planned or remembered. */
  readonly place: Place | undefined;
  /** Whether something planned on the way hides what the base has at the path. */
  readonly hidden: boolean;
  /** Whether there can be nothing below. */
  readonly missing: boolean;
}

/** What SEE tells of a name in a folder. */
interface Seen {
  readonly facts: TargetFacts | undefined;
  readonly walk: PathWalk;
}

/**
 * Follows PATH and the links on it from START, which is taken for the root; each component is looked at once. Missing ones stay.
 * @returns where it ends, and in WHY what is wrong with it
 */
export function followPath(
  path: string,
  start: PathWalk,
  see: (at: PathWalk, part: string) => Seen,
  nofollow: boolean,
): { readonly end: PathWalk; readonly why?: string | undefined } {
  const way = [start];
  const todo = path.split('/').reverse();
  let links = 0;
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    const at = way.at(-1) ?? start;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (way.length > 1) way.pop();
      continue;
    }
    const { facts, walk } = see(at, part);
    const last = nofollow && todo.every((rest) => rest === '' || rest === '.');
    if (!last && facts?.type === 'symlink' && facts.link !== undefined) {
      if (++links > MAX_LINKS) return { end: at, why: 'leads in a circle of links' };
      if (facts.link.startsWith('/')) way.length = 1;
      todo.push(...facts.link.split('/').reverse());
      continue;
    }
    if (walk.path.length > LONGEST_PATH)
      return { end: at, why: `is too long: a path has ${LONGEST_PATH} bytes at most` };
    way.push(walk);
  }
  return { end: way.at(-1) ?? start };
}
