import { collect, errnoOf, textOfBytes, type ByteStream } from '@strake/core';
import fs from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';

import { builderError } from '../errors.js';
import { baseName, joinTree, parentPath, treePath } from '../tree/paths.js';
import type { SourceEntry, SourceTree } from '../tree/source-tree.js';
import type { Witness } from '../witness.js';
import { temporaryTree } from './temporary-tree.js';

/** A Dockerfile as it is parsed. */
export interface DockerfileInput {
  /** Bytes that are no UTF-8 are as core's `textOfBytes` makes them. */
  readonly text: string;
  /** How it is called in messages. */
  readonly name: string;
  /** The ignore file beside it, `<Dockerfile>.dockerignore`: it counts instead of the context's, even where it is empty. */
  readonly ignore: IgnoreFile | undefined;
}

/** An ignore file. */
export interface IgnoreFile {
  readonly text: string;
  readonly name: string;
}

const DEFAULT_NAME = 'Dockerfile';
/** No Dockerfile that people or programs write comes near. */
const LIMIT = 16 << 20;

/**
 * Checks that BYTES are a text. @throws StrakeError `DOCKERFILE_INVALID` for UTF-16 and for NUL bytes, which no command and no
 * file name can hold
 */
export function dockerfileText(bytes: Uint8Array, name: string): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const utf16 = buffer.length > 1 && [0xfeff, 0xfffe].includes(buffer.readUInt16BE(0));
  const nul = buffer.indexOf(0);
  if (utf16 || nul >= 0) {
    const line = utf16 ? 1 : buffer.subarray(0, nul).toString('latin1').split('\n').length;
    throw builderError(
      'DOCKERFILE_INVALID',
      utf16 ? `${name} is UTF-16 text` : `${name} is not a text: there is a NUL byte in line ${line}`,
      { hint: 'Save it as UTF-8.', location: { file: name, line } },
    );
  }
  return textOfBytes(buffer);
}

/** A Dockerfile from a stream: stdin, a download. @throws StrakeError `DOCKERFILE_INVALID`, `TOO_LARGE` */
export async function dockerfileFromStream(stream: ByteStream, name: string): Promise<DockerfileInput> {
  return { text: dockerfileText(await collect(stream, LIMIT, name), name), name, ignore: undefined };
}

/**
 * The Dockerfile at a path inside a context, links followed inside it only (CVE-2026-44517). Where the name is the default one,
 * `dockerfile` will do, too.
 * @throws StrakeError `DOCKERFILE_NOT_FOUND`, `DOCKERFILE_INVALID`, `CONTEXT_UNREADABLE`, `TOO_LARGE`
 */
export async function dockerfileInTree(
  tree: SourceTree,
  file: string = DEFAULT_NAME,
  shown: string = file,
): Promise<DockerfileInput> {
  const path = treePath(file);
  const folder = parentPath(path);
  const names = baseName(path) === DEFAULT_NAME ? [path, joinTree(folder, DEFAULT_NAME.toLowerCase())] : [path];
  for (const candidate of names) {
    const entry = follow(tree, candidate);
    if (!entry) continue;
    if (entry.type !== 'file') {
      const what = entry.type === 'directory' ? 'a folder' : `a special file (${entry.type})`;
      throw builderError('DOCKERFILE_INVALID', `${shown} is ${what}, not a Dockerfile`, {
        hint: entry.type === 'directory' ? `Name the file in it with -f ${join(shown, DEFAULT_NAME)}.` : undefined,
      });
    }
    const text = dockerfileText(await collect(tree.read(entry), LIMIT, shown), shown);
    const ignore = await ignoreFileInTree(tree, `${path}.dockerignore`, `${shown}.dockerignore`);
    return { text, name: shown, ignore };
  }
  throw notFound(tree, path, shown);
}

/**
 * The Dockerfile that `-f` names beside a local context: in the context or anywhere else.
 * @param root the context, absolute and free of links
 * @throws StrakeError as {@link dockerfileInTree}
 */
export async function localDockerfile(
  root: string | undefined,
  file: string,
  witness?: Witness,
): Promise<DockerfileInput> {
  const path = resolve(file);
  let folder: string;
  try {
    folder = fs.realpathSync(dirname(path));
    witness?.led(dirname(path), folder);
  } catch (error) {
    throw builderError('DOCKERFILE_NOT_FOUND', `there is no Dockerfile ${file}: ${errnoOf(error) ?? 'error'}`, {
      cause: error,
      hint: `Check the folder ${dirname(path)}.`,
    });
  }
  const name = basename(path);
  // In a tree a socket is an empty file.
  if (fs.lstatSync(path, { throwIfNoEntry: false })?.isSocket()) {
    throw builderError('DOCKERFILE_INVALID', `${file} is a special file (socket), not a Dockerfile`);
  }
  const inside = root === undefined ? '..' : relative(root, join(folder, name));
  if (root !== undefined && inside !== '' && !/^\.\.(?:\/|$)/.test(inside) && !isAbsolute(inside)) {
    return dockerfileInTree(temporaryTree(root, { witness }), inside);
  }
  const beside = temporaryTree(folder, { witness });
  if (beside.lookup(name)?.type !== 'symlink' || follow(beside, name)) {
    return { ...(await dockerfileInTree(beside, name, file)), name };
  }
  // The user named this very link, and it is not part of a context that somebody else made.
  let target: string;
  try {
    target = fs.realpathSync(path);
    witness?.led(path, target);
  } catch {
    throw notFound(beside, name, file);
  }
  const found = await dockerfileInTree(temporaryTree(dirname(target), { witness }), basename(target), file);
  return { ...found, name, ignore: await ignoreFileInTree(beside, `${name}.dockerignore`, `${file}.dockerignore`) };
}

/**
 * An ignore file of a tree; undefined where there is none (a folder of that name is none).
 * @throws StrakeError `CONTEXT_UNREADABLE`, also where it is a link that leads out of the tree
 */
export async function ignoreFileInTree(
  tree: SourceTree,
  path: string,
  shown: string = path,
): Promise<IgnoreFile | undefined> {
  const entry = follow(tree, path);
  if (!entry && tree.lookup(path)) {
    throw builderError(
      'CONTEXT_UNREADABLE',
      `the ignore file ${shown} is a link that leads to nothing inside its folder`,
      {
        hint: 'Without it, files that are to stay out could get into the image: make it a file, or remove the link.',
      },
    );
  }
  if (entry?.type !== 'file') return undefined;
  return { text: textOfBytes(await collect(tree.read(entry), LIMIT, shown)), name: shown };
}

function follow(tree: SourceTree, path: string): SourceEntry | undefined {
  return tree.lookup(tree.resolve(path));
}

function notFound(tree: SourceTree, path: string, shown: string): Error {
  if (tree.lookup(path)?.type === 'symlink') {
    return builderError(
      'DOCKERFILE_NOT_FOUND',
      `the Dockerfile ${shown} is a link that leads to nothing inside the context`,
      {
        hint: 'Links out of the context are not followed: name the file itself with -f PATH.',
      },
    );
  }
  const folder = parentPath(path);
  const others = tree.list(tree.resolve(folder)).filter((name) => /dockerfile|containerfile/i.test(name));
  const candidates = others.filter((name) => !name.endsWith('.dockerignore')).slice(0, 5);
  const [first] = candidates;
  return builderError('DOCKERFILE_NOT_FOUND', `there is no Dockerfile ${shown}`, {
    hint:
      first === undefined
        ? 'Name it with -f PATH.'
        : `There is ${candidates.join(', ')}: name it with -f ${join(dirname(shown), first)}.`,
  });
}
