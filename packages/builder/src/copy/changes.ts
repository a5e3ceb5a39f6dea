import { digestOf, type Digest } from '@strake/core';
import type { ContentSource, EntryFacts, LayerEntry, LinkedNode, ViewEntry } from '@strake/store';
import { isDeepStrictEqual } from 'node:util';

import { builderError } from '../errors.js';
import type { PlanBase } from './target-tree.js';

/** Whether a file is what lies in its place shows only in contents that are not known yet. */
export class Undecided extends Error {}

type Written = Exclude<LayerEntry, { type: 'whiteout' }>;

/**
 * Those of ENTRIES, a layer planned on the tree BELOW, that change something, as BuildKit tells its layers by comparing: a file that is there
 * as it is copied is left out, a folder of which only the time is another comes with what is put into it. EARLY: contents are not known yet.
 * @throws Undecided; StrakeError `COPY_CONFLICT` for what would stand for a removed file
 */
export function* changingEntries(entries: Iterable<LayerEntry>, below: PlanBase, early = false): Generator<LayerEntry> {
  const changes = new Changes(below, early);
  for (const entry of entries) {
    if (entry.type === 'whiteout') yield entry;
    else yield* changes.of(entry);
  }
}

class Changes {
  readonly #below: PlanBase;
  readonly #early: boolean;
  /** Folders of which only the time is another, until something in them is. */
  readonly #held = new Map<string, Written>();
  /** Paths of files that were left out: nothing can be linked to them. */
  readonly #leftOut = new Set<string>();
  /** Where a file that was left out is in the layer after all, under another of its names. */
  readonly #renamed = new Map<string, string>();
  /** Folders, with a slash, that hide what is below. */
  readonly #opaque: string[] = [];
  /** The last folder, with a slash, that is new: nothing in it can be there already. */
  #fresh = '/';

  constructor(below: PlanBase, early: boolean) {
    this.#below = below;
    this.#early = early;
  }

  *of(given: Written): Generator<Written> {
    const entry = given.node ? asFile(given, given.node) : given;
    const { path } = entry;
    this.#refuseWhiteout(entry);
    if (!path.startsWith(this.#fresh)) {
      const there = path === '' || this.#isHidden(path) ? undefined : this.#below.lookup(path);
      if (entry.type === 'directory') {
        if (there && !entry.opaque && sameFacts(entry, there)) {
          this.#held.set(path, entry);
          return;
        }
        if (entry.opaque) this.#opaque.push(`${path}/`);
        if (!there && path !== '') this.#fresh = `${path}/`;
      } else if (there && this.#isThere(entry, there)) {
        this.#leftOut.add(path);
        return;
      }
    }
    yield* this.#foldersTo(path);
    yield entry === given ? entry : this.#linked(given, entry);
  }

  /** LINK, or where what it leads to was left out the FILE itself, which further links then lead to. */
  #linked(link: Written, file: Written): Written {
    const to = link.link as string;
    const first = this.#renamed.get(to);
    if (first !== undefined) return { ...link, link: first };
    if (!this.#leftOut.has(to)) return link;
    this.#renamed.set(to, link.path);
    return file;
  }

  /** A device 0:0 is overlayfs's word for a file of the layers below that is gone: over layers no kernel lets it be made. */
  #refuseWhiteout({ type, device, path }: Written): void {
    if (type !== 'char' || device?.major !== 0 || device.minor !== 0 || this.#below.list('').length === 0) return;
    throw builderError('COPY_CONFLICT', `"/${path}" is a device 0:0, which stands for a removed file in layers`, {
      hint: 'Leave it out of what is copied or unpacked.',
    });
  }

  #isHidden(path: string): boolean {
    return this.#opaque.some((folder) => path.startsWith(folder));
  }

  #isThere(entry: Written, there: ViewEntry): boolean {
    if (!sameFacts(entry, there) || entry.size !== there.size || entry.mtime !== there.mtime) return false;
    if (entry.link !== there.link || !isEqual(entry.device, there.device)) return false;
    if (entry.type !== 'file') return true;
    const digest = contentDigest(entry.content);
    if (there.digest === undefined || (digest === undefined && this.#early)) throw new Undecided(entry.path);
    return digest === there.digest;
  }

  *#foldersTo(path: string): Generator<Written> {
    if (this.#held.size === 0) return;
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      const folder = this.#held.get(path.slice(0, end));
      if (!folder) continue;
      this.#held.delete(folder.path);
      yield folder;
    }
  }
}

/** A hard link as one of the names of its file. */
function asFile({ path, mode, uid, gid, mtime, xattrs }: Written, node: LinkedNode): Written {
  return { path, ...node, mode, uid, gid, mtime, xattrs };
}

function sameFacts(a: EntryFacts, b: EntryFacts): boolean {
  if (a.type !== b.type || a.uid !== b.uid || a.gid !== b.gid) return false;
  return (a.type === 'symlink' || a.mode === b.mode) && isEqual(a.xattrs, b.xattrs);
}

/** Whether facts are the same, of which most files have none. */
function isEqual(a: object | undefined, b: object | undefined): boolean {
  return a === b || isDeepStrictEqual({ ...a }, { ...b });
}

function contentDigest(content: ContentSource | undefined): Digest | undefined {
  return content?.kind === 'bytes' ? digestOf(content.bytes) : content?.digest;
}
