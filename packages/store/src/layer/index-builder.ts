import { bytesOfText, textOfBytes, viewOfBytes } from '@strake/core';

import { layerInvalid, shown } from '../errors.js';
import {
  Field,
  Flag,
  HEADER_SIZE,
  IndexFlag,
  INDEX_MAGIC,
  keyOf,
  NONE,
  RECORD_SIZE,
  TypeCode,
} from './index-format.js';
import { MergedPaths } from './merged-paths.js';
import type { RawEntries } from './raw-entries.js';

/** The entries of one path on the way to those below it. */
interface Ancestor {
  readonly merged: number;
  readonly key: Buffer;
  /** In order; empty for an implied folder. */
  readonly entries: readonly number[];
  /** Whether it was never anything but a folder. */
  readonly plain: boolean;
}

function pathOf(key: Uint8Array): string {
  return shown(textOfBytes(key).replaceAll('\0', '/'));
}

/**
 * Makes the index of a layer from its entries, as they would be unpacked one after the other: the last entry of a path wins,
 * what replaces a folder takes all in it away, whiteouts and opaque marks concern the layers below only. What would have to go
 * through a link or a file to get to its place is refused, as are hard links to what is not there or no file.
 */
export class IndexBuilder {
  readonly #raw: RawEntries;
  readonly #order: Uint32Array;
  readonly #merged = new MergedPaths();
  readonly #firstNames = new Map<number, number>();
  #flags = 0;

  /** @throws StrakeError `LAYER_INVALID` */
  constructor(raw: RawEntries) {
    this.#raw = raw;
    this.#order = raw.sorted();
    this.#merge();
    this.#resolveLinks();
  }

  #merge(): void {
    const raw = this.#raw;
    const ancestors: Ancestor[] = [];
    const first = this.#order[0];
    if (first === undefined || raw.keyLength(first) > 0) {
      const root = this.#merged.add(-1, 0, 0, TypeCode.directory, Flag.implied);
      ancestors.push({ merged: root, key: Buffer.alloc(0), entries: [], plain: true });
    }
    for (let i = 0; i < this.#order.length;) {
      const group = [this.#order[i++] as number];
      const key = raw.key(group[0] as number);
      while (i < this.#order.length && raw.compareKey(this.#order[i] as number, key) === 0) {
        group.push(this.#order[i++] as number);
      }
      this.#mergeGroup(ancestors, group, key);
    }
  }

  #mergeGroup(ancestors: Ancestor[], group: readonly number[], key: Buffer): void {
    while (ancestors.length > 0) {
      const { key: above } = ancestors[ancestors.length - 1] as Ancestor;
      const below =
        above.length === 0 ||
        (key.length > above.length && key[above.length] === 0 && key.subarray(0, above.length).equals(above));
      if (below) break;
      ancestors.pop();
    }
    const raw = this.#raw;
    const alive = ancestors.every(({ plain }) => plain)
      ? group
      : group.filter((entry) => this.#survives(entry, ancestors));
    if (alive[0] === undefined) return;
    const real = alive.some((entry) => raw.type(entry) !== TypeCode.whiteout);
    if (!this.#imply(ancestors, alive[0], key, real)) return;
    let winner = -1;
    let opaque = false;
    let whiteout = false;
    for (const entry of alive) {
      if (raw.type(entry) === TypeCode.whiteout) whiteout = true;
      else if ((raw.flags(entry) & Flag.implied) === 0) winner = entry;
      if (raw.flags(entry) & Flag.opaque) opaque = true;
    }
    // An opaque mark without an entry of its own stands for a folder that is implied.
    const type = winner >= 0 ? raw.type(winner) : opaque ? TypeCode.directory : TypeCode.whiteout;
    let flags = 0;
    if (type === TypeCode.whiteout) this.#flags |= IndexFlag.whiteouts;
    if (type === TypeCode.directory) {
      flags = (opaque || whiteout ? Flag.opaque : 0) | (winner < 0 ? Flag.implied : 0);
    }
    if (key.length === 0 && type !== TypeCode.directory) throw layerInvalid('its root is no folder');
    const address = raw.keyAddress(alive[0]);
    const merged = this.#merged.add(winner, address, key.length, type, flags);
    const entries = alive.filter((entry) => raw.type(entry) !== TypeCode.whiteout);
    ancestors.push({ merged, key, entries, plain: entries.every((entry) => raw.type(entry) === TypeCode.directory) });
    if (flags & Flag.implied && key.length > 0) this.#flags |= IndexFlag.implied;
    if (key.length === 0 && flags & Flag.opaque) this.#flags |= IndexFlag.opaqueRoot;
  }

  /** Whether an entry is still there in the end. @throws where it would have been put into something that is no folder */
  #survives(entry: number, ancestors: readonly Ancestor[]): boolean {
    const raw = this.#raw;
    let survives = true;
    for (const { entries, key, plain } of ancestors) {
      if (plain) continue;
      let before = -1;
      for (const other of entries) {
        if (other < entry) before = other;
        else if (raw.type(other) !== TypeCode.directory) survives = false;
      }
      if (before >= 0 && raw.type(before) !== TypeCode.directory && raw.type(entry) !== TypeCode.whiteout) {
        throw layerInvalid(`/${pathOf(raw.key(entry))} lies below /${pathOf(key)}, which is no folder`);
      }
      if (before >= 0 && raw.type(before) !== TypeCode.directory) survives = false;
    }
    return survives;
  }

  /**
   * Makes sure that all folders above KEY are there; REAL: for more than a whiteout. False where there is no sense in it: a
   * whiteout below what another whiteout removes.
   */
  #imply(ancestors: Ancestor[], entry: number, key: Buffer, real: boolean): boolean {
    const paths = this.#merged;
    for (const { merged } of ancestors) {
      if (paths.type(merged) === TypeCode.whiteout) {
        if (!real) return false;
        paths.setType(merged, TypeCode.directory);
        paths.setFlags(merged, Flag.implied | Flag.opaque);
        this.#flags |= IndexFlag.implied;
      } else if (real) paths.setFlags(merged, paths.flags(merged) & ~Flag.ghost);
    }
    const top = ancestors[ancestors.length - 1];
    if (!top) return true;
    const address = this.#raw.keyAddress(entry);
    for (let end = key.indexOf(0, top.key.length + 1); end >= 0; end = key.indexOf(0, end + 1)) {
      const flags = Flag.implied | (real ? 0 : Flag.ghost);
      const merged = paths.add(-1, address, end, TypeCode.directory, flags);
      ancestors.push({ merged, key: key.subarray(0, end), entries: [], plain: true });
      this.#flags |= IndexFlag.implied;
    }
    return true;
  }

  /** The number of entries in order whose key is less than KEY. */
  #search(key: Uint8Array): number {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#raw.compareKey(this.#order[middle] as number, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The entry that PATH had when entry number BEFORE came, or -1. */
  #entryAt(key: Buffer, before: number): number {
    let found = -1;
    for (let i = this.#search(key); i < this.#order.length; i++) {
      const entry = this.#order[i] as number;
      if (entry >= before || this.#raw.compareKey(entry, key) !== 0) break;
      if (this.#raw.type(entry) !== TypeCode.whiteout) found = entry;
    }
    return found;
  }

  /** Follows hard links to the entry with the content; -1 where that is in a layer below. */
  #target(link: number): number {
    const raw = this.#raw;
    for (let entry = link; ;) {
      const key = keyOf(bytesOfText(raw.extra(entry).link ?? ''));
      const refuse = (why: string): never => {
        throw layerInvalid(`the hard link /${pathOf(raw.key(link))} leads to /${pathOf(key)}, ${why}`);
      };
      const target = this.#entryAt(key, entry);
      if (target < 0) {
        for (let end = key.indexOf(0); end >= 0; end = key.indexOf(0, end + 1)) {
          const above = this.#entryAt(key.subarray(0, end), entry);
          if (above >= 0 && raw.type(above) !== TypeCode.directory) refuse('whose folder is none');
        }
        return -1;
      }
      if (raw.type(target) === TypeCode.directory) refuse('which is a folder');
      if (raw.type(target) !== TypeCode.hardlink) return target;
      entry = target;
    }
  }

  #resolveLinks(): void {
    const linked = new Set<number>();
    const paths = this.#merged;
    for (let number = 0; number < paths.count; number++) {
      if (paths.type(number) !== TypeCode.hardlink) continue;
      const target = this.#target(paths.entry(number));
      if (target < 0) {
        this.#flags |= IndexFlag.external;
        continue;
      }
      paths.setEntry(number, target);
      paths.setType(number, this.#raw.type(target));
      linked.add(target);
    }
    if (linked.size === 0) return;
    for (let number = 0; number < paths.count; number++) {
      const entry = paths.entry(number);
      if (linked.has(entry) && !this.#firstNames.has(entry)) this.#firstNames.set(entry, number);
    }
  }

  /** The bytes of the index file, in pieces of about a megabyte. */
  *chunks(): Generator<Buffer> {
    const raw = this.#raw;
    let heap = 0;
    const room = (1 << 20) + RECORD_SIZE;
    let chunk = Buffer.alloc(room);
    let view = viewOfBytes(chunk);
    let used = HEADER_SIZE;
    const paths = this.#merged;
    let heapSize = 0;
    for (let number = 0; number < paths.count; number++) heapSize += this.#heapOf(number);
    chunk.write(INDEX_MAGIC, 0, 'latin1');
    view.setUint32(8, paths.count, true);
    view.setUint32(12, this.#flags, true);
    view.setFloat64(16, heapSize, true);
    for (let number = 0; number < paths.count; number++) {
      const entry = paths.entry(number);
      const keyLength = paths.keyLength(number);
      if (entry >= 0) chunk.set(raw.record(entry), used);
      else {
        chunk.fill(0, used, used + RECORD_SIZE);
        view.setUint16(used + Field.mode, 0o755, true);
      }
      view.setUint32(used + Field.key, heap, true);
      view.setUint16(used + Field.keyLength, keyLength, true);
      chunk[used + Field.type] = paths.type(number);
      chunk[used + Field.flags] = paths.flags(number);
      view.setUint32(used + Field.extra, heap + keyLength, true);
      view.setUint32(used + Field.firstName, this.#firstNames.get(entry) ?? NONE, true);
      heap += this.#heapOf(number);
      used += RECORD_SIZE;
      if (used + RECORD_SIZE > room) {
        yield chunk.subarray(0, used);
        chunk = Buffer.alloc(room);
        view = viewOfBytes(chunk);
        used = 0;
      }
    }
    yield chunk.subarray(0, used);
    yield* this.#heapChunks(room);
  }

  /** What a path takes in the heap. */
  #heapOf(number: number): number {
    const entry = this.#merged.entry(number);
    return this.#merged.keyLength(number) + (entry < 0 ? 0 : this.#raw.extraLength(entry));
  }

  *#heapChunks(room: number): Generator<Buffer> {
    const raw = this.#raw;
    let chunk = Buffer.allocUnsafe(room);
    let used = 0;
    for (let number = 0; number < this.#merged.count; number++) {
      const entry = this.#merged.entry(number);
      const keyLength = this.#merged.keyLength(number);
      const extra = entry < 0 ? undefined : raw.extraBytes(entry);
      const length = keyLength + (extra?.length ?? 0);
      if (used + length > room) {
        yield chunk.subarray(0, used);
        chunk = Buffer.allocUnsafe(Math.max(room, length));
        used = 0;
      }
      chunk.set(raw.heap.slice(this.#merged.key(number), keyLength), used);
      if (extra) chunk.set(extra, used + keyLength);
      used += length;
    }
    yield chunk.subarray(0, used);
  }
}
