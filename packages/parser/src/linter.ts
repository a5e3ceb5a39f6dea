import { editDistance, type SourceLocation } from '@strake/core';
import { parseCheck } from './check-directive.js';
import { readDirective } from './directives.js';
import type { LintRule } from './lint-rules.js';
import { cut } from './text.js';
import type { CheckDirective, LintWarning } from './types.js';

/** Names that all suggestions of a run may be compared with. */
const MAX_COMPARISONS = 100_000;

/** Collects warnings, minus those of rules that are skipped. */
export class Linter {
  readonly #check: CheckDirective;
  readonly #warnings: LintWarning[];
  readonly #comparisons: { left: number };

  constructor(
    check: CheckDirective | undefined,
    warnings: LintWarning[],
    comparisons: { left: number } = { left: MAX_COMPARISONS },
  ) {
    this.#check = check ?? parseCheck('');
    this.#warnings = warnings;
    this.#comparisons = comparisons;
  }

  /** A linter for an instruction below COMMENTS: the first `check=` among them adds its `skip` and `experimental`. */
  below(comments: readonly string[]): Linter {
    for (const comment of comments) {
      const directive = readDirective(comment);
      if (directive?.name !== 'check') continue;
      let more: CheckDirective;
      try {
        more = parseCheck(cut(directive.value, ' ')[0]);
      } catch {
        return this; // A malformed one above an instruction is a comment, as in BuildKit.
      }
      const { skip, skipAll, experimental, experimentalAll, error } = this.#check;
      return new Linter(
        {
          skip: [...skip, ...more.skip],
          skipAll: skipAll || more.skipAll,
          experimental: [...experimental, ...more.experimental],
          experimentalAll: experimentalAll || more.experimentalAll,
          error,
        },
        this.#warnings,
        this.#comparisons,
      );
    }
    return this;
  }

  warn({ name, description, url, experimental }: LintRule, location: SourceLocation, message: string): void {
    const check = this.#check;
    const silent = experimental
      ? !check.experimentalAll && !check.experimental.includes(name)
      : check.skipAll || check.skip.includes(name);
    if (!silent) this.#warnings.push({ rule: name, description, url, message, location });
  }

  /** ` (did you mean X?)` as BuildKit's linter adds it: the nearest of CHOICES within two edits, letter case counting; or nothing. */
  suggest(word: string, choices: Iterable<string>, prefix = ''): string {
    if (word.length > 200) return '';
    let best: string | undefined;
    let bestDistance = 3;
    for (const choice of choices) {
      if (choice === word || this.#comparisons.left-- <= 0) return '';
      if (Math.abs(choice.length - word.length) >= bestDistance) continue;
      const distance = editDistance(word, choice);
      if (distance >= bestDistance) continue;
      best = choice;
      bestDistance = distance;
    }
    return best === undefined ? '' : ` (did you mean ${prefix}${best}?)`;
  }
}
