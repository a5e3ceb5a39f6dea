import type { InstructionChange } from './types.js';

/** Words of one text that are compared word by word; longer ones only by what they have in common at both ends. */
const MOST_WORDS = 400;

/** Words with what separates them, so that joined they are the text again. */
function words(text: string): string[] {
  return text.match(/\s*\S+/g) ?? [];
}

/** Lengths of the longest common subsequences of all ends of A and B. */
function commonLengths(a: readonly string[], b: readonly string[]): Uint16Array[] {
  const rows = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    const [row, below] = [rows[i], rows[i + 1]];
    if (!row || !below) continue;
    for (let j = b.length - 1; j >= 0; j--) {
      row[j] = a[i] === b[j] ? (below[j + 1] ?? 0) + 1 : Math.max(below[j] ?? 0, row[j + 1] ?? 0);
    }
  }
  return rows;
}

/** Where two texts differ, word by word. Empty where they do not but for blanks. */
export function diffInstructions(before: string, after: string): InstructionChange[] {
  let [a, b] = [words(before), words(after)];
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  [a, b] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const text = (part: readonly string[]): string => part.join('').trim();
  if (a.length > MOST_WORDS || b.length > MOST_WORDS) return [{ before: text(a), after: text(b) }];
  const common = commonLengths(a, b);
  const changes: InstructionChange[] = [];
  let [gone, come]: [string[], string[]] = [[], []];
  const flush = (): void => {
    if (text(gone) !== text(come)) changes.push({ before: text(gone), after: text(come) });
    [gone, come] = [[], []];
  };
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      flush();
      i++;
      j++;
    } else if (j >= b.length || (i < a.length && (common[i + 1]?.[j] ?? 0) >= (common[i]?.[j + 1] ?? 0))) {
      gone.push(a[i++] ?? '');
    } else come.push(b[j++] ?? '');
  }
  flush();
  return changes;
}

/** A text of any length on a part of a line. */
function short(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  return line.length <= 100 ? line : `${line.slice(0, 60)} … ${line.slice(-30)}`;
}

/** `-old +new` for each place. */
export function shownChanges(changes: readonly InstructionChange[]): string {
  return changes
    .map(({ before, after }) =>
      [before && `-${short(before)}`, after && `+${short(after)}`].filter((part) => part !== '').join(' '),
    )
    .join(' … ');
}
