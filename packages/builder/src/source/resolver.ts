import {
  canonicalName,
  familiarName,
  formatPlatform,
  hexOf,
  isStrakeError,
  parseReference,
  StrakeError,
  verified,
  type Descriptor,
  type ImageReference,
  type Platform,
} from '@strake/core';

import { builderError } from '../errors.js';
import type { NamedSource, ResolvedImage, SourceResolver } from '../lower/context.js';
import type { BuilderServices } from '../services.js';
import { baseImageVertex, scratchVertex } from '../steps/base-image.js';
import type { SourceTree } from '../tree/source-tree.js';
import type { ContextSource } from './context.js';
import { parseGitReference } from './git-reference.js';
import { loadImage, type ImageContent } from './image-source.js';
import { openLayout } from './oci-layout.js';

export interface ResolverOptions {
  /** The main context; opened when something reads it. */
  readonly context: () => Promise<SourceTree>;
  /** `--build-context`: name to what it stands for. */
  readonly buildContexts: ReadonlyMap<string, ContextSource>;
  /** A folder, URL, archive or files in memory as a tree of files. */
  readonly openTree: (spec: ContextSource) => Promise<SourceTree>;
  /** Ask the registry even where the image is in the local store. */
  readonly pull: boolean;
  readonly signal: AbortSignal;
}

/** Finds what names stand for: named contexts first, then the local store, then the registry. Each once a build. */
export function createSourceResolver(options: ResolverOptions, services: BuilderServices): SourceResolver {
  const { signal } = options;
  const { store } = services;
  const found = new Map<string, Promise<ResolvedImage>>();
  const trees = new Map<string, Promise<SourceTree>>();
  const contextOf = contextFinder(options.buildContexts);
  let ids = 0;

  const resolved = async (
    content: ImageContent,
    root: Descriptor,
    platform: Platform,
    stepName: (name: string) => string,
  ): Promise<ResolvedImage> => {
    const image = await loadImage(content, root, platform, signal);
    for (const { diffId, origin } of image.layers) {
      await checkSize(content, origin.descriptor, store);
      // A layer that an earlier image brought must not stand in for what a layout has: its own bytes cost nothing to read.
      if (content.reference || (await store.layers.size(diffId)) === undefined) continue;
      await store.layers.import(diffId, origin.descriptor, (s) => origin.fetch(s), signal);
    }
    const windows = image.platform.os === 'windows' && image.layers.length > 0;
    const vertex = baseImageVertex({
      id: `image-${++ids}`,
      name: stepName(`${content.name}@${image.manifest.digest}`),
      store,
      windows,
      layers: image.layers.map(({ diffId, origin }) => ({
        diffId,
        origin: { ...origin, fetch: (s) => reported(origin.descriptor, origin.fetch(s), vertexId, services) },
      })),
    });
    const vertexId = vertex.id;
    // Not where on this machine a layout lies.
    const name = content.reference ? `${canonicalName(content.reference)}@` : '';
    const layerName = `pulled from ${name}${image.manifest.digest}`;
    const { config, platform: own, layers } = image;
    return { vertex, config, layerCount: layers.length, platform: own, windows, layerName };
  };

  const once = (key: string, make: () => Promise<ResolvedImage>): Promise<ResolvedImage> => {
    let promise = found.get(key);
    if (!promise) {
      promise = make();
      found.set(key, promise);
    }
    return promise;
  };

  const image: SourceResolver['image'] = (name, platform, stepName) =>
    once(`${name} ${JSON.stringify(platform)}`, async () => {
      const reference = parseReference(name);
      const local = options.pull ? undefined : await localImage(reference, platform, services);
      if (local && !(local.pulled && isPassing(reference.registry))) {
        return resolved(local.content, local.root, platform, stepName);
      }
      const remote = await remoteImage(reference, services, signal).catch(orElse(local));
      const result = await resolved(remote.content, remote.root, platform, stepName);
      // Only now is the image known to be sound: later builds find it here.
      await store.references.set(canonicalName(reference), remote.root, { pulled: true });
      return result;
    });

  const named = async (name: string, platform: Platform): Promise<NamedSource | undefined> => {
    const spec = contextOf(name);
    if (spec === undefined) return undefined;
    if (typeof spec === 'string' && spec.startsWith('docker-image://')) {
      const target = spec.slice('docker-image://'.length);
      if (target === 'scratch') {
        const vertex = {
          ...scratchVertex(`[context ${name}] ${formatPlatform(platform)}`),
          name: `[context ${name}] scratch`,
        };
        return { kind: 'image', image: { vertex, config: undefined, layerCount: 0, platform, layerName: '' } };
      }
      return { kind: 'image', image: await image(target, platform, (full) => `[context ${name}] ${full}`) };
    }
    if (typeof spec === 'string' && spec.startsWith('oci-layout://')) {
      const make = async (): Promise<ResolvedImage> => {
        const { content, root } = await openLayout(spec.slice('oci-layout://'.length), services.witness);
        return resolved(content, root, platform, () => `[context ${name}] ${content.name}`);
      };
      return { kind: 'image', image: await once(`${spec} ${JSON.stringify(platform)}`, make) };
    }
    let tree = trees.get(name);
    if (!tree) {
      tree = options.openTree(spec);
      trees.set(name, tree);
    }
    return { kind: 'tree', tree: await tree, where: `context "${name}"`, layerName: layerNameOf(name, spec) };
  };

  return { context: options.context, named, image };
}

/** What BuildKit's cache says of the layer that a context's files are. */
function layerNameOf(name: string, spec: ContextSource): string {
  const git = typeof spec === 'string' ? parseGitReference(spec) : undefined;
  if (git && !git.likeLocalPath) return `git snapshot for ${git.remote}#${git.ref ?? ''}`;
  return typeof spec === 'string' && /^https?:/i.test(spec) ? `http url ${spec}` : `local source for ${name}`;
}

/**
 * Finds what a named context stands for. They match however an image's name is written: `busybox`, `busybox:latest`,
 * `docker.io/library/busybox`.
 */
export function contextFinder(
  contexts: ReadonlyMap<string, ContextSource>,
): (name: string) => ContextSource | undefined {
  const known = new Map([...contexts].map(([name, spec]) => [contextKey(name), spec] as const));
  return (name) => known.get(contextKey(name));
}

function contextKey(name: string): string {
  try {
    return canonicalName(parseReference(name));
  } catch (error) {
    if (error instanceof StrakeError) return name;
    throw error;
  }
}

/**
 * Whether a registry's address is one that this machine gives to whatever program asks for a port: what was pulled from there
 * says nothing about who answers there now. (From 32768 on, unless /proc/sys/net/ipv4/ip_local_port_range says otherwise.)
 */
export function isPassing(registry: string): boolean {
  const [, port = '0'] = /^(?:localhost|127(?:\.\d+){3}|\[::1\]):(\d+)$/.exec(registry) ?? [];
  return Number(port) >= 32_768;
}

/** Where nobody answers any more, what was pulled before is LOCAL; other failures are failures. */
function orElse(local: LocalImage | undefined): (error: unknown) => LocalImage {
  return (error) => {
    if (!local || !isStrakeError(error, 'REGISTRY_UNREACHABLE')) throw error;
    return local;
  };
}

interface LocalImage {
  readonly content: ImageContent;
  readonly root: Descriptor;
  readonly pulled: boolean;
}

/** An image of the local store, where it is there for the platform. */
async function localImage(
  reference: ImageReference,
  platform: Platform,
  { store, registry, witness }: BuilderServices,
): Promise<LocalImage | undefined> {
  witness?.name(canonicalName(reference));
  const record = await store.references.get(canonicalName(reference));
  if (!record || (reference.digest && record.target.digest !== reference.digest)) return undefined;
  const content: ImageContent = {
    name: familiarName({ ...reference, digest: undefined }),
    reference,
    async *blob(descriptor, signal) {
      if ((await store.blobs.size(descriptor.digest)) !== undefined) yield* store.blobs.open(descriptor.digest);
      else yield* keep(store, descriptor, (await registry()).blob(reference, descriptor, { signal }), signal);
    },
  };
  try {
    await loadImage(content, record.target, platform);
    return { content, root: record.target, pulled: record.pulled ?? false };
  } catch (error) {
    if (error instanceof StrakeError) return undefined;
    throw error;
  }
}

/** An image of a registry. Documents are kept in the store as they are read; layers when they are needed. */
async function remoteImage(
  reference: ImageReference,
  { store, registry }: BuilderServices,
  signal: AbortSignal,
): Promise<{ content: ImageContent; root: Descriptor }> {
  const client = await registry();
  const { descriptor, bytes } = await client.manifest(reference, { signal });
  await store.blobs.put(bytes, descriptor, signal);
  const content: ImageContent = {
    name: familiarName({ ...reference, digest: undefined }),
    reference,
    async *blob(wanted, s) {
      if ((await store.blobs.size(wanted.digest)) !== undefined) yield* store.blobs.open(wanted.digest);
      else if (/manifest|index/.test(wanted.mediaType)) {
        const child = { registry: reference.registry, repository: reference.repository, digest: wanted.digest };
        const fetched = await client.manifest(child, { signal: s, expected: wanted });
        await store.blobs.put(fetched.bytes, wanted, s);
        yield fetched.bytes;
      } else yield* keep(store, wanted, client.blob(reference, wanted, { signal: s }), s);
    },
  };
  return { content, root: descriptor };
}

/** Stores a stream and gives it back from the store: verified as a whole before its first byte is used. */
async function* keep(
  store: BuilderServices['store'],
  descriptor: Descriptor,
  stream: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  await store.blobs.put(verified(stream, descriptor, 'blob'), descriptor, signal);
  yield* store.blobs.open(descriptor.digest);
}

/** A layer's bytes on their way, told as progress of the step that FROM is. */
async function* reported(
  descriptor: Descriptor,
  stream: AsyncIterable<Uint8Array>,
  id: string,
  { emit, now }: BuilderServices,
): AsyncGenerator<Uint8Array> {
  let current = 0;
  let told = 0;
  const tell = (done: boolean): void => {
    emit({
      type: 'progress',
      id,
      time: now(),
      action: 'pull',
      subject: `sha256:${hexOf(descriptor.digest)}`,
      current,
      total: descriptor.size,
      done,
    });
  };
  for await (const chunk of stream) {
    current += chunk.length;
    yield chunk;
    if (now() - told > 100) {
      told = now();
      tell(false);
    }
  }
  tell(true);
}

/** A layer that is in the store must have the size that the manifest states: nothing is downloaded that would show the lie. */
async function checkSize(
  content: ImageContent,
  { digest, size }: Descriptor,
  { blobs }: BuilderServices['store'],
): Promise<void> {
  const actual = await blobs.size(digest);
  if (actual === undefined || actual === size) return;
  throw builderError('BASE_INVALID', `${content.name} is not a sound image: the size of its layer ${digest} is a lie`, {
    hint: `The layer has ${actual} bytes, the manifest says ${size}. Pull the image again, or report it to who made it.`,
  });
}

/** The error for a context that is no folder. */
export function contextMissing(spec: string): Error {
  return builderError('CONTEXT_NOT_FOUND', `the build context "${spec}" is not a folder`, {
    hint: 'Name a folder, a URL, a Git repository, or - for stdin.',
  });
}
