import {
  collect,
  errnoOf,
  isDigest,
  isNestedDeeper,
  verified,
  type ByteStream,
  type Descriptor,
  type Index,
} from '@strake/core';
import fs from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { builderError } from '../errors.js';
import type { Witness } from '../witness.js';
import type { ImageContent } from './image-source.js';

/** Largest index.json that is read. */
const INDEX_LIMIT = 8 << 20;

const TAG = 'org.opencontainers.image.ref.name';

/**
 * An image in a folder (`oci-layout://DIR[:tag][@digest]`, OCI image-layout.md).
 * @throws StrakeError `LAYOUT_INVALID`
 */
export async function openLayout(
  spec: string,
  witness?: Witness,
): Promise<{ content: ImageContent; root: Descriptor }> {
  const [, path = '', tag, digest] = /^(.*?)(?::([\w][\w.-]*))?(?:@(.*))?$/.exec(spec) ?? [];
  // A colon may belong to the path.
  const folder = tag !== undefined && isThere(join(`${path}:${tag}`, 'index.json'), witness) ? `${path}:${tag}` : path;
  const invalid = (why: string, cause?: unknown): Error =>
    builderError('LAYOUT_INVALID', `"${folder}" is not an OCI image layout: ${why}`, {
      cause,
      hint: 'Name a folder with index.json and blobs/, as skopeo or buildx write it.',
    });
  let index: Index;
  try {
    const bytes = await collect(readFile(join(folder, 'index.json'), witness), INDEX_LIMIT, 'index.json');
    if (isNestedDeeper(bytes, 64)) throw new SyntaxError('its JSON is nested too deep');
    index = JSON.parse(bytes.toString('utf8')) as Index;
  } catch (error) {
    throw invalid(errnoOf(error) === 'ENOENT' ? 'there is no index.json' : 'its index.json cannot be read', error);
  }
  const manifests: unknown = (index as Index | null)?.manifests;
  if (!Array.isArray(manifests)) throw invalid('its index.json lists no manifests');
  const entries = (manifests as Descriptor[]).filter((entry) =>
    isDigest((entry as Partial<Descriptor> | null)?.digest),
  );
  const wanted = folder === path ? tag : undefined;
  const candidates = entries.filter(
    (entry) => (digest === undefined || entry.digest === digest) && (wanted === undefined || isTagged(entry, wanted)),
  );
  if (candidates.length === 0) throw invalid(`no image ${wanted ?? digest ?? ''} in it`);
  const content: ImageContent = {
    name: `oci-layout://${folder}`,
    blob: (descriptor) => readBlob(folder, descriptor, invalid, witness),
  };
  const [root] = candidates;
  if (candidates.length === 1 && root) return { content, root };
  // Several images: the index itself stands for them, for the choice by platform.
  return {
    content: { ...content, blob: (d) => (d === LAYOUT_INDEX ? indexBytes(candidates) : content.blob(d)) },
    root: LAYOUT_INDEX,
  };
}

function isTagged(entry: Descriptor, tag: string): boolean {
  const name: unknown = (entry.annotations as Readonly<Record<string, unknown>> | undefined)?.[TAG];
  return typeof name === 'string' && (name === tag || name.endsWith(`:${tag}`));
}

/** Stands for the list of manifests of a layout, which has no digest of its own. */
const LAYOUT_INDEX: Descriptor = {
  mediaType: 'application/vnd.oci.image.index.v1+json',
  digest: `sha256:${'0'.repeat(64)}`,
  size: 0,
};

async function* indexBytes(manifests: readonly Descriptor[]): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })));
}

async function* readBlob(
  folder: string,
  descriptor: Descriptor,
  invalid: (why: string, cause?: unknown) => Error,
  witness: Witness | undefined,
): ByteStream & AsyncGenerator<Uint8Array> {
  if (!isDigest(descriptor.digest)) throw invalid('a digest in it is not a sha256 digest');
  const path = join(folder, 'blobs', 'sha256', descriptor.digest.slice(7));
  try {
    yield* verified(readFile(path, witness), descriptor, `blob of ${folder}`);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw invalid(`blob ${descriptor.digest} is missing or cannot be read`, error);
  }
}

function isThere(path: string, witness: Witness | undefined): boolean {
  const there = fs.existsSync(path);
  witness?.looked(resolve(path), there ? fs.lstatSync(path, { throwIfNoEntry: false }) : undefined);
  return there;
}

/** The bytes of what must be a regular file: a fifo or device in its place neither blocks nor goes on for ever. */
async function* readFile(path: string, witness: Witness | undefined): AsyncGenerator<Uint8Array> {
  if (witness) {
    const real = await fs.promises.realpath(path);
    witness.led(resolve(path), real);
    for (const one of [dirname(real), real]) witness.looked(one, await fs.promises.lstat(one));
  }
  const file = await fs.promises.open(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw builderError('LAYOUT_INVALID', `${path} is no file`);
    yield* file.createReadStream({ autoClose: false, highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>;
  } finally {
    await file.close();
  }
}
