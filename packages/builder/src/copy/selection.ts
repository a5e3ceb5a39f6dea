import { canonicalJson, type Digest } from '@strake/core';
import { createHash } from 'node:crypto';

import type { SelectedFact } from '../explain/types.js';
import type { SourceEntry, SourceTree } from '../tree/source-tree.js';

/** An entry below a selected source. */
export interface SelectedEntry {
  /** Relative to the source; '' for the source itself. */
  readonly relative: string;
  readonly entry: SourceEntry;
  /** A folder that only leads to what was selected: its time is not copied. */
  readonly implied?: boolean | undefined;
}

/** One source of a COPY or ADD, found and walked. */
export interface SelectedSource {
  readonly tree: SourceTree;
  /** The name under which a file goes into a destination folder. */
  readonly name: string;
  /** The source itself, links followed. A folder's entry may be synthetic (`--parents`). */
  readonly entry: SourceEntry;
  /** Folders and files below a folder, parents first; the source itself is not among them. */
  readonly below: readonly SelectedEntry[];
  /** False for remote trees: their own root's facts go to the destination. */
  readonly contentsOnly: boolean;
  /** Unpack it, where it is a tar archive. */
  readonly unpack: boolean;
  /** Where it was fetched from, for people: an address without credentials, of a repository with the commit. */
  readonly origin?: { readonly address: string; readonly commit?: string | undefined } | undefined;
}

/** The facts that the digest below is made of, by path, for people: what of a selection changed between two builds. */
export async function selectionFacts(
  sources: readonly SelectedSource[],
  signal?: AbortSignal,
): Promise<SelectedFact[]> {
  const facts: SelectedFact[] = [];
  for (const { tree, entry, below, origin } of sources) {
    const digests = await tree.digests([entry, ...below.map((selected) => selected.entry)], signal);
    for (const e of [entry, ...below.map((selected) => selected.entry)]) {
      // A repository's own folder has no link: there stands its commit.
      const link = e.link ?? (e === entry ? (origin?.commit ?? '') : '');
      facts.push([shownPath(e.path, origin), e.type, e.mode, e.uid, e.gid, e.size, link, digests.get(e.path) ?? '']);
    }
  }
  return facts;
}

/** A path for people; of what was fetched the address, and behind it the path in a repository. */
function shownPath(path: string, origin: SelectedSource['origin']): string {
  if (!origin) return path;
  return origin.commit === undefined || path === '' ? origin.address : `${path} of ${origin.address}`;
}

/** How many files are selected, the sources themselves included. */
export function selectionSize(sources: readonly SelectedSource[]): number {
  return sources.reduce((sum, { below }) => sum + 1 + below.length, 0);
}

/**
 * The digest of everything in a selection that can show in the image: relative paths, types, modes, owners, sizes, link
 * targets, extended attributes, contents. Not: times, inodes, where the context lies.
 */
export async function selectionDigest(sources: readonly SelectedSource[], signal?: AbortSignal): Promise<Digest> {
  const hash = createHash('sha256');
  for (const source of sources) {
    const { tree, entry, below } = source;
    const digests = await tree.digests([entry, ...below.map((selected) => selected.entry)], signal);
    const isFolder = entry.type === 'directory';
    hash.update(
      canonicalJson({ name: isFolder ? '' : source.name, unpack: source.unpack, contentsOnly: source.contentsOnly }),
    );
    for (const selected of [{ relative: '', entry }, ...below]) {
      const e = selected.entry;
      const facts = [selected.relative, e.type, e.mode, e.uid, e.gid, e.size, e.link ?? '', digests.get(e.path) ?? ''];
      hash.update(`${JSON.stringify(e.xattrs || e.device ? [...facts, e.xattrs ?? {}, e.device ?? {}] : facts)}\n`);
    }
  }
  return `sha256:${hash.digest('hex')}`;
}
