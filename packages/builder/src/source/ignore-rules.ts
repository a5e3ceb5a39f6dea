import { isStrakeError } from '@strake/core';
import { createPatternMatcher, parseIgnoreFile, type DirectoryMatch } from '@strake/parser';

import type { IgnoreRules } from '../tree/ignore.js';
import { parentPath } from '../tree/paths.js';

/**
 * What an ignore file (its text, and its name for messages) hides. Undefined where it holds no pattern.
 * @throws StrakeError `PATTERN_INVALID`, also on use
 */
export function ignoreRules(text: string, file: string): IgnoreRules | undefined {
  const named = <T>(task: () => T): T => sayingFile(file, task);
  const matcher = named(() => createPatternMatcher(parseIgnoreFile(text)));
  if (matcher.patterns.length === 0) return undefined;
  const folders = new Map<string, DirectoryMatch>();
  const folderMatch = (folder: string): DirectoryMatch | undefined => {
    if (folder === '') return undefined;
    let match = folders.get(folder);
    if (!match) {
      match = matcher.matchDirectory(folder, folderMatch(parentPath(folder)));
      folders.set(folder, match);
    }
    return match;
  };
  return {
    excluded: (path) => named(() => matcher.matchesIn(path, folderMatch(parentPath(path)))),
    hasExceptions: matcher.hasExceptions,
    mayContainIncluded: (folder) => matcher.mayContainIncluded(folder),
  };
}

/**
 * The patterns of an ignore file, all of which are sound: a build fails for one that is not, whether it reads the context or not.
 * @throws StrakeError `PATTERN_INVALID`
 */
export function soundPatterns(text: string, file: string): readonly string[] {
  const patterns = parseIgnoreFile(text);
  sayingFile(file, () => createPatternMatcher(patterns));
  return patterns;
}

/** Does TASK; what it fails with tells of FILE. */
function sayingFile<T>(file: string, task: () => T): T {
  try {
    return task();
  } catch (error) {
    throw isStrakeError(error) ? error.with({ message: `${file}: ${error.message}` }) : error;
  }
}
