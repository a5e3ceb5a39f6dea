import type { ContentSource, TreeView, ViewEntry } from '@strake/store';

import type { SourceEntry, SourceTree } from './source-tree.js';

/** The layers of a stage or an image as a source of COPY. Content digests are in the layers' indexes: nothing is read for them. */
export function layerTree(view: TreeView): SourceTree {
  const entryOf = (entry: SourceEntry): ViewEntry => {
    if ('layer' in entry) return entry as ViewEntry;
    const found = view.lookup(entry.path);
    if (!found) throw new Error(`no ${entry.path} in the layers`);
    return found;
  };
  return {
    lookup: (path) => view.lookup(path),
    list: (path) => view.list(path),
    children: (path) => view.children(path),
    resolve: (path, options) => view.resolve(path, options),
    learn: () => Promise.resolve(),
    digest: (entry) => entryOf(entry).digest,
    source: (entry): ContentSource => view.source(entryOf(entry)),
    read: (entry) => view.open(entryOf(entry)),
  };
}
