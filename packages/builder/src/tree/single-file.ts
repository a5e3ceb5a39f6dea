import { digestOf, type Digest } from '@strake/core';
import type { ContentSource } from '@strake/store';

import type { SelectedSource } from '../copy/selection.js';
import type { SourceEntry, SourceTree } from './source-tree.js';

export interface SingleFile {
  readonly name: string;
  readonly mode: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** The bytes, or a blob of the store that holds them. */
  readonly content: Uint8Array | { readonly blob: Digest; readonly size: number; read(): AsyncIterable<Uint8Array> };
  readonly unpack?: boolean | undefined;
}

/** A source that is one file: a heredoc, a download. */
export function singleFile(file: SingleFile): SelectedSource {
  const { content, name } = file;
  const inline = content instanceof Uint8Array;
  const entry: SourceEntry = {
    path: name,
    type: 'file',
    mode: file.mode,
    uid: 0,
    gid: 0,
    size: inline ? content.length : content.size,
    mtime: file.mtime,
  };
  const digest = inline ? digestOf(content) : content.blob;
  const tree: SourceTree = {
    lookup: (path) => (path === name ? entry : undefined),
    list: () => [],
    children: () => [],
    resolve: (path) => path,
    learn: () => Promise.resolve(),
    digest: () => digest,
    source: (): ContentSource =>
      inline ? { kind: 'bytes', bytes: content } : { kind: 'blob', blob: content.blob, offset: 0 },
    async *read() {
      if (inline) yield content;
      else yield* content.read();
    },
  };
  return { tree, name, entry, below: [], contentsOnly: true, unpack: file.unpack ?? false };
}
