import fc from 'fast-check';

import type { LayerEntry } from '../src/index.js';
import { file, folder, hardlink, link, whiteout } from './support.js';

let counter = 0;
const component = fc.constantFrom('a', 'b', 'c', 'a.b');
const path = fc.array(component, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const draft = fc.record({
  path,
  kind: fc.constantFrom('file', 'file', 'directory', 'opaque', 'whiteout', 'symlink', 'hardlink'),
  mode: fc.constantFrom(0o755, 0o700),
});

/** A random layer whose entries fit each other: parents are folders, each path comes once (a whiteout beside it may). */
export const layer: fc.Arbitrary<LayerEntry[]> = fc.array(draft, { maxLength: 6 }).map((drafts) => {
  const made = new Map<string, LayerEntry>();
  const whiteouts: LayerEntry[] = [];
  for (const { path: at, kind, mode } of drafts) {
    const parents = at
      .split('/')
      .slice(1)
      .map((_, i) =>
        at
          .split('/')
          .slice(0, i + 1)
          .join('/'),
      );
    const below = [...made.keys()].some((other) => other.startsWith(`${at}/`));
    if (made.has(at) || parents.some((parent) => made.has(parent) && made.get(parent)?.type !== 'directory')) continue;
    if (kind === 'whiteout') whiteouts.push(whiteout(at));
    else if (kind === 'directory' || kind === 'opaque') made.set(at, folder(at, { mode, opaque: kind === 'opaque' }));
    else if (below) continue;
    else if (kind === 'symlink') made.set(at, link(at, 'a/b'));
    else if (kind === 'hardlink') {
      const target = [...made.values()].find(({ type }) => type === 'file')?.path;
      if (target !== undefined) made.set(at, hardlink(at, target));
    } else made.set(at, file(at, `content ${counter++}`));
  }
  // Implied folders that a whiteout of the same layer removes have no facts of their own; either order of events is right.
  const unclear = whiteouts.filter(({ path: at }) =>
    [...made.keys()].every((other) => !other.startsWith(`${at}/`) || made.has(at)),
  );
  return [...made.values(), ...unclear];
});
