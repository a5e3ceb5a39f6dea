import {
  collect,
  digestOf,
  isDigest,
  isIndexType,
  isNestedDeeper,
  isStrakeError,
  MediaType,
  verified,
  type ByteStream,
  type Descriptor,
  type Digest,
} from '@strake/core';
import type { ArchiveEntry, Store } from '@strake/store';
import { posix } from 'node:path';

import { decompress, detectCompression, prepend } from '../copy/decompress.js';
import { builderError } from '../errors.js';
import type { ImageContent } from './image-source.js';

/** An image of an archive, and what the archive calls it. */
export interface ArchivedImage {
  /** As written: `app:1`, `docker.io/library/app:1`; may be none. */
  readonly names: readonly string[];
  readonly content: ImageContent;
  /** The manifest, or the index of several platforms. */
  readonly root: Descriptor;
}

/** Largest document that is read. */
const DOCUMENT_LIMIT = 8 << 20;
const MAX_NESTING = 64;
/** Links of older archives point from one layer's folder to another's. */
const MAX_LINKS = 8;

/** Most images, most names of all of them, and most layers of one. Each name costs a write that is synced: 4 ms. */
const MAX_LISTED = 5000;

const IMAGE_NAME = 'io.containerd.image.name';
const REF_NAME = 'org.opencontainers.image.ref.name';

/**
 * The images of an archive, plain or compressed: an OCI image layout as buildx, skopeo, newer `docker save` and `strake save` write
 * it, or the older form of `docker save` (manifest.json). Blobs are found by what they contain, not by what they are called.
 * @throws StrakeError `ARCHIVE_INVALID`
 */
export async function openImageArchive(
  archive: ByteStream,
  store: Store,
  signal: AbortSignal,
): Promise<readonly ArchivedImage[]> {
  const files = await ArchiveFiles.read(archive, store, signal);
  const older = dockerImages((await files.document('manifest.json'))?.value);
  const index = await files.document('index.json');
  if (index) return layoutImages(files, index.value, older);
  if (older.length > 0) {
    const images: ArchivedImage[] = [];
    for (const image of older) images.push(await assembled(files, image)); // not all at once: each opens a file
    return images;
  }
  throw invalid('there is neither an index.json nor a manifest.json in it');
}

/** The files of an archive that was stored as one blob. */
class ArchiveFiles {
  readonly #byName = new Map<string, ArchiveEntry>();
  readonly #byDigest = new Map<Digest, ArchiveEntry>();
  readonly #store: Store;
  readonly #blob: Digest;

  private constructor(store: Store, blob: Digest, entries: readonly ArchiveEntry[]) {
    this.#store = store;
    this.#blob = blob;
    for (const entry of entries) {
      this.#byName.set(posix.join('/', entry.name).slice(1), entry);
      // A sparse file's bytes do not lie in one piece.
      if (entry.digest && !entry.segments) this.#byDigest.set(entry.digest, entry);
    }
  }

  static async read(archive: ByteStream, store: Store, signal: AbortSignal): Promise<ArchiveFiles> {
    try {
      const iterator = archive[Symbol.asyncIterator]();
      const first = await iterator.next();
      const head = first.done ? new Uint8Array(0) : first.value;
      const tar = await decompress(prepend(head, iterator), detectCompression(head));
      const { blob, entries } = await store.archive(tar, signal);
      return new ArchiveFiles(store, blob, entries);
    } catch (error) {
      if (isStrakeError(error) && error.code !== 'LAYER_INVALID') throw error;
      throw invalid(error instanceof Error ? error.message : 'it is damaged', error);
    }
  }

  /** The file of a name, links followed within the archive. */
  find(name: string): ArchiveEntry | undefined {
    let entry = this.#byName.get(posix.join('/', name).slice(1));
    for (let links = 0; entry?.link !== undefined && links < MAX_LINKS; links++) {
      const from = entry.type === 'symlink' ? posix.dirname(posix.join('/', entry.name)) : '/';
      entry = this.#byName.get(posix.resolve(from, entry.link).slice(1));
    }
    return entry?.type === 'file' && entry.digest && !entry.segments ? entry : undefined;
  }

  /** The bytes of the file whose digest a descriptor states. */
  blob(descriptor: Descriptor): ByteStream {
    const entry = this.#byDigest.get(descriptor.digest);
    if (!entry) throw invalid(`${descriptor.digest} is missing in it`);
    return verified(this.#open(entry), descriptor, 'blob of the archive');
  }

  /** The first bytes of a file. */
  head({ offset, size }: ArchiveEntry): Promise<Buffer> {
    const end = offset + Math.min(size, 6);
    return collect(this.#store.blobs.open(this.#blob, { start: offset, end }), 6);
  }

  /** A JSON document; undefined where there is none of the name. */
  async document(name: string): Promise<{ readonly value: unknown } | undefined> {
    const entry = this.find(name);
    if (!entry) return undefined;
    const bytes = await collect(this.#open(entry), DOCUMENT_LIMIT, name);
    if (isNestedDeeper(bytes, MAX_NESTING)) throw invalid(`its ${name} is nested too deep`);
    try {
      return { value: JSON.parse(bytes.toString('utf8')) as unknown };
    } catch (cause) {
      throw invalid(`its ${name} is not JSON`, cause);
    }
  }

  #open({ offset, size }: ArchiveEntry): ByteStream {
    return this.#store.blobs.open(this.#blob, { start: offset, end: offset + size });
  }
}

/** An image as manifest.json lists it: names of files in the archive. */
interface DockerImage {
  readonly config: string;
  readonly tags: readonly string[];
  readonly layers: readonly string[];
}

function dockerImages(document: unknown): DockerImage[] {
  if (!Array.isArray(document)) return [];
  bounded('manifest.json', 'images', document.length);
  const images = (document as readonly unknown[]).map((value) => {
    const { Config, RepoTags, Layers } = (value ?? {}) as Readonly<Record<string, unknown>>;
    const layers: unknown = Layers ?? [];
    const tags: unknown = RepoTags ?? [];
    if (typeof Config !== 'string' || !isStrings(layers) || !isStrings(tags)) {
      throw invalid('its manifest.json does not list images');
    }
    bounded('manifest.json', 'layers', layers.length);
    return { config: Config, tags, layers };
  });
  bounded(
    'manifest.json',
    'names',
    images.reduce((count, { tags }) => count + tags.length, 0),
  );
  return images;
}

function bounded(file: string, what: string, count: number): void {
  if (count > MAX_LISTED) throw invalid(`its ${file} lists ${count} ${what}, more than ${MAX_LISTED}`);
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

/** The images that index.json lists; one that it has no name for may have one in manifest.json. */
async function layoutImages(
  files: ArchiveFiles,
  index: unknown,
  older: readonly DockerImage[],
): Promise<readonly ArchivedImage[]> {
  const listed: unknown = (index as { readonly manifests?: unknown } | null)?.manifests;
  if (!Array.isArray(listed) || listed.length === 0) throw invalid('its index.json lists no images');
  bounded('index.json', 'images', listed.length);
  const images = new Map<Digest, { readonly root: Descriptor; readonly names: Set<string> }>();
  for (const value of listed as readonly unknown[]) {
    const { digest, size, mediaType, annotations } = (value ?? {}) as Partial<Descriptor>;
    if (!isDigest(digest) || typeof size !== 'number' || typeof mediaType !== 'string') {
      throw invalid('its index.json lists something without digest, size or media type');
    }
    const image = images.get(digest) ?? { root: { mediaType, digest, size }, names: new Set<string>() };
    images.set(digest, image);
    const name = annotations?.[IMAGE_NAME] ?? fullName(annotations?.[REF_NAME]);
    if (typeof name === 'string') image.names.add(name);
  }
  const tags = new Map<Digest | undefined, readonly string[]>();
  for (const image of older) {
    const config = files.find(image.config)?.digest;
    if (config !== undefined && !tags.has(config)) tags.set(config, image.tags);
  }
  const found: ArchivedImage[] = [];
  for (const { root, names } of images.values()) {
    if (names.size === 0 && !isIndexType(root.mediaType)) {
      const manifest = (await files.document(`blobs/sha256/${root.digest.slice(7)}`))?.value;
      const config = (manifest as { readonly config?: Partial<Descriptor> } | undefined)?.config?.digest;
      for (const tag of tags.get(config) ?? []) names.add(tag);
    }
    found.push({ names: [...names], root, content: contentOf(files) });
  }
  return found;
}

/** skopeo writes either a whole name or a tag alone there. */
function fullName(name: string | undefined): string | undefined {
  return name !== undefined && /[:/]/.test(name) ? name : undefined;
}

/** Makes a manifest for an image that manifest.json describes. */
async function assembled(files: ArchiveFiles, { config, tags, layers }: DockerImage): Promise<ArchivedImage> {
  const describe = (name: string, mediaType: string): Descriptor => {
    const entry = files.find(name);
    if (!entry?.digest) throw invalid(`"${name}" is missing in it`);
    return { mediaType, digest: entry.digest, size: entry.size };
  };
  const described = [];
  for (const name of layers) {
    const entry = files.find(name);
    const compression = entry ? detectCompression(await files.head(entry)) : 'none';
    const types = { none: MediaType.ociLayer, gzip: MediaType.ociLayerGzip, zstd: MediaType.ociLayerZstd };
    if (compression !== 'none' && compression !== 'gzip' && compression !== 'zstd') {
      throw invalid(`"${name}" is compressed with ${compression}, which no layer is`);
    }
    described.push(describe(name, types[compression]));
  }
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: describe(config, MediaType.ociConfig),
      layers: described,
    }),
  );
  const root = { mediaType: MediaType.ociManifest, digest: digestOf(bytes), size: bytes.length };
  return { names: tags, root, content: contentOf(files, { digest: root.digest, bytes }) };
}

function contentOf(files: ArchiveFiles, made?: { readonly digest: Digest; readonly bytes: Buffer }): ImageContent {
  return {
    name: 'the archive',
    blob: (descriptor) => (descriptor.digest === made?.digest ? one(made.bytes) : files.blob(descriptor)),
  };
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

function invalid(why: string, cause?: unknown): Error {
  return builderError('ARCHIVE_INVALID', `this is not an archive of images: ${why}`, {
    cause,
    hint: 'It takes what docker save, strake save, skopeo or an output of type oci or docker have written.',
  });
}
