import { compileGoMatch, createPatternMatcher, goMatch, type PatternMatcher } from '@strake/parser';

import { builderError } from '../errors.js';
import { baseName, joinTree, treePath } from '../tree/paths.js';
import type { SourceEntry, SourceTree } from '../tree/source-tree.js';
import { EntryList, type SelectedEntry, type SelectedSource } from './selection.js';

export interface SelectOptions {
  /** `--exclude`. */
  readonly exclude: readonly string[];
  readonly parents: boolean;
  readonly unpack: boolean;
  /** A path without wildcards, as of a mount. */
  readonly literal?: boolean | undefined;
  /** What a path is said to be missing from: `the context`, `stage "build"`. */
  readonly where: string;
}

/**
 * Finds one source of a COPY or ADD in a tree: Go's filepath.Match wildcards (no match is no error), links followed, folders
 * walked. @throws StrakeError `COPY_SOURCE_NOT_FOUND`
 */
export function selectSource(tree: SourceTree, pattern: string, options: SelectOptions): SelectedSource[] {
  return options.parents ? selectWithParents(tree, pattern, options) : selectPlain(tree, pattern, options);
}

function selectPlain(tree: SourceTree, pattern: string, options: SelectOptions): SelectedSource[] {
  const exclude = options.exclude.length > 0 ? createPatternMatcher(options.exclude) : undefined;
  const paths = options.literal ? [treePath(pattern)] : matches(tree, pattern, options.where);
  return paths.map((path) => {
    const entry = tree.lookup(tree.resolve(path));
    if (!entry) throw notFound(path, options.where);
    return {
      tree,
      name: baseName(path),
      entry,
      below: entry.type === 'directory' ? walk(tree, entry, { exclude }) : [],
      contentsOnly: true,
      unpack: options.unpack,
    };
  });
}

function selectWithParents(tree: SourceTree, pattern: string, options: SelectOptions): SelectedSource[] {
  const pivot = pattern.indexOf('/./');
  const base = pivot < 0 ? '' : pattern.slice(0, pivot);
  const kept = treePath(pivot < 0 ? pattern : pattern.slice(pivot + 3));
  const exclude = options.exclude.length > 0 ? createPatternMatcher(options.exclude) : undefined;
  const rules = { exclude, include: createPatternMatcher([kept]), includeParts: kept.split('/') };
  const required = !hasWildcards(base) && !hasWildcards(kept);
  if (required) {
    // As BuildKit looks for it: a path that goes through no link, and no folder of which nothing is kept.
    if (kept === '') throw nothingKept(treePath(base), options.where);
    const path = joinTree(treePath(base), kept);
    if (!tree.lookup(path)) throw notFound(path, options.where);
  }
  return matches(tree, base, options.where).map((path) => {
    const entry = tree.lookup(tree.resolve(path));
    if (!entry) throw notFound(path, options.where);
    if (required && exclude && !holds(found(tree, entry, rules), kept)) {
      throw excluded(joinTree(treePath(base), kept), options.where);
    }
    const below = kept === '' ? [] : walk(tree, entry, rules);
    return { tree, name: baseName(path), entry, below, contentsOnly: true, unpack: false };
  });
}

/** Whether PATH or something in it is among ENTRIES. */
function holds(entries: Iterable<SelectedEntry>, path: string): boolean {
  for (const { relative } of entries) if (relative.startsWith(path)) return true;
  return false;
}

/**
 * The paths that a pattern stands for, which may be none; one without wildcards stands for itself, there or not. What it says in front
 * of its first wildcard must be there. @throws StrakeError `COPY_SOURCE_NOT_FOUND`, `PATTERN_INVALID`
 */
function matches(tree: SourceTree, pattern: string, where: string): string[] {
  const parts = treePath(pattern).split('/');
  const wild = parts.findIndex(hasWildcards);
  if (wild < 0) return [parts.join('/')];
  // All of it is read before anything is compared: a malformed pattern is one where no name gets that far, too.
  const matchers = parts.slice(wild).map(compileGoMatch);
  const start = tree.resolve(parts.slice(0, wild).join('/'));
  if (start !== '' && !tree.lookup(start)) throw notFound(start, where);
  let found = [start];
  for (const fits of matchers) {
    found = found.flatMap((folder) =>
      tree
        .list(folder)
        .filter(fits)
        .map((name) => joinTree(folder, name)),
    );
  }
  return found;
}

/** Whether Go's filepath.Match takes a character of NAME as special. */
function hasWildcards(name: string): boolean {
  return /(?:^|[^\\])(?:\\\\)*[*?[]/.test(name);
}

interface WalkRules {
  readonly exclude?: PatternMatcher | undefined;
  readonly include?: PatternMatcher | undefined;
  /** The include pattern's components, to leave out folders that cannot match. */
  readonly includeParts?: readonly string[] | undefined;
}

/** What lies below a folder and passes the rules; folders that only lead to something come right before it. */
function walk(tree: SourceTree, root: SourceEntry, rules: WalkRules): EntryList {
  const { exclude, include } = rules;
  // What lies deep in an excluded folder shows in no other folder's facts.
  const name = include || exclude?.hasExceptions ? undefined : JSON.stringify([root.path, exclude?.patterns ?? []]);
  const recalled = name === undefined ? undefined : EntryList.recall(tree, root.path, name);
  return recalled ?? new EntryList(tree, root.path, found(tree, root, rules), name);
}

function* found(tree: SourceTree, root: SourceEntry, rules: WalkRules): Generator<SelectedEntry> {
  const start = root.path === '' ? 0 : root.path.length + 1;
  /** Folders on the way here that have not been given out: they are only where something in them is. */
  const waiting: SelectedEntry[] = [];
  // A stack instead of recursion: an entry would go through as many generators as it has folders above it.
  const levels: { readonly children: Iterator<SourceEntry>; readonly waits: SelectedEntry | undefined }[] = [];
  const enter = (path: string, matched: boolean, waits?: SelectedEntry): void => {
    if (waits) waiting.push(waits);
    levels.push({ children: candidates(tree, path, levels.length, matched, rules)[Symbol.iterator](), waits });
  };
  enter(root.path, false);
  for (let top = levels.at(-1); top; top = levels.at(-1)) {
    const next = top.children.next();
    if (next.done) {
      levels.pop();
      if (top.waits && waiting.at(-1) === top.waits) waiting.pop();
      continue;
    }
    const entry = next.value;
    const relative = entry.path.slice(start);
    const excluded = rules.exclude?.matches(relative) ?? false;
    if (excluded && !rules.exclude?.hasExceptions) continue;
    const matched = rules.include?.matches(relative) ?? true;
    const included = matched && !excluded;
    if (included) {
      yield* waiting.splice(0);
      yield { relative, entry };
    }
    if (entry.type !== 'directory') continue;
    enter(entry.path, matched, included ? undefined : { relative, entry, implied: true });
  }
}

/** What is in a folder at DEPTH that the include pattern leaves possible; all, where there is none or it matched already. */
function candidates(
  tree: SourceTree,
  folder: string,
  depth: number,
  matched: boolean,
  { includeParts }: WalkRules,
): Iterable<SourceEntry> {
  if (!includeParts || matched || includeParts.slice(0, depth + 1).some((part) => part.includes('**'))) {
    return tree.children(folder);
  }
  const part = includeParts[depth];
  if (part === undefined) return [];
  if (!/[*?[\\]/.test(part)) {
    const only = tree.lookup(joinTree(folder, part));
    return only ? [only] : [];
  }
  return matching(tree.children(folder), part);
}

function* matching(entries: Iterable<SourceEntry>, part: string): Generator<SourceEntry> {
  for (const entry of entries) if (goMatch(part, baseName(entry.path))) yield entry;
}

function nothingKept(path: string, where: string): Error {
  return builderError(
    'COPY_SOURCE_NOT_FOUND',
    `"/${path}": not found in ${where}: --parents is given no path to keep`,
    {
      hint: `Name what lies in it, such as ${path === '' ? '' : `${path}/./`}*, or leave --parents out.`,
    },
  );
}

function excluded(path: string, where: string): Error {
  return builderError('COPY_SOURCE_NOT_FOUND', `"/${path}": not found in ${where}: --exclude leaves it out`, {
    hint: 'With --parents a path without wildcards must be there after --exclude: leave one of the two out.',
  });
}

function notFound(path: string, where: string): Error {
  return builderError('COPY_SOURCE_NOT_FOUND', `"/${path}": not found in ${where}`, {
    hint: 'Check the spelling, and whether .dockerignore leaves it out.',
  });
}
