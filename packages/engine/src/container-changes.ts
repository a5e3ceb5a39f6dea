import { errnoOf, type Digest } from '@strake/core';
import type { EntryFacts, Segments } from '@strake/store';
import { closeDescriptor, makeNode, FileType, openAt2, OpenFlag, ResolveFlag, setXattr } from '@strake/sys';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';

/** Where the bytes of a changed file come from. */
export type ChangedContent =
  /** A part of a file; `segments`: only these pieces of the content are there, one after the other. */
  | { readonly file: string; readonly offset: number; readonly segments?: Segments | undefined }
  | { readonly bytes: Uint8Array };

/** A path of a running container as an image has it now, or has it no more. */
export type TreeChange =
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'put'; readonly facts: EntryFacts; readonly content?: ChangedContent | undefined };

/** What an image has at a path, to be compared. */
export type ExpectedEntry = Pick<EntryFacts, 'path' | 'type' | 'mode' | 'uid' | 'gid' | 'size' | 'link'> & {
  readonly digest?: Digest | undefined;
};

/** The paths at which the tree at ROOT is not what is EXPECTED; times are not compared. */
export function compareTree(root: string, expected: readonly ExpectedEntry[]): string[] {
  const rootFd = fs.openSync(root, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    return expected.filter((entry) => !isAsExpected(rootFd, entry)).map(({ path }) => path);
  } finally {
    fs.closeSync(rootFd);
  }
}

function isAsExpected(root: number, entry: ExpectedEntry): boolean {
  let same = false;
  try {
    within(root, entry.path, (folder, name) => {
      const place = `${folder}/${name}`;
      const stat = fs.lstatSync(place);
      same = stat.uid === entry.uid && stat.gid === entry.gid;
      if (entry.type === 'symlink') same &&= stat.isSymbolicLink() && fs.readlinkSync(place) === entry.link;
      else same &&= (stat.mode & 0o7777) === entry.mode && stat.isDirectory() === (entry.type === 'directory');
      if (entry.type === 'file') same &&= stat.isFile() && stat.size === entry.size && digestAt(place) === entry.digest;
    });
  } catch (error) {
    if (!REFUSALS.has(errnoOf(error) ?? '')) throw error;
    return false;
  }
  return same;
}

function digestAt(path: string): Digest {
  const hash = createHash('sha256');
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  try {
    const buffer = Buffer.allocUnsafe(CHUNK);
    for (let got = 0; (got = fs.readSync(fd, buffer, 0, CHUNK, null)) > 0;) hash.update(buffer.subarray(0, got));
  } finally {
    fs.closeSync(fd);
  }
  return `sha256:${hash.digest('hex')}`;
}

/** No link is followed, no mount is entered: what a container made of its own tree leads nowhere else. */
const STRICT = ResolveFlag.beneath | ResolveFlag.noSymlinks | ResolveFlag.noMagicLinks | ResolveFlag.noMounts;
const FOLDER = OpenFlag.path | OpenFlag.directory;
const CHUNK = 1 << 20;

/**
 * Makes CHANGES in the tree that is mounted at ROOT: files are replaced as a whole, with mode, owner and time; parents first, then
 * what is below. Changes come in an order in which they can be made.
 * @returns paths that could not be reached: a parent is a link, a mount or no folder there
 */
export function changeTree(root: string, changes: readonly TreeChange[]): string[] {
  const refused: string[] = [];
  const rootFd = fs.openSync(root, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    for (const change of changes) {
      const path = change.kind === 'remove' ? change.path : change.facts.path;
      try {
        within(rootFd, path, (folder, name) => {
          if (change.kind === 'remove') fs.rmSync(`${folder}/${name}`, { recursive: true, force: true });
          else put(folder, name, change);
        });
      } catch (error) {
        const errno = errnoOf(error) ?? '';
        // What was in a folder that is gone is gone.
        if (change.kind === 'remove' && errno === 'ENOENT') continue;
        if (!REFUSALS.has(errno)) throw error;
        refused.push(path);
      }
    }
    // Times of folders last: what was put into them has changed them.
    for (const change of changes) {
      if (change.kind !== 'put' || change.facts.type !== 'directory' || refused.includes(change.facts.path)) continue;
      const { facts } = change;
      within(rootFd, facts.path, (folder, name) => fs.lutimesSync(`${folder}/${name}`, facts.mtime, facts.mtime));
    }
    return refused;
  } finally {
    fs.closeSync(rootFd);
  }
}

const REFUSALS = new Set(['ELOOP', 'EXDEV', 'ENOTDIR', 'ENOENT', 'EBUSY', 'ENOTEMPTY']);

/** Calls WORK with the folder that PATH lies in, reached component by component, and its name there. */
function within(root: number, path: string, work: (folder: string, name: string) => void): void {
  const slash = path.lastIndexOf('/');
  const fd = openAt2(root, slash < 0 ? '.' : path.slice(0, slash), FOLDER, STRICT);
  try {
    // `.` only where the root itself is meant.
    work(`/proc/self/fd/${fd}`, path.slice(slash + 1) || '.');
  } finally {
    closeDescriptor(fd);
  }
}

function put(folder: string, name: string, { facts, content }: Extract<TreeChange, { kind: 'put' }>): void {
  const place = `${folder}/${name}`;
  const there = fs.lstatSync(place, { throwIfNoEntry: false });
  if (facts.type === 'directory') {
    if (!there?.isDirectory()) {
      if (there) fs.rmSync(place);
      fs.mkdirSync(place);
    }
    own(place, facts);
    return;
  }
  if (there?.isDirectory()) fs.rmSync(place, { recursive: true });
  const temporary = `${folder}/.strake-${randomBytes(6).toString('hex')}`;
  try {
    make(temporary, facts, content);
    own(temporary, facts);
    fs.lutimesSync(temporary, facts.mtime, facts.mtime);
    fs.renameSync(temporary, place);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
}

function make(path: string, facts: EntryFacts, content: ChangedContent | undefined): void {
  const { type, link, device } = facts;
  switch (type) {
    case 'symlink':
      fs.symlinkSync(link ?? '', path);
      return;
    case 'fifo':
      makeNode(path, FileType.fifo | 0o600);
      return;
    case 'char':
    case 'block':
      makeNode(path, FileType[type] | 0o600, device?.major, device?.minor);
      return;
    default:
      writeContent(path, facts.size, content);
  }
}

function writeContent(path: string, size: number, content: ChangedContent | undefined): void {
  const fd = fs.openSync(path, 'wx', 0o600);
  try {
    if (!content) return;
    if ('bytes' in content) {
      fs.writeFileSync(fd, content.bytes);
      return;
    }
    fs.ftruncateSync(fd, size);
    const from = fs.openSync(content.file, 'r');
    try {
      let at = content.offset;
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(size, 1)));
      for (const [position, length] of content.segments ?? [[0, size]]) {
        for (let done = 0; done < length;) {
          const got = fs.readSync(from, buffer, 0, Math.min(buffer.length, length - done), at);
          if (got === 0) throw Object.assign(new Error(`${content.file} is too short`), { code: 'EIO' });
          fs.writeSync(fd, buffer, 0, got, position + done);
          done += got;
          at += got;
        }
      }
    } finally {
      fs.closeSync(from);
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** Owner, mode and attributes; in this order: chown takes setuid away. */
function own(path: string, { uid, gid, mode, type, xattrs }: EntryFacts): void {
  try {
    fs.lchownSync(path, uid, gid);
  } catch (error) {
    // Where only one id can be had, snapshots have given everything to it, too.
    if (errnoOf(error) !== 'EINVAL') throw error;
  }
  if (type !== 'symlink') fs.chmodSync(path, mode);
  for (const [name, value] of Object.entries(xattrs ?? {})) setXattr(path, name, Buffer.from(value, 'latin1'));
}
