import { isStrakeError, tarChecksumFits, type Digest } from '@strake/core';
import type { Archive, ArchiveEntry, Store } from '@strake/store';
import { posix } from 'node:path';

import { builderError } from '../errors.js';
import { baseName, joinTree, parentPath, treePath } from '../tree/paths.js';
import { archiveTime } from './archive-time.js';
import { decompress, detectCompression, prepend } from './decompress.js';
import { isOldSparse, oldSparseMap } from './old-gnu-sparse.js';
import type { CopyFacts } from './plan.js';
import type { SelectedSource } from './selection.js';
import type { TargetNode, TargetTree } from './target-tree.js';

/** Chunks looked at to tell an archive from another file. */
const PROBE = 1 << 16;
/** Bytes of a sparse file's map that are looked at. */
const LONGEST_MAP = 1 << 20;

/**
 * ADD of a local archive: where the source is a tar (plain or compressed, told by content), its entries go into the destination
 * as if that were the root: links are followed inside it, `..` is cut off, a file replaces a folder.
 * @returns false where the source is no archive: it is to be copied as it is
 * @throws StrakeError `COPY_CONFLICT` where the archive is damaged
 */
export async function planUnpack(
  target: TargetTree,
  source: SelectedSource,
  destination: string,
  facts: CopyFacts,
  store: Store,
  signal?: AbortSignal,
): Promise<boolean> {
  if (source.entry.type !== 'file' || !(await isArchive(source))) return false;
  const root = target.resolve(treePath(destination));
  target.makeFolders(root, { mode: 0o755, uid: facts.owner?.uid ?? 0, gid: facts.owner?.gid });

  let archive: Archive;
  try {
    archive = await store.archive(await archiveBytes(source), signal);
  } catch (error) {
    if (signal?.aborted) throw error;
    const why = isStrakeError(error, 'LAYER_INVALID') ? error.message.replace(/^[^:]*: /, ': ') : '';
    if (isStrakeError(error) && why === '') throw error;
    throw builderError('COPY_CONFLICT', `"${source.entry.path}" is not a sound tar archive${why}`, {
      cause: error,
      hint: 'ADD --unpack=false (or COPY) takes the file as it is.',
    });
  }
  const unpacker = new Unpacker(target, root, facts, archive.blob);
  for (const entry of archive.entries) unpacker.add(entry);
  return true;
}

async function archiveBytes(source: SelectedSource): Promise<AsyncIterable<Uint8Array>> {
  const iterator = source.tree.read(source.entry)[Symbol.asyncIterator]();
  const first = await iterator.next();
  const head = first.done ? new Uint8Array(0) : first.value;
  return decompress(prepend(head, iterator), detectCompression(head));
}

/** Whether the first block, decompressed, is a tar header with a right checksum; a sparse file's map must be sound. */
async function isArchive(source: SelectedSource): Promise<boolean> {
  let head = Buffer.alloc(0);
  let count = 0;
  try {
    for await (const chunk of await archiveBytes(source)) {
      head = Buffer.concat([head, chunk]);
      if (head.length < 512 && count++ < PROBE) continue;
      if (head.length < 512 || !tarChecksumFits(head.subarray(0, 512))) return false;
      if (!isOldSparse(head)) return true;
      const map = oldSparseMap(head);
      if (map !== 'more' || head.length > LONGEST_MAP) return map === 'sound';
    }
  } catch {
    return false;
  }
  return false;
}

class Unpacker {
  readonly #target: TargetTree;
  readonly #root: string;
  readonly #facts: CopyFacts;
  readonly #blob: Digest;

  constructor(target: TargetTree, root: string, facts: CopyFacts, blob: Digest) {
    this.#target = target;
    this.#root = root;
    this.#facts = facts;
    this.#blob = blob;
  }

  add(entry: ArchiveEntry): void {
    const name = treePath(posix.normalize(`/${entry.name}`));
    // The archive's own root (`./`) changes nothing of the folder that it is unpacked into.
    if (name === '') return;
    const { uid, gid } = this.#facts.owner ?? entry;
    const folder = this.#inRoot(parentPath(name));
    if (folder !== joinTree(this.#root, parentPath(name)).replace(/\/$/, ''))
      this.#checkLinks(parentPath(name), entry.name);
    this.#target.makeFolders(folder, { mode: 0o755, uid: 0, gid: 0 });
    const place = joinTree(folder, baseName(name));
    this.#target.put(place, this.#node(entry, { uid, gid }, place));
  }

  #node(entry: ArchiveEntry, owner: Pick<ArchiveEntry, 'uid' | 'gid'>, place: string): TargetNode {
    const { type, mode, mtime, size, link = '', device, xattrs, offset, digest, segments } = entry;
    const common = { ...owner, mode, mtime: archiveTime(mtime), size: 0, ...(xattrs && { xattrs }) };
    switch (type) {
      case 'file':
        return {
          facts: { ...common, type, size },
          content: { kind: 'blob', blob: this.#blob, offset, digest, segments },
        };
      case 'symlink':
        return { facts: { ...common, type, mode: 0o777, link } };
      case 'hardlink': {
        const path = this.#inRoot(treePath(`/${link}`), true);
        const node = this.#target.node(path);
        if ((node?.facts.type !== 'file' && node?.facts.type !== 'symlink') || path === place) {
          throw builderError('COPY_CONFLICT', `the archive links "${entry.name}" to "${link}", which it does not hold`);
        }
        return { facts: node.facts, linkTo: node.linkTo ?? { path, node } };
      }
      case 'char':
      case 'block':
        return { facts: { ...common, type, device } };
      default:
        return { facts: { ...common, type } };
    }
  }

  /** Refuses a folder of the archive behind a link to nothing: nothing is made at such a link's end. */
  #checkLinks(folder: string, name: string): void {
    const parts = folder.split('/');
    for (let count = 1; count <= parts.length; count++) {
      const part = parts.slice(0, count).join('/');
      if (this.#target.lookup(this.#inRoot(part))) continue;
      if (!this.#target.lookup(this.#inRoot(part, true))) return;
      throw builderError('COPY_CONFLICT', `the archive holds "${name}" behind "${part}", a link to nothing`);
    }
  }

  /** A path of the archive as a path of the target; links are followed with the destination as the root. */
  #inRoot(path: string, nofollow = false): string {
    return this.#target.resolve(path, this.#root, nofollow);
  }
}
