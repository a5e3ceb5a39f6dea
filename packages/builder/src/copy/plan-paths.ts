import type { OutlinePath } from '@strake/store';

import { joinTree, treePath } from '../tree/paths.js';
import { EntryList, type SelectedSource } from './selection.js';

/** Of more names the tree below is not asked one by one. */
const MOST = 2_000;

/** Where names of users and groups are looked up. */
export const USER_FILES: readonly OutlinePath[] = ['etc/passwd', 'etc/group'].map((path) => ({ path, deep: false }));

/**
 * Where the plan of a copy to DESTINATION looks at the tree below, if no link leads elsewhere: at the destination, and at what may be in
 * the way of what goes there. Undefined where that is not known beforehand, or much.
 */
export function copyPaths(sources: readonly SelectedSource[], destination: string): OutlinePath[] | undefined {
  const to = treePath(destination);
  const paths = [{ path: to, deep: false }];
  for (const source of sources) {
    if (source.unpack) return undefined;
    const inside = source.name === '' ? to : joinTree(to, source.name);
    if (source.entry.type !== 'directory') {
      paths.push({ path: inside, deep: false });
      continue;
    }
    if (!source.contentsOnly) paths.push({ path: inside, deep: true });
    for (const name of topNames(source)) {
      paths.push({ path: joinTree(to, name), deep: true });
      if (paths.length > MOST) return undefined;
    }
  }
  return paths;
}

/** The names directly in a folder that is copied. */
function topNames({ tree, entry, below }: SelectedSource): Iterable<string> {
  if (below instanceof EntryList) return tree.list(entry.path);
  return new Set(below.map(({ relative }) => relative.split('/', 1)[0] ?? ''));
}
