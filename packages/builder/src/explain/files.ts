import type { FactChange, SelectedFact, StepReason } from './types.js';

/** Files that are told of one selection. */
const MOST = 20;

function modeText(mode: number): string {
  return mode.toString(8).padStart(3, '0');
}

/** What of a file changed. Empty where nothing did. */
function factsChanged(before: SelectedFact, after: SelectedFact): FactChange[] {
  const changes: FactChange[] = [];
  const add = (fact: FactChange['fact'], a: unknown, b: unknown): void => {
    changes.push({ fact, before: String(a), after: String(b) });
  };
  const [, type, mode, uid, gid, size, link, digest] = after;
  if (before[1] !== type) add('type', before[1], type);
  else if (before[7] !== digest) add('content', before[5], size);
  if (before[2] !== mode) add('mode', modeText(before[2]), modeText(mode));
  if (before[3] !== uid || before[4] !== gid) add('owner', `${before[3]}:${before[4]}`, `${uid}:${gid}`);
  // What a folder has for a link is the commit of the repository that it is.
  if (before[6] !== link) add(type === 'directory' ? 'commit' : 'link', before[6], link);
  return changes;
}

function shownFact({ fact, before, after }: FactChange): string {
  if (fact === 'content') return before === after ? 'content' : `content, ${before} → ${after} bytes`;
  return fact === 'type' ? `${before} → ${after}` : `${fact} ${before || 'none'} → ${after || 'none'}`;
}

/** Which files of two selections differ and in what, the first of them: `src/a.c changed (content)`. */
export function compareFiles(before: readonly SelectedFact[], after: readonly SelectedFact[]): StepReason[] {
  const old = new Map(before.map((fact) => [fact[0], fact]));
  const found: StepReason[] = [];
  let more = 0;
  const add = (path: string, change: 'new' | 'gone' | 'changed', facts: readonly FactChange[] = []): void => {
    const name = path === '' ? 'the folder itself' : path;
    const what = change === 'changed' ? `changed (${facts.map(shownFact).join(', ')})` : `is ${change}`;
    if (found.length < MOST) found.push({ kind: 'file', path, change, facts, text: `${name} ${what}` });
    else more++;
  };
  for (const fact of after) {
    const known = old.get(fact[0]);
    old.delete(fact[0]);
    if (!known) add(fact[0], 'new');
    else {
      const changes = factsChanged(known, fact);
      if (changes.length > 0) add(fact[0], 'changed', changes);
    }
  }
  for (const path of old.keys()) add(path, 'gone');
  if (more > 0) found.push({ kind: 'more-files', text: `and ${more} more` });
  return found;
}
