import fs from 'node:fs';

import { errnoOf, textOfBytes } from '@strake/core';
import { cloneFile, getXattr, listXattrs, makeNode, setTimes, setXattr, splitDevice } from '@strake/sys';

import { mountTargetInvalid } from '../errors.js';
import { withTreeSource } from '../tree-source.js';
import type { ContainerMount } from '../types.js';

const CHUNK = 1 << 20;

/**
 * Copies a file or folder with owners, modes, times, links among its files, and attributes. TO must not exist. Contents are
 * shared on disk where the file system can. Nobody changes FROM meanwhile; its links are not followed.
 */
export function copyTree(from: string | Buffer, to: string): void {
  new TreeCopy().copy(Buffer.from(from), Buffer.from(to));
}

class TreeCopy {
  /** First copies of files that have several names. */
  readonly #names = new Map<string, Buffer>();
  readonly #buffer: Buffer = Buffer.allocUnsafe(CHUNK);
  #clones = true;

  copy(from: Buffer, to: Buffer): void {
    const facts = fs.lstatSync(from, { bigint: true });
    const inode = `${facts.dev}:${facts.ino}`;
    if (!facts.isDirectory() && facts.nlink > 1n) {
      const first = this.#names.get(inode);
      if (first) {
        fs.linkSync(first, to);
        return;
      }
      this.#names.set(inode, to);
    }
    if (facts.isSymbolicLink()) {
      fs.symlinkSync(fs.readlinkSync(from, 'buffer'), to);
      fs.lchownSync(to, Number(facts.uid), Number(facts.gid));
      return;
    }
    if (facts.isDirectory()) {
      fs.mkdirSync(to, { mode: 0o700 });
      for (const name of fs.readdirSync(from, { encoding: 'buffer' })) this.copy(join(from, name), join(to, name));
    } else if (facts.isFile()) this.#file(from, to);
    else {
      const { major, minor } = splitDevice(facts.rdev);
      try {
        makeNode(textOfBytes(to), Number(facts.mode), major, minor);
      } catch (error) {
        // Device nodes in a user namespace.
        if (errnoOf(error) !== 'EPERM' || facts.isFIFO() || facts.isSocket()) throw error;
        return;
      }
    }
    fs.chownSync(to, Number(facts.uid), Number(facts.gid));
    fs.chmodSync(to, Number(facts.mode) & 0o7777);
    copyXattrs(textOfBytes(from), textOfBytes(to));
    setTimes(textOfBytes(to), facts.atimeNs, facts.mtimeNs);
  }

  #file(from: Buffer, to: Buffer): void {
    const source = fs.openSync(from, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
    const target = fs.openSync(to, 'wx', 0o600);
    try {
      this.#clones = this.#clones && cloneFile(source, target);
      if (this.#clones) return;
      for (;;) {
        const got = fs.readSync(source, this.#buffer, 0, CHUNK, null);
        if (got === 0) return;
        for (let at = 0; at < got;) at += fs.writeSync(target, this.#buffer, at, got - at);
      }
    } finally {
      fs.closeSync(source);
      fs.closeSync(target);
    }
  }
}

function copyXattrs(from: string, to: string): void {
  for (const name of listXattrs(from)) {
    const value = getXattr(from, name);
    try {
      if (value) setXattr(to, name, value);
    } catch (error) {
      // Labels and names that only the machine's root may set.
      if (!['EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL'].includes(errnoOf(error) ?? '')) throw error;
    }
  }
}

function join(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, Buffer.from('/'), name]);
}

/** Copies what a mount shows of an unpacked tree to AT. @throws StrakeError `MOUNT_TARGET_INVALID` */
export function copySource(mount: Extract<ContainerMount, { kind: 'tree' }>, at: string): void {
  if (mount.tree.kind !== 'bind') throw new Error('a chroot takes unpacked trees only');
  withTreeSource(mount, mount.tree.source, (source) => {
    copyTree(fs.readlinkSync(`/proc/self/fd/${source}`, 'buffer'), at);
    if (!fs.lstatSync(at, { throwIfNoEntry: false }))
      throw mountTargetInvalid(mount.target, 'its source is a device node, and none can be made here');
  });
}
