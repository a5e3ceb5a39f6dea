import { StrakeError } from './errors.js';

/** Edits (insert, delete, replace) that turn A into B. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      current[j] = Math.min(
        (previous[j] ?? 0) + 1,
        (current[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** Words that are looked at, and how long one may be: names come from hostile files. */
const MOST_WORDS = 10;
const LONGEST_WORD = 200;

/** ` (did you mean NAME?)` for the first of WORDS that is almost one of CHOICES, else nothing: to be put behind a message. */
export function didYouMean(words: Iterable<string>, choices: Iterable<string>): string {
  const known = [...choices];
  for (const word of [...words].slice(0, MOST_WORDS)) {
    const near = word.length > LONGEST_WORD || known.includes(word) ? undefined : closest(word, known, 2);
    if (near !== undefined) return ` (did you mean ${near}?)`;
  }
  return '';
}

/** What ACTION returns; where it fails, the message tells which of CHOICES one of WORDS may have been meant to be. @throws StrakeError */
export function suggesting<T>(words: Iterable<string>, choices: Iterable<string>, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof StrakeError)) throw error;
    throw error.with({ message: `${error.message}${didYouMean(words, choices)}` });
  }
}

/** The one of CHOICES that WORD was probably meant to be, for "did you mean"; undefined where none is close. */
export function closest(word: string, choices: Iterable<string>, maxDistance = 3): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(maxDistance, Math.max(1, Math.ceil(word.length / 2))) + 1;
  for (const choice of choices) {
    const d = editDistance(word.toLowerCase(), choice.toLowerCase());
    if (d < bestDistance) {
      best = choice;
      bestDistance = d;
    }
  }
  return best;
}
