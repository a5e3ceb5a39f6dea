import { formatPlatform, makeFolders } from '@strake/core';
import type { TreeView, ViewEntry } from '@strake/store';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Header } from 'tar-stream';

import { builderError } from '../errors.js';
import { chainView } from '../tree/chain-view.js';
import { writeFiles } from '../tree/write-files.js';
import { outputFailure } from './output-failure.js';
import { writeTo } from './write-tar.js';
import { packFile, packHeader } from './tar-pack.js';
import { outputEpoch } from './rewrite-times.js';
import { isTrue, type OutputContext, type OutputResult, type PlatformResult } from './output.js';

/** `type=tar`: the file tree of the result as one tar. */
export async function writeTreeTar(
  results: readonly PlatformResult[],
  attributes: Readonly<Record<string, string>>,
  context: OutputContext,
): Promise<OutputResult> {
  const epoch = outputEpoch(attributes, context);
  await writeTo(attributes['dest'] ?? '-', context, async (pack) => {
    for (const { prefix, view } of await trees(results, attributes, context)) {
      if (prefix !== '') await packHeader(pack, { ...FOLDER, name: prefix, mtime: new Date((epoch ?? 0) * 1000) });
      const seen = new Map<string, string>();
      for (const entry of view.walk('')) {
        if (entry.path === '') continue;
        const first = entry.inode === undefined ? undefined : seen.get(entry.inode);
        if (entry.inode !== undefined && first === undefined) seen.set(entry.inode, entry.path);
        const header = tarHeader(epoch === undefined ? entry : { ...entry, mtime: epoch }, prefix, first);
        if (entry.type === 'file' && first === undefined) {
          await packFile(pack, { ...header, size: entry.size }, view.open(entry), context.signal);
        } else await packHeader(pack, header);
      }
    }
  });
  return { names: [] };
}

/** The folder of a platform. */
const FOLDER = { type: 'directory', mode: 0o755 } as const;

const TAR_TYPES = {
  file: 'file',
  hardlink: 'link',
  directory: 'directory',
  symlink: 'symlink',
  char: 'character-device',
  block: 'block-device',
  fifo: 'fifo',
} as const;

function tarHeader(
  entry: ViewEntry,
  prefix: string,
  first: string | undefined,
): Partial<Header> & Pick<Header, 'name'> {
  const xattrs = Object.entries(entry.xattrs ?? {}).map(([name, value]) => [`SCHILY.xattr.${name}`, value] as const);
  return {
    name: prefix + entry.path + (entry.type === 'directory' ? '/' : ''),
    type: first === undefined ? TAR_TYPES[entry.type] : 'link',
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    mtime: new Date(entry.mtime * 1000),
    ...(first === undefined
      ? entry.link === undefined
        ? {}
        : { linkname: entry.link }
      : { linkname: prefix + first }),
    ...(entry.device ? { devmajor: entry.device.major, devminor: entry.device.minor } : {}),
    ...(xattrs.length > 0 ? { pax: Object.fromEntries(xattrs) } : {}),
  };
}

/** `platform-split`: whether each platform has a folder of its own; without it, where several were asked for. */
function isSplit(
  results: readonly PlatformResult[],
  attributes: Readonly<Record<string, string>>,
  { multiPlatform }: OutputContext,
): boolean {
  const wish = attributes['platform-split'];
  return wish === undefined ? results.length > 1 || multiPlatform === true : isTrue(wish);
}

async function trees(
  results: readonly PlatformResult[],
  attributes: Readonly<Record<string, string>>,
  context: OutputContext,
): Promise<{ prefix: string; view: TreeView }[]> {
  const { store, signal } = context;
  const split = isSplit(results, attributes, context);
  const all = [];
  for (const { chain, image } of results) {
    const view = await chainView(chain, store, signal);
    const prefix = split ? `${formatPlatform(image.platform).replaceAll('/', '_')}/` : '';
    all.push({ prefix, view });
  }
  return all;
}

/**
 * `type=local`: the file tree of the result in a folder, its files the caller's own, as buildx writes them. Files there that the result does not have stay (`mode=delete`
 * removes them). Links of the result are never followed, nor links that lie in the folder already.
 */
export async function writeTree(
  results: readonly PlatformResult[],
  attributes: Readonly<Record<string, string>>,
  context: OutputContext,
): Promise<OutputResult> {
  const dest = attributes['dest'];
  if (dest === undefined || dest === '-') {
    throw builderError('OUTPUT_INVALID', 'dest is required for local exporter', { hint: 'Write -o FOLDER.' });
  }
  const sources = await trees(results, attributes, context);
  let made: string | undefined;
  try {
    made = await makeFolders(dest);
    for (const { prefix, view } of sources) {
      const root = join(dest, prefix);
      await makeFolders(root);
      const skipped = await writeFiles(view, root, {
        clean: attributes['mode'] === 'delete',
        epoch: outputEpoch(attributes, context),
        signal: context.signal,
      });
      if (skipped > 0) {
        context.emit({ type: 'note', message: `${skipped} device nodes were not written to "${dest}"` });
      }
    }
  } catch (error) {
    // What was there before may be anybody's: only a folder of our own goes again.
    if (made !== undefined) await rm(made, { recursive: true, force: true });
    throw outputFailure(dest, error);
  }
  return { names: [] };
}
