import { closeSync, openSync } from 'node:fs';

import { errnoOf, type Digest } from '@strake/core';

import { nameUnrepresentable, readFailure, sourceChanged } from '../errors.js';
import { TarType, type TarHeader } from '../tar/header.js';
import { encodeSparseMap } from '../tar/sparse.js';
import { fsPath } from '../snapshot/paths.js';
import { sparseDigest } from '../tar/content-hash.js';
import type { HashTrail } from '../tar/hash-trail.js';
import { readerOf, SMALL, TarSink, type ReadInto } from '../tar/sink.js';
import type { SendTar } from '../tar/tar-relay.js';
import type { ContentSource, LayerEntry, Segments } from '../entries.js';
import { baseName, checkedKey, OPAQUE_MARK, WHITEOUT_PREFIX, withName } from './entry-key.js';
import { FormerContents, type FormerFiles } from './former-contents.js';
import { Flag, TypeCode, type Extra } from './index-format.js';
import { withoutOwn } from './own-xattrs.js';
import { RawEntries } from './raw-entries.js';
import { SourceOpener } from './source-opener.js';
import { windowsHeader } from './windows-header.js';

type Entry = Exclude<LayerEntry, { type: 'whiteout' }>;

/** A sparse file whose pieces are known. */
export interface SparseFile {
  readonly segments: Segments;
  /** sha256 of the whole, in hex. */
  readonly digest: string;
  readonly readAt: (position: number) => ReadInto;
}

/** How many blobs are kept open to read contents from. */
const OPEN_BLOBS = 16;

/** READ, but no further than LENGTH bytes. */
function limited(read: ReadInto, length: number): ReadInto {
  let rest = length;
  return (target, at, wanted) => {
    const got = rest === 0 ? 0 : read(target, at, Math.min(rest, wanted));
    rest -= got;
    return got;
  };
}

function readerOfBytes(bytes: Uint8Array): ReadInto {
  let next = 0;
  return (target, at, length) => {
    const part = bytes.subarray(next, next + length);
    target.set(part, at);
    next += part.length;
    return part.length;
  };
}

/** The header of an entry that is neither a whiteout nor has content. */
export function headerOf(entry: Omit<Entry, 'size'>): TarHeader {
  const { path, type, mode, uid, gid, mtime, link, device, xattrs, windows } = entry;
  const header: TarHeader = {
    name: type !== 'directory' ? path : path === '' ? './' : `${path}/`,
    type: TarType[type],
    mode,
    uid,
    gid,
    size: 0,
    mtime: Math.floor(mtime),
    link: type === 'symlink' || type === 'hardlink' ? link : undefined,
    device,
    xattrs: type === 'hardlink' ? undefined : withoutOwn(xattrs),
  };
  return windows ? windowsHeader(header) : header;
}

/** Writes a layer's tar and notes the entries for its index; synchronously, for worker threads. */
export class LayerWriter {
  readonly entries: RawEntries = new RawEntries();
  readonly #sink: TarSink;
  readonly #opener = new SourceOpener();
  readonly #blobPath: (digest: Digest) => string;
  readonly #blobs = new Map<Digest, number>();
  #former: FormerContents | undefined;

  /** BLOBPATH: where a blob that contents are read from lies. FORMER: a layer that may have some of the files. SEND: see {@link TarSink}. */
  constructor(
    tarPath: string,
    blobPath: (digest: Digest) => string,
    former?: FormerFiles,
    aborted?: () => boolean,
    send?: SendTar,
  ) {
    this.#sink = new TarSink(tarPath, aborted, send);
    this.#blobPath = blobPath;
    this.#former = former && FormerContents.open(former);
  }

  /**
   * OPENED: a descriptor that the content of a file is read from, whatever its source.
   * @throws StrakeError `SOURCE_CHANGED`, `SOURCE_DENIED`, `NAME_UNREPRESENTABLE`, `DISK_FULL`
   */
  add(entry: LayerEntry, sparse?: SparseFile, opened?: number): void {
    const { path } = entry;
    const key = checkedKey(path);
    if (typeof key === 'string') throw nameUnrepresentable(path, key);
    if (baseName(path).startsWith(WHITEOUT_PREFIX)) {
      throw nameUnrepresentable(path, `names that begin with ${WHITEOUT_PREFIX} mean that a file was removed`);
    }
    if (entry.type === 'whiteout') {
      this.#mark(withName(path, WHITEOUT_PREFIX + baseName(path)), entry.windows);
      const facts = { mode: 0, uid: 0, gid: 0, size: 0, mtime: 0, offset: 0, flags: 0 };
      this.entries.add({ key, type: TypeCode.whiteout, ...facts });
      return;
    }
    this.#addEntry(entry, key, sparse ?? this.#sparseOf(entry), opened);
  }

  /** An empty file that only means something by its name. */
  #mark(name: string, windows?: boolean): void {
    const header: TarHeader = { name, type: TarType.file, mode: 0, uid: 0, gid: 0, size: 0, mtime: 0 };
    this.#sink.header(windows ? windowsHeader(header) : header);
  }

  /** A sparse file of another layer stays one. */
  #sparseOf({ content, size }: Entry): SparseFile | undefined {
    if (content?.kind !== 'blob' || !content.segments) return undefined;
    const { blob, offset, segments, digest } = content;
    const read = (): ReadInto => readerOf(this.#blob(blob), offset);
    const pieces = read();
    // The pieces lie one after the other: the reader goes on from one to the next.
    return { segments, digest: digest?.slice(7) ?? sparseDigest(size, segments, read()), readAt: () => pieces };
  }

  #addEntry(entry: Entry, key: Buffer, sparse: SparseFile | undefined, opened: number | undefined): void {
    const { path, type, mode, uid, gid, device } = entry;
    const folder = type === 'directory';
    const header = headerOf(entry);
    const { mtime } = header;
    const extra: Extra = { link: header.link, device, xattrs: header.xattrs };
    let size = 0;
    let offset: number;
    let digest: string | undefined;
    if (type === 'file') {
      size = entry.size;
      if (sparse) {
        digest = sparse.digest;
        offset = this.#writeSparse(header, size, sparse);
        extra.segments = sparse.segments.map(([at, length]) => [at, length]);
      } else {
        this.#sink.header({ ...header, size });
        offset = this.#sink.position;
        digest =
          opened === undefined
            ? (this.#copyFormer(entry, key) ?? this.#copy(entry, entry.content))
            : this.#checked(path, size, readerOf(opened), undefined);
        this.#sink.pad(size);
      }
    } else {
      this.#sink.header(header);
      offset = this.#sink.position;
      if (folder && entry.opaque) this.#mark(path === '' ? OPAQUE_MARK : `${path}/${OPAQUE_MARK}`);
    }
    this.entries.add({
      key,
      type: TypeCode[type],
      flags: folder && entry.opaque ? Flag.opaque : 0,
      mode,
      uid,
      gid,
      size,
      mtime,
      offset,
      digest: digest === undefined ? undefined : Buffer.from(digest, 'hex'),
      extra: extra.link !== undefined || extra.device || extra.xattrs || extra.segments ? extra : undefined,
    });
  }

  /** Takes over LENGTH bytes of another tar, entries and all, of which nothing is noted. False where there are fewer. */
  take(length: number, read: ReadInto): Promise<boolean> {
    return this.#sink.take(length, read);
  }

  /** As `TarSink.pass`. */
  pass(length: number, read: ReadInto): Promise<boolean> {
    return this.#sink.pass(length, read);
  }

  /** As `TarSink.resume`. */
  resume(trail: HashTrail, position: number): number {
    return this.#sink.resume(trail, position);
  }

  /** What the hash of the tar was on its way; undefined where another thread knows. */
  get trail(): HashTrail | undefined {
    return this.#sink.trail;
  }

  /** The tar's file, for those who write what `pass` and `resume` leave to them. */
  get descriptor(): number {
    return this.#sink.descriptor;
  }

  /** Bytes so far. */
  get position(): number {
    return this.#sink.position;
  }

  /** Takes a file's content from a former layer that has it: its sha256 in hex; undefined where none has. */
  #copyFormer({ content, size }: Entry, key: Buffer): string | undefined {
    if (!this.#former || content?.kind !== 'file' || !content.digest || size === 0 || size > SMALL) return undefined;
    const offset = this.#former.find(key, size, content.digest);
    const hex = content.digest.slice(7);
    return offset !== undefined && this.#sink.contentIf(hex, size, this.#former.reader(offset)) ? hex : undefined;
  }

  /** Copies a file's content. Returns its sha256 in hex. */
  #copy(entry: Entry, content: ContentSource | undefined): string {
    const { path, size } = entry;
    if (content?.kind === 'file') {
      const { root, frozen } = content;
      const fd = frozen ? openSync(fsPath(`${root}/${content.path}`), 'r') : this.#opener.open(root, content.path);
      try {
        return this.#checked(content.path, size, readerOf(fd), content.digest);
      } catch (error) {
        // What a folder, or a fifo that someone holds open, answers.
        const errno = errnoOf(error) ?? '';
        throw ['EISDIR', 'EAGAIN'].includes(errno)
          ? sourceChanged(content.path, 'it is no longer a file', error)
          : readFailure(content.path, error);
      } finally {
        closeSync(fd);
      }
    }
    if (content?.kind === 'blob') {
      const read = limited(readerOf(this.#blob(content.blob), content.offset), size);
      return this.#checked(path, size, read, content.digest);
    }
    return this.#checked(path, size, readerOfBytes(content?.bytes ?? Buffer.alloc(0)), undefined);
  }

  #checked(path: string, size: number, read: ReadInto, expected: Digest | undefined): string {
    const { digest, whole } = this.#sink.content(size, read);
    if (!whole) throw sourceChanged(path, `it no longer has ${size} bytes`);
    if (expected && expected !== `sha256:${digest}`) throw sourceChanged(path, 'it has other content');
    return digest;
  }

  #blob(digest: Digest): number {
    let fd = this.#blobs.get(digest);
    if (fd === undefined) {
      for (const [other, open] of this.#blobs) {
        if (this.#blobs.size < OPEN_BLOBS) break;
        closeSync(open);
        this.#blobs.delete(other);
      }
      fd = openSync(this.#blobPath(digest), 'r');
      this.#blobs.set(digest, fd);
    }
    return fd;
  }

  /**
   * Writes a sparse file (GNU's PAX format 1.0: the map comes first, then the pieces). Go's archive/tar, Python's tarfile and
   * GNU tar read it. Returns where the pieces start.
   */
  #writeSparse(header: TarHeader, size: number, { segments, readAt }: SparseFile): number {
    const map = encodeSparseMap(segments, size);
    const stored = segments.reduce((sum, [, length]) => sum + length, 0);
    this.#sink.header({
      ...header,
      size: map.length + stored,
      records: [
        ...(header.records ?? []),
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.name', header.name],
        ['GNU.sparse.realsize', String(size)],
      ],
    });
    this.#sink.write(map);
    const offset = this.#sink.position;
    for (const [at, length] of segments) {
      const { whole } = this.#sink.content(length, limited(readAt(at), length));
      if (!whole) throw sourceChanged(header.name, 'it ends too early');
    }
    this.#sink.pad(stored);
    return offset;
  }

  /** Ends the tar: its diff ID and size. */
  finish(options: { readonly sync: boolean }): { readonly digest: Digest; readonly size: number } {
    this.#close();
    return this.#sink.finish(options);
  }

  /** Gives everything back after a failure; the file is the caller's to remove. */
  abandon(): void {
    this.#close();
    this.#sink.abandon();
  }

  #close(): void {
    this.#opener.close();
    // Once: by the second time another thread may have a file of this number.
    this.#former?.close();
    this.#former = undefined;
    for (const fd of this.#blobs.values()) closeSync(fd);
    this.#blobs.clear();
  }
}
