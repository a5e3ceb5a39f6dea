import { createReadStream, statfsSync } from 'node:fs';
import { dirname } from 'node:path';

import { errnoOf, isStrakeError, type Digest } from '@strake/core';

import { diskFull, digestMismatch, layerInvalid, shown } from '../errors.js';
import { freeBytes } from '../files.js';
import { decompress } from '../tar/decompress.js';
import { TarParser, type TarEntry } from '../tar/parser.js';
import { TarSink } from '../tar/sink.js';
import type { SendTar } from '../tar/tar-relay.js';
import { withoutOwn } from './own-xattrs.js';
import { baseName, checkedKey, OPAQUE_MARK, WHITEOUT_PREFIX, withName } from './entry-key.js';
import { Flag, TypeCode } from './index-format.js';
import { RawEntries } from './raw-entries.js';

/** What stays free on the disk whatever a layer unpacks to, and how often that is looked at. */
const RESERVE = 64 * 2 ** 20;
const CHECK_EVERY = 64 * 2 ** 20;
const MAX_LINK = 4095;

/** NAME as a clean path. Leading slashes and `.` go, as every unpacker does it; `..` is refused. */
function cleanPath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw layerInvalid(`the name ${shown(name)} has .. in it`);
  return parts.join('/');
}

function keyFor(path: string): Buffer {
  const key = checkedKey(path);
  if (typeof key === 'string') throw layerInvalid(`the path ${shown(path)} cannot be: ${key}`);
  return key;
}

function linkOf(entry: TarEntry): string | undefined {
  if (entry.type === 'hardlink') {
    const target = cleanPath(entry.link ?? '');
    keyFor(target);
    return target;
  }
  if (entry.type !== 'symlink') return undefined;
  const link = entry.link ?? '';
  if (link === '' || Buffer.byteLength(link) > MAX_LINK) {
    throw layerInvalid(`the target of the link ${shown(entry.name)} is ${link === '' ? 'empty' : 'too long'}`);
  }
  return link;
}

/** Notes an entry of a foreign layer. @throws StrakeError `LAYER_INVALID` */
export function addForeignEntry(entries: RawEntries, entry: TarEntry): void {
  const path = cleanPath(entry.name);
  const name = baseName(path);
  const bare = { mode: 0, uid: 0, gid: 0, size: 0, mtime: 0, offset: 0, flags: 0 };
  if (name === OPAQUE_MARK) {
    const folder = path.slice(0, Math.max(0, path.length - OPAQUE_MARK.length - 1));
    entries.add({ ...bare, key: keyFor(folder), type: TypeCode.directory, flags: Flag.implied | Flag.opaque });
    return;
  }
  // Other marks of aufs (.wh..wh.plnk and such) mean nothing to anyone else.
  if (path.split('/').some((part) => part.startsWith('.wh..wh.'))) return;
  if (name.startsWith(WHITEOUT_PREFIX)) {
    const removed = name.slice(WHITEOUT_PREFIX.length);
    if (removed === '' || removed === '.' || removed === '..')
      throw layerInvalid(`the whiteout ${shown(path)} has no name`);
    entries.add({ ...bare, key: keyFor(withName(path, removed)), type: TypeCode.whiteout });
    return;
  }
  if (path === '' && entry.type !== 'directory') throw layerInvalid(`the entry ${shown(entry.name)} has no name`);
  const link = linkOf(entry);
  const xattrs = withoutOwn(entry.xattrs);
  const segments = entry.segments?.map(([at, length]): [number, number] => [at, length]);
  entries.add({
    key: keyFor(path),
    type: TypeCode[entry.type],
    flags: 0,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    size: entry.size,
    mtime: entry.mtime,
    offset: entry.offset,
    digest: entry.digest,
    extra:
      link !== undefined || entry.device || xattrs || segments
        ? { link, device: entry.device, xattrs, segments }
        : undefined,
  });
}

/** What {@link importLayer} needs. */
export interface ImportJob {
  readonly diffId: Digest;
  readonly mediaType: string;
  /** The blob as it came. */
  readonly blobPath: string;
  /** Where the uncompressed tar goes; undefined where the blob is it. */
  readonly tarPath?: string | undefined;
}

/**
 * Decompresses a layer's blob, checks its diff ID and notes its entries. SEND: see {@link TarSink}.
 * @throws StrakeError `LAYER_INVALID`, `DIGEST_MISMATCH`, `DISK_FULL`
 */
export async function importLayer(
  job: ImportJob,
  aborted: () => boolean,
  send?: SendTar,
): Promise<{ readonly entries: RawEntries; readonly size: number }> {
  const entries = new RawEntries();
  const parser = new TarParser((entry) => addForeignEntry(entries, entry));
  const sink = job.tarPath === undefined ? undefined : new TarSink(job.tarPath, aborted, send);
  let finished = false;
  let size = 0;
  let check = 0;
  try {
    const file = createReadStream(job.blobPath, { highWaterMark: 1 << 18 });
    await decompress(file, job.mediaType, (chunk) => {
      if (aborted()) throw new Error('aborted');
      if (sink && size >= check) {
        if (freeBytes(statfsSync(dirname(job.blobPath))) < RESERVE) throw diskFull(job.blobPath);
        check = size + CHECK_EVERY;
      }
      size += chunk.length;
      sink?.write(chunk);
      parser.push(chunk);
    });
    parser.end();
    finished = true;
    if (sink) {
      const { digest } = sink.finishBytes({ sync: true });
      if (digest !== job.diffId) throw digestMismatch('the layer', job.diffId, digest);
    }
    return { entries, size };
  } catch (error) {
    if (!finished) sink?.abandon();
    if (isStrakeError(error, 'LAYER_INVALID')) {
      throw error.with({ message: `${error.message} (layer ${job.diffId.slice(0, 19)})` });
    }
    const code = errnoOf(error) ?? '';
    if (error instanceof Error && 'code' in error && /^(Z_|ERR_PADDING)/.test(String(error.code)) && code === '') {
      throw layerInvalid(`its compression is broken: ${error.message} (layer ${job.diffId.slice(0, 19)})`, error);
    }
    throw error;
  }
}
