import type { SelectedFact } from './types.js';

const MOST = 3;

function modeText(mode: number): string {
  return mode.toString(8).padStart(3, '0');
}

/** What of a file changed. Empty where nothing did. */
function factsChanged(before: SelectedFact, after: SelectedFact): string[] {
  const changes: string[] = [];
  const [, type, mode, uid, gid, size, link, digest] = after;
  if (before[1] !== type) changes.push(`${before[1]} → ${type}`);
  if (before[7] !== digest) changes.push(size === before[5] ? 'content' : `content, ${before[5]} → ${size} bytes`);
  if (before[2] !== mode) changes.push(`mode ${modeText(before[2])} → ${modeText(mode)}`);
  if (before[3] !== uid || before[4] !== gid) changes.push(`owner ${before[3]}:${before[4]} → ${uid}:${gid}`);
  if (before[6] !== link) changes.push(`link ${before[6]} → ${link}`);
  return changes;
}

/** Which files of two selections differ and in what, the first few of them: `src/a.c changed (content)`. */
export function compareFiles(before: readonly SelectedFact[], after: readonly SelectedFact[]): string[] {
  const old = new Map(before.map((fact) => [fact[0], fact]));
  const found: string[] = [];
  let more = 0;
  const add = (text: string): void => {
    if (found.length < MOST) found.push(text);
    else more++;
  };
  for (const fact of after) {
    const known = old.get(fact[0]);
    old.delete(fact[0]);
    const name = fact[0] === '' ? 'the folder itself' : fact[0];
    if (!known) add(`${name} is new`);
    else {
      const changes = factsChanged(known, fact);
      if (changes.length > 0) add(`${name} changed (${changes.join(', ')})`);
    }
  }
  for (const path of old.keys()) add(`${path} is gone`);
  if (more > 0) found.push(`and ${more} more`);
  return found;
}
