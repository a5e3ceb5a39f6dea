import { isDigest, isStrakeError, textOfBytes, type Digest } from '@strake/core';

import { selectSource } from '../copy/select.js';
import type { SelectedSource } from '../copy/selection.js';
import { builderError } from '../errors.js';
import type { BuilderServices } from '../services.js';
import { singleFile } from '../tree/single-file.js';
import { displayRemote, parseGitReference, type GitReference } from './git-reference.js';
import { temporaryTree } from './temporary-tree.js';

/** The flags of an ADD that matter for what is remote. */
export interface RemoteOptions {
  /** `--checksum`, expanded. */
  readonly checksum?: string | undefined;
  readonly keepGitDir?: boolean | undefined;
  /** `--unpack`: only where it was asked for. */
  readonly unpack: boolean;
  /** `--exclude`: of a repository these are left out. */
  readonly exclude?: readonly string[] | undefined;
}

/**
 * Whether a source of ADD is an address or a Git repository (BuildKit's isHTTPSource and ParseGitRef). `github.com/…` is a local
 * path here: only as a build context it means the repository.
 */
export function isRemote(source: string): boolean {
  return /^https?:\/\//.test(source) || isRepository(source);
}

/** Whether a source of ADD is a Git repository, if perhaps one that cannot be used. */
export function isRepository(source: string): boolean {
  try {
    const git = parseGitReference(source);
    return git !== undefined && !git.likeLocalPath;
  } catch (error) {
    // It is one, if an invalid one: whoever fetches it says why.
    if (isStrakeError(error)) return true;
    throw error;
  }
}

/**
 * Fetches a source of ADD that {@link isRemote}. A download is one file: mode 0600, its time from Last-Modified, else 1970. A
 * repository is a tree that is removed when the build ends.
 * @throws StrakeError `DOWNLOAD_FAILED`, `CHECKSUM_MISMATCH`, `GIT_FAILED`, `ARGUMENT_INVALID`, `INSTRUCTION_INVALID`
 */
export async function remoteSource(
  source: string,
  options: RemoteOptions,
  services: BuilderServices,
  signal: AbortSignal,
): Promise<SelectedSource> {
  const git = parseGitReference(source);
  return git && !git.likeLocalPath
    ? gitSource(git, options, services, signal)
    : httpSource(source, options, services, signal);
}

async function httpSource(
  source: string,
  { checksum, unpack }: RemoteOptions,
  services: BuilderServices,
  signal: AbortSignal,
): Promise<SelectedSource> {
  const url = parseUrl(source);
  const { download } = await import('./http.js');
  const file = await download(url, services, { checksum: checkedDigest(checksum), signal });
  const downloaded = singleFile({
    name: fileNameOf(url),
    mode: 0o600,
    mtime: file.modified ?? 0,
    content: { blob: file.blob, size: file.size, read: () => services.store.blobs.open(file.blob) },
    unpack,
  });
  return { ...downloaded, origin: { address: displayRemote(source) } };
}

/** The value of `--checksum` for a download. @throws StrakeError `INSTRUCTION_INVALID` */
export function checkedDigest(checksum: string | undefined): Digest | undefined {
  if (checksum === undefined || isDigest(checksum)) return checksum;
  const why = /^(?!sha256:)\w+:/.test(checksum) ? 'unsupported digest algorithm: ' : '';
  throw builderError('INSTRUCTION_INVALID', `${why}--checksum=${checksum} is not a digest that can be compared`, {
    hint: 'Write it as sha256: and 64 hex digits.',
  });
}

/** An http(s) address. @throws StrakeError `ARGUMENT_INVALID` */
export function parseUrl(text: string): URL {
  if (!URL.canParse(text)) {
    const shown = displayRemote(text);
    throw builderError('ARGUMENT_INVALID', `"${shown}" is not a web address`, { hint: 'Check the spelling.' });
  }
  const url = new URL(text);
  url.hash = '';
  return url;
}

/** The name that a download gets in a destination folder: the last component of the address's path. */
export function fileNameOf(url: URL): string {
  const bytes: number[] = [];
  const path = Buffer.from(url.pathname);
  for (let i = 0; i < path.length; i++) {
    const hex = path[i] === 0x25 ? path.toString('latin1', i + 1, i + 3) : '';
    if (/^[0-9a-f]{2}$/i.test(hex)) {
      bytes.push(parseInt(hex, 16));
      i += 2;
    } else bytes.push(path[i] ?? 0);
  }
  const name = textOfBytes(Buffer.from(bytes)).replace(/\/+$/, '').replace(/^.*\//s, '');
  return name === '' || name === '.' || name === '..' || name.includes('\0') ? '__unnamed__' : name;
}

async function gitSource(
  reference: GitReference,
  { checksum, keepGitDir, exclude = [] }: RemoteOptions,
  services: BuilderServices,
  signal: AbortSignal,
): Promise<SelectedSource> {
  const shown = displayRemote(reference.remote);
  if (checksum !== undefined && reference.checksum !== undefined && checksum !== reference.checksum) {
    throw builderError('INSTRUCTION_INVALID', `${shown}: checksum mismatch "${checksum}" != "${reference.checksum}"`);
  }
  if (checksum !== undefined && !/^[0-9a-f]+$/i.test(checksum)) {
    throw builderError('INSTRUCTION_INVALID', `--checksum=${checksum} is not a commit in hex digits`);
  }
  if (keepGitDir !== undefined && reference.keepGitDir !== undefined && keepGitDir !== reference.keepGitDir) {
    throw builderError('INSTRUCTION_INVALID', `${shown}: inconsistent keep-git-dir configuration`);
  }
  const wanted = {
    ...reference,
    checksum: checksum ?? reference.checksum,
    keepGitDir: keepGitDir ?? reference.keepGitDir,
  };
  const { checkoutGit } = await import('./git.js');
  const { root, commit } = await checkoutGit(wanted, services, signal);
  const tree = temporaryTree(root);
  const [selected] = selectSource(tree, '', { exclude, parents: false, unpack: false, where: shown });
  if (!selected) throw builderError('GIT_FAILED', `${shown} was checked out to nothing`);
  return { ...selected, name: '', contentsOnly: false, origin: { address: shown, commit } };
}
