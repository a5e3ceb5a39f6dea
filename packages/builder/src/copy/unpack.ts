import type { Digest } from '@strake/core';
import type { EntryType, Store } from '@strake/store';
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import type { Header as TarHeader } from 'tar-stream';

import { builderError } from '../errors.js';
import { baseName, joinTree, parentPath, resolveInTree, treePath } from '../tree/paths.js';
import { decompress, detectCompression, prepend } from './decompress.js';
import type { CopyFacts } from './plan.js';
import type { SelectedSource } from './selection.js';
import type { TargetNode, TargetTree } from './target-tree.js';

/** Bytes looked at to tell an archive from another file. */
const PROBE = 1 << 16;

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
  target.makeFolders(root, { mode: 0o755, uid: facts.owner?.uid ?? 0, gid: facts.owner?.gid ?? 0 });

  // All contents go into one blob, one after the other; entries point into it.
  const planned: { header: Header; offset: number }[] = [];
  let spool: { digest: Digest } | undefined;
  try {
    spool = await store.blobs.put(contents(await archiveBytes(source), planned), undefined, signal);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw builderError('COPY_CONFLICT', `"${source.entry.path}" is not a sound tar archive`, {
      cause: error,
      hint: 'ADD --unpack=false (or COPY) takes the file as it is.',
    });
  }
  const unpacker = new Unpacker(target, root, facts, spool.digest);
  for (const { header, offset } of planned) unpacker.add(header, offset);
  return true;
}

async function archiveBytes(source: SelectedSource): Promise<AsyncIterable<Uint8Array>> {
  const iterator = source.tree.read(source.entry)[Symbol.asyncIterator]();
  const first = await iterator.next();
  const head = first.done ? new Uint8Array(0) : first.value;
  return decompress(prepend(head, iterator), detectCompression(head));
}

/** Whether the first block, decompressed, is a tar header with a right checksum. */
async function isArchive(source: SelectedSource): Promise<boolean> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of await archiveBytes(source)) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= 512 || chunks.length > PROBE) break;
    }
  } catch {
    return false;
  }
  const block = Buffer.concat(chunks).subarray(0, 512);
  if (block.length < 512) return false;
  const stated = parseInt(
    block
      .toString('latin1', 148, 156)
      .replace(/[\0 ]+$/, '')
      .trim(),
    8,
  );
  let sum = 8 * 32;
  for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += block[i] ?? 0;
  return sum === stated;
}

/** The contents of a tar's files, one after the other; HEADERS gets each entry and where its content starts. */
async function* contents(
  tar: AsyncIterable<Uint8Array>,
  headers: { header: Header; offset: number }[],
): AsyncGenerator<Uint8Array> {
  const { extract } = await import('tar-stream');
  const extractor = extract();
  const feed = Readable.from(tar, { objectMode: false });
  feed.on('error', (error) => extractor.destroy(error));
  feed.pipe(extractor);
  let offset = 0;
  try {
    for await (const entry of extractor) {
      headers.push({ header: entry.header, offset });
      for await (const chunk of entry as AsyncIterable<Uint8Array>) {
        offset += chunk.length;
        yield chunk;
      }
    }
  } finally {
    feed.destroy();
  }
}

/** A header as an archive has it: what tar-stream promises, where the archive keeps to it. */
type Header = { readonly [K in keyof TarHeader]?: TarHeader[K] | null };

const TYPES: Partial<Record<TarHeader['type'], EntryType>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'directory',
  symlink: 'symlink',
  link: 'hardlink',
  'character-device': 'char',
  'block-device': 'block',
  fifo: 'fifo',
};

class Unpacker {
  readonly #target: TargetTree;
  readonly #root: string;
  readonly #facts: CopyFacts;
  readonly #spool: Digest;

  constructor(target: TargetTree, root: string, facts: CopyFacts, spool: Digest) {
    this.#target = target;
    this.#root = root;
    this.#facts = facts;
    this.#spool = spool;
  }

  add(header: Header, offset: number): void {
    const type = TYPES[header.type ?? 'file'];
    const name = treePath(posix.normalize(`/${header.name}`));
    // The archive's own root (`./`) changes nothing of the folder that it is unpacked into.
    if (type === undefined || name === '') return;
    const owner = this.#facts.owner ?? { uid: header.uid ?? 0, gid: header.gid ?? 0 };
    const folder = this.#inRoot(parentPath(name));
    this.#target.makeFolders(folder, { mode: 0o755, uid: 0, gid: 0 });
    const path = joinTree(folder, baseName(name));
    const common = {
      ...owner,
      mode: (header.mode ?? 0o644) & 0o7777,
      size: 0,
      mtime: Math.floor((header.mtime?.getTime() ?? 0) / 1000),
      ...xattrsOf(header),
    };
    this.#target.put(path, this.#node(type, common, header, offset));
  }

  #node(type: EntryType, common: Omit<TargetNode['facts'], 'type'>, header: Header, offset: number): TargetNode {
    switch (type) {
      case 'file':
        return {
          facts: { ...common, type, size: header.size ?? 0 },
          content: { kind: 'blob', blob: this.#spool, offset },
        };
      case 'symlink':
        return { facts: { ...common, type, mode: 0o777, link: header.linkname ?? '' } };
      case 'hardlink': {
        const path = this.#inRoot(treePath(`/${header.linkname ?? ''}`), true);
        const node = this.#target.node(path);
        if (node?.facts.type !== 'file') {
          throw builderError(
            'COPY_CONFLICT',
            `the archive links "${header.name}" to "${header.linkname}", which it does not hold`,
          );
        }
        return { facts: node.facts, linkTo: node.linkTo ?? { path, node } };
      }
      case 'char':
      case 'block':
        return {
          facts: { ...common, type, device: { major: header.devmajor ?? 0, minor: header.devminor ?? 0 } },
        };
      default:
        return { facts: { ...common, type } };
    }
  }

  /** A path of the archive as a path of the target; links are followed with the destination as the root. */
  #inRoot(path: string, nofollow = false): string {
    const resolved = resolveInTree(path, (p) => this.#target.lookup(joinTree(this.#root, p)), nofollow);
    if (resolved === undefined)
      throw builderError('COPY_CONFLICT', `"${path}" of the archive leads in a circle of links`);
    return resolved === '' ? this.#root : this.#root === '' ? resolved : joinTree(this.#root, resolved);
  }
}

const XATTR = 'SCHILY.xattr.';

function xattrsOf(header: Header): { xattrs?: Record<string, string> } {
  const found = Object.entries(header.pax ?? {}).filter(([key]) => key.startsWith(XATTR));
  return found.length === 0
    ? {}
    : { xattrs: Object.fromEntries(found.map(([key, v]) => [key.slice(XATTR.length), v])) };
}
