import type { Digest } from '@strake/core';

import { FEW_BYTES, FEW_ENTRIES } from '../small.js';
import type { ContentSource, EntryFacts, EntryType, LayerEntry } from '../entries.js';

/** How many entries go to the worker in one message, and how many bytes of contents. */
const BATCH_ENTRIES = 1024;
const BATCH_BYTES = 4 << 20;
const NUMBERS = 6;
const TYPES: readonly (EntryType | 'whiteout')[] = [
  'file',
  'directory',
  'symlink',
  'hardlink',
  'char',
  'block',
  'fifo',
  'whiteout',
];

/** What most entries lack. */
interface Rest {
  readonly link?: string | undefined;
  readonly device?: EntryFacts['device'];
  readonly xattrs?: EntryFacts['xattrs'];
  readonly opaque?: boolean | undefined;
  readonly content?: ContentSource | undefined;
  readonly windows?: boolean | undefined;
}

/** Entries as columns: a structured clone of fifty thousand objects would cost as much as writing their layer. */
export interface EntryBatch {
  readonly count: number;
  /** Joined by NUL. */
  readonly paths: string;
  /** type, mode, uid, gid, size, mtime of each entry. */
  readonly numbers: Float64Array;
  readonly roots: readonly string[];
  /** The root of each entry's content, or 255: no file of a root. */
  readonly rootOf: Uint8Array;
  /** Paths below the root where they differ from the entry's, joined by NUL. */
  readonly sources: string;
  /** Hex digits of the digests expected, joined by NUL. */
  readonly digests: string;
  readonly blobs: readonly Digest[];
  /** The blob that each entry's content is a range of, or 255: of none; and where in it the range starts. */
  readonly blobOf: Uint8Array;
  readonly offsets: Float64Array;
  readonly rest: readonly (readonly [number, Rest])[];
}

const NO_ROOT = 255;

/** Entries as they go through a message port. */
export function encodeEntries(entries: readonly LayerEntry[]): EntryBatch {
  const numbers = new Float64Array(entries.length * NUMBERS);
  const rootOf = new Uint8Array(entries.length).fill(NO_ROOT);
  const roots: string[] = [];
  const sources: string[] = [];
  const digests: string[] = [];
  const blobOf = new Uint8Array(entries.length).fill(NO_ROOT);
  const blobs: Digest[] = [];
  const offsets = new Float64Array(entries.length);
  const rest: [number, Rest][] = [];
  entries.forEach((entry, i) => {
    const at = i * NUMBERS;
    numbers[at] = TYPES.indexOf(entry.type);
    let source = '';
    let digest = '';
    const { windows } = entry;
    if (entry.type === 'whiteout') {
      if (windows) rest.push([i, { windows }]);
    } else {
      numbers[at + 1] = entry.mode;
      numbers[at + 2] = entry.uid;
      numbers[at + 3] = entry.gid;
      numbers[at + 4] = entry.size;
      numbers[at + 5] = entry.mtime;
      const { link, device, xattrs, opaque } = entry;
      let content = entry.content;
      if (content?.kind === 'file') {
        let root = roots.indexOf(content.root);
        if (root < 0 && roots.length < NO_ROOT) root = roots.push(content.root) - 1;
        if (root >= 0) {
          rootOf[i] = root;
          source = content.path === entry.path ? '' : content.path;
          digest = content.digest?.slice(7) ?? '';
          content = undefined;
        }
      } else if (content?.kind === 'blob' && content.segments === undefined) {
        let blob = blobs.indexOf(content.blob);
        if (blob < 0 && blobs.length < NO_ROOT) blob = blobs.push(content.blob) - 1;
        if (blob >= 0) {
          blobOf[i] = blob;
          offsets[i] = content.offset;
          digest = content.digest?.slice(7) ?? '';
          content = undefined;
        }
      }
      if (link !== undefined || device || xattrs || opaque || content || windows) {
        rest.push([i, { link, device, xattrs, opaque, content, windows }]);
      }
    }
    sources.push(source);
    digests.push(digest);
  });
  return {
    count: entries.length,
    paths: entries.map((entry) => entry.path).join('\0'),
    numbers,
    roots,
    rootOf,
    sources: sources.join('\0'),
    digests: digests.join('\0'),
    blobs,
    blobOf,
    offsets,
    rest,
  };
}

/** Entries in batches, each as it goes through a message port. */
export async function* batchesOf(
  entries: Iterable<LayerEntry> | AsyncIterable<LayerEntry>,
): AsyncGenerator<EntryBatch> {
  let batch: LayerEntry[] = [];
  let bytes = 0;
  const take = (entry: LayerEntry): boolean => {
    batch.push(entry);
    if (entry.type !== 'whiteout' && entry.content?.kind === 'bytes') bytes += entry.content.bytes.length;
    return batch.length >= BATCH_ENTRIES || bytes >= BATCH_BYTES;
  };
  const flush = (): EntryBatch => {
    const encoded = encodeEntries(batch);
    batch = [];
    bytes = 0;
    return encoded;
  };
  if (Symbol.iterator in entries) {
    for (const entry of entries) if (take(entry)) yield flush();
  } else {
    for await (const entry of entries) if (take(entry)) yield flush();
  }
  if (batch.length > 0) yield flush();
}

/** Whether a batch is all there is (one of so few entries is the last), and written in milliseconds. */
export function isSmall({ count, numbers }: EntryBatch): boolean {
  if (count > FEW_ENTRIES) return false;
  let bytes = 0;
  for (let i = 0; i < count; i++) bytes += numbers[i * NUMBERS + 4] ?? 0;
  return bytes <= FEW_BYTES;
}

/** The entries of a batch. */
export function* entriesOf(batch: EntryBatch): Generator<LayerEntry> {
  const paths = batch.paths.split('\0');
  const sources = batch.sources.split('\0');
  const digests = batch.digests.split('\0');
  let next = 0;
  for (let i = 0; i < batch.count; i++) {
    const at = i * NUMBERS;
    const number = (column: number): number => batch.numbers[at + column] ?? 0;
    const path = paths[i] ?? '';
    const type = TYPES[number(0)] ?? 'file';
    const rest = batch.rest[next]?.[0] === i ? batch.rest[next++]?.[1] : undefined;
    if (type === 'whiteout') {
      yield { path, type, windows: rest?.windows };
      continue;
    }
    const root = batch.roots[batch.rootOf[i] ?? NO_ROOT];
    const digest: Digest | undefined = digests[i] ? `sha256:${digests[i]}` : undefined;
    const blob = batch.blobs[batch.blobOf[i] ?? NO_ROOT];
    const content: ContentSource | undefined =
      root !== undefined
        ? { kind: 'file', root, path: sources[i] || path, digest }
        : blob !== undefined
          ? { kind: 'blob', blob, offset: batch.offsets[i] ?? 0, digest }
          : rest?.content;
    yield {
      path,
      type,
      mode: number(1),
      uid: number(2),
      gid: number(3),
      size: number(4),
      mtime: number(5),
      link: rest?.link,
      device: rest?.device,
      xattrs: rest?.xattrs,
      opaque: rest?.opaque,
      content,
      windows: rest?.windows,
    };
  }
}

/** FIRST, and then the others. */
export async function* startingWith(first: EntryBatch, rest: AsyncIterable<EntryBatch>): AsyncGenerator<EntryBatch> {
  yield first;
  yield* rest;
}
