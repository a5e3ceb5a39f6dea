import type { Digest } from '@strake/core';
import type { ContentSource, TreeView, ViewEntry } from '@strake/store';

import type { SourceEntry, SourceTree } from './source-tree.js';

/** The layers of a stage or an image as a source of COPY. Content digests are in the layers' indexes: nothing is read for them. */
export function layerTree(view: TreeView): SourceTree {
  const entryOf = (entry: SourceEntry): ViewEntry => {
    const found = view.lookup(entry.path);
    if (!found) throw new Error(`no ${entry.path} in the layers`);
    return found;
  };
  return {
    lookup: (path) => view.lookup(path),
    list: (path) => view.list(path),
    resolve: (path, options) => view.resolve(path, options),
    digests: (entries) => {
      const digests = new Map<string, Digest>();
      for (const entry of entries) {
        const digest = entryOf(entry).digest;
        if (digest) digests.set(entry.path, digest);
      }
      return Promise.resolve(digests);
    },
    source: (entry): ContentSource => view.source(entryOf(entry)),
    read: (entry) => view.open(entryOf(entry)),
  };
}
