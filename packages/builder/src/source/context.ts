import { errnoOf } from '@strake/core';
import fs from 'node:fs';
import { basename, isAbsolute, join, resolve } from 'node:path';

import { builderError } from '../errors.js';
import type { BuilderServices } from '../services.js';
import { FileTable } from '../tree/file-table.js';
import { LocalTree } from '../tree/local-tree.js';
import type { FileMap } from '../tree/memory-tree.js';
import type { SourceTree } from '../tree/source-tree.js';
import { TreeMemory } from '../tree/tree-memory.js';
import {
  dockerfileFromStream,
  dockerfileInTree,
  dockerfileText,
  ignoreFileInTree,
  localDockerfile,
  type DockerfileInput,
  type IgnoreFile,
} from './dockerfile-input.js';
import { parseGitReference } from './git-reference.js';
import { ignoreRules, soundPatterns } from './ignore-rules.js';
import { fileNameOf, parseUrl } from './remote.js';
import { temporaryTree, type Stated } from './temporary-tree.js';

/** What a context may be: a folder, an http(s) address or a Git repository; files in memory; a stream of a tar. */
export type ContextSource = string | FileMap | AsyncIterable<Uint8Array | string>;

export interface OpenContextOptions {
  /** `-`: stdin. */
  readonly spec: ContextSource;
  /** `-f`: a path (absolute for a file of this machine; else relative to a remote context), an http(s) address, or `-`. */
  readonly file?: string | undefined;
  /** The text of the Dockerfile, instead of a file. */
  readonly dockerfile?: string | undefined;
  readonly stdin?: NodeJS.ReadableStream | undefined;
  readonly services: BuilderServices;
  readonly signal: AbortSignal;
  /** SOURCE_DATE_EPOCH and BUILDKIT_CONTEXT_KEEP_GIT_DIR are looked at. */
  readonly buildArgs: ReadonlyMap<string, string>;
}

/** The main context of a build. */
export interface OpenedContext {
  readonly kind: 'folder' | 'stdin' | 'git' | 'http' | 'files';
  /**
   * The folder that it is in: the user's, or one that is removed when the build ends. Absolute, free of links. Undefined for files
   * in memory.
   */
  readonly root: string | undefined;
  readonly dockerfile: { readonly text: string; readonly name: string };
  /** What SOURCE_DATE_EPOCH=context stands for, in seconds since 1970: a commit's time, Last-Modified, the newest file of a tar. */
  readonly epoch: number | undefined;
  /** Patterns of the ignore file; none where it does not apply: only folders of this machine have one. */
  ignorePatterns(): Promise<readonly string[]>;
  /** Its files; made once. @throws StrakeError `PATTERN_INVALID`, `CONTEXT_UNREADABLE` */
  tree(): Promise<SourceTree>;
}

/**
 * Opens the main context and reads the Dockerfile.
 * @throws StrakeError `CONTEXT_NOT_FOUND`, `CONTEXT_UNREADABLE`, `DOCKERFILE_NOT_FOUND`, `DOCKERFILE_INVALID`,
 * `DOWNLOAD_FAILED`, `GIT_FAILED`, `ARGUMENT_INVALID`, `CANCELLED`
 */
export async function openContext(options: OpenContextOptions): Promise<OpenedContext> {
  const { spec, file, dockerfile: text, stdin, services, signal } = options;
  if (text !== undefined && file) {
    throw builderError('ARGUMENT_INVALID', 'the Dockerfile is given as a text and as a file', {
      hint: 'Give one of them.',
    });
  }
  if (typeof spec !== 'string') return isStream(spec) ? streamContext(spec, options) : filesContext(spec, options);
  if (spec === '-') {
    if (!stdin) throw builderError('ARGUMENT_INVALID', 'the context is to come from stdin, but there is none');
    return streamContext(stdin, options);
  }
  const place = await locate(spec, services, signal, options.buildArgs);
  if (place.kind === 'folder') return folderContext(place.root, options);
  const { kind, root, epoch, stated, timedRoot } = place;
  const tree = temporaryTree(root, { stated, timedRoot });
  const local = await dockerfileElsewhere(options, isAbsolute(file ?? ''));
  const dockerfile = local ?? (await dockerfileInTree(tree, place.dockerfile ?? (file || undefined)));
  return {
    kind,
    root,
    epoch,
    dockerfile,
    ignorePatterns: () => Promise.resolve([]),
    tree: () => Promise.resolve(tree),
  };
}

/** Opens a named context (`--build-context name=…`), for its files only. @throws StrakeError as {@link openContext} */
export async function openTree(
  spec: ContextSource,
  services: BuilderServices,
  signal: AbortSignal,
): Promise<SourceTree> {
  if (typeof spec !== 'string') {
    if (!isStream(spec)) return (await import('./files-context.js')).openFiles(spec, services);
    const { readStreamContext, streamBytes } = await import('./stdin-context.js');
    const content = await readStreamContext(streamBytes(spec, signal), services, signal);
    if (content.kind === 'archive') return temporaryTree(content.root, { stated: content.stated });
    throw builderError('CONTEXT_UNREADABLE', 'the stream of a named context is no tar');
  }
  const place = await locate(spec, services, signal, new Map(), 'named');
  if (place.kind !== 'folder') return temporaryTree(place.root, { stated: place.stated, timedRoot: place.timedRoot });
  const unfiltered = folderAsItIs(place.root, services);
  try {
    return await folderTree(place.root, await ignoreFileInTree(unfiltered, '.dockerignore'), services);
  } finally {
    noteReads(place.root, unfiltered, services);
  }
}

/**
 * The time of a named context in seconds since 1970: a commit's, Last-Modified, the newest file of an archive. Undefined for folders
 * and images. @throws StrakeError as {@link openContext}
 */
export async function contextEpoch(
  spec: string,
  services: BuilderServices,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (/^(?:docker-image|oci-layout):/.test(spec)) return undefined;
  return (await locate(spec, services, signal, new Map())).epoch;
}

interface Place {
  readonly kind: 'folder' | 'git' | 'http';
  readonly root: string;
  readonly epoch?: number | undefined;
  readonly timedRoot?: boolean | undefined;
  /** Of an archive's entries, where they are not 0:0. */
  readonly stated?: ReadonlyMap<string, Stated> | undefined;
  /** The one file that an address without an archive stands for. */
  readonly dockerfile?: string | undefined;
}

async function locate(
  spec: string,
  services: BuilderServices,
  signal: AbortSignal,
  buildArgs: ReadonlyMap<string, string>,
  role: 'main' | 'named' = 'main',
): Promise<Place> {
  const folder = localFolder(spec);
  if (folder !== undefined) {
    services.witness?.led(resolve(spec), folder);
    return { kind: 'folder', root: folder };
  }
  services.witness?.elsewhere();
  const git = parseGitReference(spec);
  if (git) {
    const kept = /^(?:1|t|true)$/i.test(buildArgs.get('BUILDKIT_CONTEXT_KEEP_GIT_DIR') ?? '');
    const mtime = git.mtime ?? (buildArgs.get('SOURCE_DATE_EPOCH') ? 'commit' : undefined);
    const { checkoutGit } = await import('./git.js');
    const { root, committed } = await checkoutGit(
      { ...git, mtime, keepGitDir: kept || git.keepGitDir },
      services,
      signal,
    );
    return { kind: 'git', root, epoch: committed, timedRoot: mtime === 'commit' };
  }
  if (/^https?:\/\//i.test(spec)) return httpPlace(spec, services, signal, role);
  throw contextNotFound(spec);
}

/** The error for a context that is not there. */
export function contextNotFound(spec: string): Error {
  return builderError('CONTEXT_NOT_FOUND', `the build context "${spec}" does not exist`, {
    hint: 'Name a folder, a URL, a Git repository, or - for stdin.',
  });
}

/** The real path of a folder; undefined where there is nothing of that name. */
function localFolder(spec: string): string | undefined {
  try {
    if (!fs.statSync(spec).isDirectory()) {
      throw builderError('CONTEXT_NOT_FOUND', `the build context "${spec}" is not a folder`, {
        hint: 'An archive is read from stdin: strake build - < FILE. A Dockerfile is named with -f.',
      });
    }
    return fs.realpathSync(spec);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ENAMETOOLONG') return undefined;
    if (errno === undefined) throw error;
    throw builderError('CONTEXT_UNREADABLE', `the build context "${spec}" cannot be read: ${errno}`, { cause: error });
  }
}

async function httpPlace(
  spec: string,
  services: BuilderServices,
  signal: AbortSignal,
  role: 'main' | 'named',
): Promise<Place> {
  const { download } = await import('./http.js');
  const { readStreamContext, temporaryFolder } = await import('./stdin-context.js');
  const file = await download(parseUrl(spec), services, { signal });
  const bytes = services.store.blobs.open(file.blob);
  // BuildKit unpacks the main context only: a named one is the file, archive or not.
  const content =
    role === 'main' ? await readStreamContext(bytes, services, signal) : { kind: 'file' as const, stream: bytes };
  if (content.kind === 'archive') {
    return { kind: 'http', root: content.root, epoch: file.modified ?? content.newest, stated: content.stated };
  }
  // As with BuildKit, the context holds the file, under this name.
  const name = 'context';
  const root = await temporaryFolder(services);
  await fs.promises.writeFile(join(root, name), content.stream, { mode: 0o600, signal });
  fs.utimesSync(join(root, name), file.modified ?? 0, file.modified ?? 0);
  return { kind: 'http', root, epoch: file.modified, dockerfile: name };
}

async function streamContext(
  stream: AsyncIterable<Uint8Array | string>,
  options: OpenContextOptions,
): Promise<OpenedContext> {
  const { file, services, signal } = options;
  const ambiguous = (why: string): Error =>
    builderError('ARGUMENT_INVALID', why, { hint: 'Give a folder as the context, or the Dockerfile in the archive.' });
  if (file === '-') throw ambiguous('stdin cannot be both the context and the Dockerfile');
  const { readStreamContext, streamBytes, temporaryFolder } = await import('./stdin-context.js');
  const content = await readStreamContext(streamBytes(stream, signal), services, signal);
  const ignorePatterns = (): Promise<readonly string[]> => Promise.resolve([]);
  if (content.kind === 'archive') {
    const { root, newest, stated } = content;
    const tree = temporaryTree(root, { stated });
    const dockerfile = textDockerfile(options) ?? (await dockerfileInTree(tree, file || undefined));
    return { kind: 'stdin', root, epoch: newest, dockerfile, ignorePatterns, tree: () => Promise.resolve(tree) };
  }
  if (file) throw ambiguous(`stdin is no archive, but a Dockerfile, and -f names another one: ${file}`);
  if (options.dockerfile !== undefined) throw ambiguous('the stream of the context is no tar');
  const dockerfile = await dockerfileFromStream(content.stream, 'Dockerfile');
  const root = await temporaryFolder(services);
  const tree = temporaryTree(root);
  return { kind: 'stdin', root, epoch: undefined, dockerfile, ignorePatterns, tree: () => Promise.resolve(tree) };
}

async function filesContext(files: FileMap, options: OpenContextOptions): Promise<OpenedContext> {
  const { file, services, buildArgs } = options;
  const text = await dockerfileElsewhere(options, isAbsolute(file ?? ''));
  const { openFilesWithDockerfile } = await import('./files-context.js');
  const given = text ?? (file || undefined);
  const { tree, dockerfile, ignore } = await openFilesWithDockerfile(files, given, services, buildArgs);
  return {
    kind: 'files',
    root: undefined,
    epoch: undefined,
    dockerfile,
    ignorePatterns: async () => Promise.resolve(ignore ? soundPatterns(ignore.text, basename(ignore.name)) : []),
    tree: () => Promise.resolve(tree),
  };
}

async function folderContext(root: string, options: OpenContextOptions): Promise<OpenedContext> {
  const { file, services } = options;
  const unfiltered = folderAsItIs(root, services);
  if (file && file !== '-' && !/^https?:/i.test(file)) noteDockerfile(resolve(file), services);
  let dockerfile: DockerfileInput;
  let ignore: IgnoreFile | undefined;
  try {
    const elsewhere = await dockerfileElsewhere(options, file !== undefined && file !== '');
    dockerfile = elsewhere ?? (await dockerfileInTree(unfiltered));
    ignore = dockerfile.ignore ?? (await ignoreFileInTree(unfiltered, '.dockerignore'));
  } finally {
    noteReads(root, unfiltered, services);
  }
  let tree: Promise<LocalTree> | undefined;
  return {
    kind: 'folder',
    root,
    epoch: undefined,
    dockerfile,
    ignorePatterns: async () => Promise.resolve(ignore ? soundPatterns(ignore.text, basename(ignore.name)) : []),
    tree: () => (tree ??= folderTree(root, ignore, services)),
  };
}

/** A local context without its ignore file. */
function folderAsItIs(root: string, { kept, witness }: BuilderServices): LocalTree {
  return temporaryTree(root, { noted: kept !== undefined, witness });
}

/** Notes what was looked at to find Dockerfile and ignore file. */
function noteReads(root: string, tree: LocalTree, { kept }: BuilderServices): void {
  if (kept) for (const path of tree.reads().paths) if (path !== '') kept.note(join(root, path));
}

/** Notes a Dockerfile that `-f` names, what it is a link to, and the ignore file beside it. */
function noteDockerfile(path: string, { kept }: BuilderServices): void {
  if (!kept) return;
  for (const one of [path, `${path}.dockerignore`]) {
    kept.note(one);
    try {
      kept.note(fs.realpathSync(one));
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
    }
  }
}

function textDockerfile({ dockerfile }: OpenContextOptions): DockerfileInput | undefined {
  if (dockerfile === undefined) return undefined;
  const name = 'Dockerfile';
  return { text: dockerfileText(Buffer.from(dockerfile), name), name, ignore: undefined };
}

function isStream(source: FileMap | AsyncIterable<Uint8Array | string>): source is AsyncIterable<Uint8Array | string> {
  return Symbol.asyncIterator in source;
}

/** The Dockerfile that `-f` names, where it does not lie in a remote context. ON THIS MACHINE: `file` is a path here. */
async function dockerfileElsewhere(
  options: OpenContextOptions,
  onThisMachine: boolean,
): Promise<DockerfileInput | undefined> {
  const { spec, file, stdin, services, signal } = options;
  if (options.dockerfile !== undefined) return textDockerfile(options);
  if (file === '-') {
    if (!stdin) throw builderError('ARGUMENT_INVALID', 'the Dockerfile is to come from stdin, but there is none');
    const { streamBytes } = await import('./stdin-context.js');
    return dockerfileFromStream(streamBytes(stdin, signal), 'Dockerfile');
  }
  if (file !== undefined && /^https?:\/\//i.test(file)) {
    const url = parseUrl(file);
    const { download } = await import('./http.js');
    const { blob } = await download(url, services, { signal });
    return dockerfileFromStream(services.store.blobs.open(blob), fileNameOf(url));
  }
  if (file === undefined || !onThisMachine) return undefined;
  return localDockerfile(typeof spec === 'string' ? localFolder(spec) : undefined, file, services.witness);
}

async function folderTree(root: string, ignore: IgnoreFile | undefined, services: BuilderServices): Promise<LocalTree> {
  const { kept } = services;
  if (kept) return kept.open(root, ignore?.text, () => newTree(root, ignore, services));
  const tree = await newTree(root, ignore, services);
  services.onCleanup(() => tree.save());
  return tree;
}

async function newTree(root: string, ignore: IgnoreFile | undefined, services: BuilderServices): Promise<LocalTree> {
  const { store, kept } = services;
  const rules = ignore && ignoreRules(ignore.text, basename(ignore.name));
  const notes = store.contextNotes(root);
  return new LocalTree({
    root,
    ignore: rules,
    table: new FileTable(await notes.read()),
    keep: (table) => notes.write(table.chunks()),
    memory: kept && new TreeMemory(),
    digestFiles: (files, found, signal) => store.digestFiles(root, files, found, signal),
    xattrs: services.xattrs,
    rules: ignore?.text,
    openLook: services.openLook,
    witness: services.witness,
  });
}
