import { familiarName, hexOf, makeFolders, MediaType, parseReference, type Descriptor } from '@strake/core';
import fs from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Pack } from 'tar-stream';

import { builderError } from '../errors.js';
import { layerBytes } from '../image.js';
import { assembleImages, type ImageSet } from './image-set.js';
import { outputFailure } from './output-failure.js';
import { writeTo } from './write-tar.js';
import { packFile, packHeader } from './tar-pack.js';
import { isTrue, manifestOptions, type OutputContext, type OutputResult, type PlatformResult } from './output.js';

/** A file of an image layout. */
interface LayoutFile {
  readonly name: string;
  readonly size: number;
  readonly read: () => AsyncIterable<Uint8Array> | Uint8Array;
}

/**
 * `type=oci` and `type=docker`: an OCI image layout as a tar (or, with `tar=false`, a folder). The docker form has a
 * manifest.json besides, which `docker load` reads.
 * @throws StrakeError `OUTPUT_INVALID`
 */
export async function writeArchive(
  kind: 'oci' | 'docker',
  results: readonly PlatformResult[],
  attributes: Readonly<Record<string, string>>,
  context: OutputContext,
): Promise<OutputResult> {
  const dest = attributes['dest'] ?? '-';
  if (kind === 'docker' && results.length > 1) {
    throw builderError('OUTPUT_INVALID', 'docker exporter does not support exporting manifest lists', {
      hint: 'Build one platform, or use type=oci.',
    });
  }
  const options = manifestOptions(attributes, 'gzip', context.annotations);
  const images = await assembleImages(results, options, context);
  const files = layoutFiles(kind, images, context);
  if (attributes['tar'] !== undefined && !isTrue(attributes['tar'])) {
    if (dest === '-') throw builderError('OUTPUT_INVALID', 'an output with tar=false needs dest=FOLDER');
    await writeFolder(files, dest, context.signal);
  } else {
    await writeTo(dest, context, (pack) => packFiles(files, pack, context.signal));
  }
  return { descriptor: images.root.descriptor, names: context.names };
}

function layoutFiles(kind: 'oci' | 'docker', images: ImageSet, { names, store, signal }: OutputContext): LayoutFile[] {
  const blobs = new Map<string, LayoutFile>();
  const path = (descriptor: Descriptor): string => `blobs/sha256/${hexOf(descriptor.digest)}`;
  const add = (descriptor: Descriptor, read: LayoutFile['read']): void => {
    blobs.set(path(descriptor), { name: path(descriptor), size: descriptor.size, read });
  };
  for (const { manifest, bytes, descriptor, result } of images.manifests) {
    for (const layer of manifest.layers) add(layer, () => layerBytes(result.image, layer, store, signal));
    add(manifest.config, () => result.image.configBytes);
    add(descriptor, () => bytes);
  }
  add(images.root.descriptor, () => images.root.bytes);
  const text = (name: string, value: unknown): LayoutFile => {
    const bytes = Buffer.from(JSON.stringify(value));
    return { name, size: bytes.length, read: () => bytes };
  };
  const [first] = images.manifests;
  // As buildx: of an image without an index the platform stands here.
  const platform = first && first.descriptor.digest === images.root.descriptor.digest && first.descriptor.platform;
  const root = { ...images.root.descriptor, ...(platform ? { platform } : {}) };
  const entries = names.map((name) => ({
    ...root,
    annotations: {
      ...root.annotations,
      'io.containerd.image.name': name,
      'org.opencontainers.image.ref.name': parseReference(name).tag ?? 'latest',
    },
  }));
  const index = {
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: entries.length > 0 ? entries : [root],
  };
  const files = [...[...blobs.values()].sort((a, b) => (a.name < b.name ? -1 : 1)), text('index.json', index)];
  if (kind === 'docker' && first) {
    const tags = names.map((name) => familiarName(parseReference(name)));
    const layers = first.manifest.layers.map(path);
    files.push(text('manifest.json', [{ Config: path(first.manifest.config), RepoTags: tags, Layers: layers }]));
  }
  return [...files, text('oci-layout', { imageLayoutVersion: '1.0.0' })];
}

async function packFiles(files: readonly LayoutFile[], pack: Pack, signal: AbortSignal): Promise<void> {
  const mtime = new Date(0);
  for (const name of ['blobs/', 'blobs/sha256/'])
    await packHeader(pack, { name, type: 'directory', mode: 0o755, mtime });
  for (const { name, size, read } of files) await packFile(pack, { name, size, mode: 0o644, mtime }, read(), signal);
}

async function writeFolder(files: readonly LayoutFile[], dest: string, signal: AbortSignal): Promise<void> {
  let made: string | undefined;
  let temporary = '';
  try {
    made = await makeFolders(join(dest, 'blobs', 'sha256'));
    for (const file of files) {
      const content = file.read();
      temporary = join(dest, `.${file.name.replaceAll('/', '-')}.${process.pid}`);
      await pipeline(content instanceof Uint8Array ? [content] : content, fs.createWriteStream(temporary), { signal });
      await rename(temporary, join(dest, file.name));
    }
  } catch (error) {
    if (made !== undefined) await rm(made, { recursive: true, force: true });
    else if (temporary !== '') await rm(temporary, { force: true });
    throw outputFailure(dest, error);
  }
}
