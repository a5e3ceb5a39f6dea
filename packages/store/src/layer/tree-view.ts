import { bytesOfText, collect, type ByteStream, type Digest } from '@strake/core';

import { layerInvalid, linkLoop, shown, tooLarge } from '../errors.js';
import type { ContentSource } from '../entries.js';
import type { BlobStore, TreeView, ViewEntry } from '../types.js';
import { keyOf, TypeCode } from './index-format.js';
import type { LayerIndex } from './layer-index.js';
import { readSegments } from './segments.js';

/** As Linux and containerd's continuity count. */
const MAX_LINKS = 255;

/** A record of a layer of the chain; 0 is the topmost layer. */
interface Place {
  readonly layer: number;
  readonly record: number;
}

/** A name in a merged folder. */
interface Child {
  readonly place: Place;
  /** Of a folder: all layers' parts of it, topmost first. */
  readonly folders: Place[];
  closed: boolean;
  /** Whether there is nothing to be seen: removed, or (as yet) only folders that imply that. */
  gone: boolean;
}

/** The view of a chain from the indexes of its layers. */
export class MergedView implements TreeView {
  readonly chain: readonly Digest[];
  readonly #blobs: BlobStore | undefined;
  /** Topmost first; none below one that hides all. */
  readonly #layers: readonly LayerIndex[];
  /** Files that hard links of other layers lead to: `<diffId>:<path>`. */
  readonly #linked = new Set<string>();

  /**
   * BLOBS: where contents are read from; a view without them has none.
   * @throws StrakeError `LAYER_INVALID` where a hard link of a layer leads to nothing in the layers below
   */
  constructor(chain: readonly Digest[], indexes: readonly LayerIndex[], blobs: BlobStore | undefined) {
    this.chain = chain;
    this.#blobs = blobs;
    const layers = [...indexes].reverse();
    const hiding = layers.findIndex((index) => index.opaqueRoot);
    this.#layers = hiding < 0 ? layers : layers.slice(0, hiding + 1);
    for (const [layer, index] of [...this.#layers.entries()].reverse()) {
      if (!index.hasExternalLinks) continue;
      for (let record = 0; record < index.count; record++) {
        if (index.type(record) !== TypeCode.hardlink) continue;
        const target = this.#target({ layer, record });
        this.#linked.add(this.#inodeOf(target));
      }
    }
  }

  #index(place: Place): LayerIndex {
    const index = this.#layers[place.layer];
    if (!index) throw new RangeError(`no layer ${place.layer}`);
    return index;
  }

  /** What a hard link to another layer stands for. */
  #target(link: Place): Place {
    let place = link;
    // Each step goes to a lower layer: this ends.
    for (;;) {
      const index = this.#index(place);
      const path = index.extra(place.record).link ?? '';
      const target = this.#find(path, place.layer + 1);
      if (!target || this.#index(target).isFolder(target.record)) {
        throw layerInvalid(
          `the hard link /${shown(index.path(place.record))} leads to /${shown(path)}, which is no file`,
        );
      }
      if (this.#index(target).type(target.record) !== TypeCode.hardlink) return target;
      place = target;
    }
  }

  /** The folders or the one other thing at a path, topmost first; empty where there is nothing. */
  #places(path: string, from = 0): Place[] {
    const key = keyOf(bytesOfText(path));
    const ends: number[] = [];
    for (let end = key.indexOf(0); end >= 0; end = key.indexOf(0, end + 1)) ends.push(end);
    if (key.length > 0) ends.push(key.length);
    const found: Place[] = [];
    for (let layer = from; layer < this.#layers.length; layer++) {
      const index = this.#layers[layer] as LayerIndex;
      let record = 0;
      let hides = false;
      for (let i = 0; i < ends.length && record >= 0; i++) {
        // A folder on the way that is opaque hides what the layers below have at the path.
        if (index.isOpaque(record)) hides = true;
        record = index.find(key.subarray(0, ends[i]), record + 1);
        if (record < 0 || index.isFolder(record)) continue;
        const other = i === ends.length - 1 && index.type(record) !== TypeCode.whiteout;
        const folders = this.#withoutGhosts(found);
        return folders.length === 0 && other ? [{ layer, record }] : folders;
      }
      if (record >= 0) found.push({ layer, record });
      if (hides) break;
    }
    return this.#withoutGhosts(found);
  }

  /** Nothing, where there are only folders that stand for the removal of what was never there. */
  #withoutGhosts(places: Place[]): Place[] {
    return places.every((place) => this.#index(place).isGhost(place.record)) ? [] : places;
  }

  /** The record with the facts of a path, searched from layer FROM on downwards. */
  #find(path: string, from: number): Place | undefined {
    return this.#factsOf(this.#places(path, from));
  }

  /** Folders that a layer only implies have the facts of the layers below. */
  #factsOf(places: readonly Place[]): Place | undefined {
    return places.find((place) => !this.#index(place).isImplied(place.record)) ?? places[0];
  }

  #inodeOf({ layer, record }: Place): string {
    const index = this.#index({ layer, record });
    return `${index.diffId}:${index.path(index.firstName(record) ?? record)}`;
  }

  #entry(place: Place): ViewEntry {
    const own = this.#index(place);
    const path = own.path(place.record);
    const external = own.type(place.record) === TypeCode.hardlink;
    const source = external ? this.#target(place) : place;
    const { record } = source;
    const index = this.#index(source);
    const type = index.typeName(record);
    const { link, device, xattrs, segments } = index.extra(record);
    const file = type === 'file';
    const several = external || index.firstName(record) !== undefined || this.#linked.size > 0;
    const inode = several && type !== 'directory' ? this.#inodeOf(source) : undefined;
    return {
      path,
      type,
      mode: index.mode(record),
      uid: index.uid(record),
      gid: index.gid(record),
      size: index.contentSize(record),
      mtime: index.mtime(record),
      link,
      device,
      xattrs,
      layer: index.diffId,
      digest: file ? index.digest(record) : undefined,
      offset: file ? index.offset(record) : undefined,
      segments: file ? segments : undefined,
      inode:
        inode !== undefined && (external || index.firstName(record) !== undefined || this.#linked.has(inode))
          ? inode
          : undefined,
    };
  }

  lookup(path: string): ViewEntry | undefined {
    const place = this.#find(path, 0);
    if (place) return this.#entry(place);
    return path === '' ? emptyRoot(this.chain) : undefined;
  }

  /** The names in a folder that several layers have a part of, by name as latin1 text. */
  #merge(folders: readonly Place[]): Map<string, Child> {
    const children = new Map<string, Child>();
    for (const folder of folders) {
      const index = this.#index(folder);
      for (const record of index.children(folder.record)) {
        const name = index.nameBytes(record).toString('latin1');
        const place = { layer: folder.layer, record };
        const isFolder = index.isFolder(record);
        const closed = !isFolder || index.isOpaque(record);
        const known = children.get(name);
        if (!known) {
          const gone = index.type(record) === TypeCode.whiteout || index.isGhost(record);
          children.set(name, { place, folders: isFolder ? [place] : [], closed, gone });
        } else if (!known.closed) {
          if (isFolder) {
            known.folders.push(place);
            if (!index.isGhost(record)) known.gone = false;
          } else if (known.gone && index.type(record) !== TypeCode.whiteout) {
            children.set(name, { place, folders: [], closed, gone: false });
          }
          known.closed = closed;
        }
      }
      if (index.isOpaque(folder.record)) break;
    }
    return children;
  }

  /** The children of a merged folder, sorted by the bytes of their names. */
  *#children(folders: readonly Place[]): Generator<{ readonly name: string; readonly child: Child }> {
    const children = this.#merge(folders);
    const names = [...children.keys()];
    if (folders.length > 1) names.sort();
    for (const name of names) {
      const child = children.get(name);
      if (child && !child.gone) yield { name, child };
    }
  }

  list(path: string): readonly string[] {
    const places = this.#places(path);
    const names: string[] = [];
    for (const { child } of this.#children(places)) {
      const own = this.#index(child.place).path(child.place.record);
      names.push(own.slice(own.lastIndexOf('/') + 1));
    }
    return names;
  }

  *children(path: string): Generator<ViewEntry> {
    for (const { child } of this.#children(this.#places(path))) yield* this.#childEntry(child);
  }

  *#childEntry({ place, folders }: Child): Generator<ViewEntry> {
    const facts = folders.length > 0 ? this.#factsOf(folders) : place;
    if (facts) yield this.#entry(facts);
  }

  *walk(path: string): Generator<ViewEntry> {
    const places = this.#places(path);
    const entry = this.lookup(path);
    if (!entry) return;
    yield entry;
    // A stack instead of recursion: layers may be nested deeply.
    const stack = [this.#children(places)];
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const next = top.next();
      if (next.done) {
        stack.pop();
        continue;
      }
      const { child } = next.value;
      const { folders } = child;
      yield* this.#childEntry(child);
      if (folders.length > 0) stack.push(this.#children(folders));
    }
  }

  /**
   * The topmost layer alone, as overlayfs wants it: its entries in order, with the facts that it takes from layers below;
   * whiteouts by their path.
   */
  *topLayer(): Generator<{ readonly entry?: ViewEntry; readonly whiteout?: string; readonly opaque: boolean }> {
    const index = this.#layers[0];
    if (!index) return;
    let opaqueEnd = 0;
    for (let record = 0; record < index.count; record++) {
      const opaque = index.isOpaque(record);
      if (index.isGhost(record) && this.lookup(index.path(record))?.type !== 'directory') {
        record = index.subtreeEnd(record) - 1;
        continue;
      }
      const hidden = record < opaqueEnd;
      if (opaque) opaqueEnd = Math.max(opaqueEnd, index.subtreeEnd(record));
      if (index.type(record) === TypeCode.whiteout) {
        // In a folder of one layer alone overlayfs would show it.
        const path = index.path(record);
        if (record >= opaqueEnd && this.#find(path, 1)) yield { whiteout: path, opaque };
      } else if (!index.isImplied(record)) yield { entry: this.#entry({ layer: 0, record }), opaque };
      else {
        const below = hidden ? undefined : this.#find(index.path(record), 1);
        const taken = below && this.#index(below).isFolder(below.record) && !this.#index(below).isImplied(below.record);
        yield { entry: this.#entry(taken ? below : { layer: 0, record }), opaque };
      }
    }
  }

  resolve(path: string, options: { readonly nofollow?: boolean } = {}): string {
    const rest = path.split('/').reverse();
    /** The paths of the components so far, which share their beginnings. */
    const done: string[] = [];
    /** From so many components on there is nothing. */
    let missing = Infinity;
    for (let links = 0, name = rest.pop(); name !== undefined; name = rest.pop()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        done.pop();
        continue;
      }
      const folder = done.at(-1);
      const current = folder === undefined ? name : `${folder}/${name}`;
      if (done.length < missing) missing = Infinity;
      const last = options.nofollow && rest.every((part) => part === '' || part === '.');
      const entry = last || done.length >= missing ? undefined : this.lookup(current);
      if (entry?.type === 'symlink') {
        if (++links > MAX_LINKS) throw linkLoop(path);
        const target = entry.link ?? '';
        if (target.startsWith('/')) done.length = 0;
        rest.push(...target.split('/').reverse());
        continue;
      }
      done.push(current);
      if (entry?.type !== 'directory' && done.length < missing) missing = done.length;
    }
    return done.at(-1) ?? '';
  }

  async *open(entry: ViewEntry): AsyncGenerator<Uint8Array> {
    const blobs = this.#blobs;
    if (entry.type !== 'file' || entry.offset === undefined || !blobs) return;
    const { offset, size, layer, segments } = entry;
    const stream: ByteStream = segments
      ? readSegments(segments, size, (start, length) =>
          blobs.open(layer, { start: offset + start, end: offset + start + length }),
        )
      : blobs.open(layer, { start: offset, end: offset + size });
    yield* stream;
  }

  async read(entry: ViewEntry, limit: number): Promise<Buffer> {
    if (entry.size > limit) throw tooLarge(`/${shown(entry.path)}`, limit);
    return collect(this.open(entry), limit, `/${shown(entry.path)}`);
  }

  source(entry: ViewEntry): ContentSource {
    const { layer, offset = 0, digest, segments } = entry;
    return { kind: 'blob', blob: layer, offset, digest, segments };
  }
}

/** The root of a chain without layers. */
function emptyRoot(chain: readonly Digest[]): ViewEntry {
  const layer: Digest = chain[0] ?? `sha256:${'0'.repeat(64)}`;
  return { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0, layer };
}
