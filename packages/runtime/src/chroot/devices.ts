import { randomFillSync } from 'node:crypto';
import fs from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';

import { errnoOf } from '@strake/core';
import { FileType, makeNode } from '@strake/sys';

import { makeInsecureDevices } from '../insecure-devices.js';
import type { ContainerSpec } from '../types.js';

type Device = readonly [name: string, major: number, minor: number];

const DEVICES: readonly Device[] = [
  ['null', 1, 3],
  ['zero', 1, 5],
  ['full', 1, 7],
  ['random', 1, 8],
  ['urandom', 1, 9],
  ['tty', 5, 0],
];
/** Lead to nothing, since there is no /proc/self: programs that need them fail instead of writing into a file. */
const LINKS: readonly (readonly [name: string, target: string])[] = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
];

/** A /dev that was made, with what stands behind it. */
export interface DeviceFolder {
  /** Resolves when all that was written to /dev/stderr has been handed on. */
  close(): Promise<void>;
}

/**
 * Makes FOLDER a /dev without mounts: device nodes, or where none can be made or used, stand-ins; and /dev/stderr, a pipe that
 * leads where the step's stderr does.
 */
export function makeDevices(
  folder: string,
  spec: Pick<ContainerSpec, 'user' | 'security'>,
  onStderr: (data: Uint8Array) => void,
): DeviceFolder {
  fs.mkdirSync(folder);
  fs.chmodSync(folder, 0o755);
  const closers: (() => Promise<void>)[] = [];
  for (const device of DEVICES) {
    const at = path.join(folder, device[0]);
    if (!makeDevice(at, device)) closers.push(standIn(at, device[0]));
  }
  if (spec.security === 'insecure') makeInsecureDevices(folder);
  for (const [name, target] of LINKS) fs.symlinkSync(target, path.join(folder, name));
  for (const [name, mode] of [
    ['pts', 0o755],
    ['mqueue', 0o1777],
    ['shm', 0o1777],
  ] as const) {
    fs.mkdirSync(path.join(folder, name));
    fs.chmodSync(path.join(folder, name), mode);
  }
  closers.push(readPipe(path.join(folder, 'stderr'), spec.user, onStderr));
  return {
    close: async () => {
      await Promise.all(closers.map((close) => close()));
    },
  };
}

/** Whether device nodes made in FOLDER, a new one, work there. */
export function devicesWork(folder: string): boolean {
  const at = path.join(folder, 'null');
  try {
    return makeDevice(at, ['null', 1, 3]);
  } finally {
    fs.rmSync(at, { force: true });
  }
}

function makeDevice(at: string, [name, major, minor]: Device): boolean {
  try {
    makeNode(at, FileType.char | 0o666, major, minor);
    fs.chmodSync(at, 0o666);
    // A process without a terminal cannot open /dev/tty.
    if (name !== 'tty') fs.closeSync(fs.openSync(at, 'r'));
    return true;
  } catch (error) {
    // In a user namespace no nodes can be made, on file systems mounted with `nodev` they do not work.
    if (errnoOf(error) === undefined) throw error;
    fs.rmSync(at, { force: true });
    return false;
  }
}

/** Something that behaves as the device does, as far as a file or a pipe can: /dev/full and /dev/tty it cannot be. */
function standIn(at: string, name: string): () => Promise<void> {
  if (name === 'null') return emptyFile(at);
  if (name === 'zero') return writePipe(at, (chunk) => chunk.fill(0));
  if (name === 'random' || name === 'urandom') return writePipe(at, (chunk) => randomFillSync(chunk));
  return () => Promise.resolve();
}

/** Milliseconds that something stays in a file that stands for /dev/null. */
const EMPTYING = 20;

/** A file that is emptied again and again. */
function emptyFile(at: string): () => Promise<void> {
  const fd = fs.openSync(at, 'wx+', 0o666);
  fs.fchmodSync(fd, 0o666);
  const timer = setInterval(() => {
    if (fs.fstatSync(fd).size > 0) fs.ftruncateSync(fd, 0);
  }, EMPTYING);
  timer.unref();
  return () => {
    clearInterval(timer);
    fs.closeSync(fd);
    return Promise.resolve();
  };
}

const CHUNK = 16384;

/** A pipe that whoever reads finds full; what one reader takes no other gets. */
function writePipe(at: string, fill: (chunk: Buffer) => void): () => Promise<void> {
  makePipeFile(at);
  // Both ends, so that it is never closed for a reader and opening it does not wait.
  const fd = fs.openSync(at, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on('error', () => undefined);
  const next = (): void => {
    const chunk = Buffer.alloc(CHUNK);
    fill(chunk);
    socket.write(chunk, (error) => {
      if (!error && !socket.destroyed) setImmediate(next);
    });
  };
  next();
  return async () => {
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.destroy();
    await closed;
  };
}

/** A pipe whose content is handed on. */
function readPipe(
  at: string,
  owner: { readonly uid: number; readonly gid: number },
  onData: (data: Uint8Array) => void,
): () => Promise<void> {
  makePipeFile(at);
  fs.chownSync(at, owner.uid, owner.gid);
  const reader = fs.openSync(at, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  // Without a writer of our own the pipe would end with the first writer.
  const writer = fs.openSync(at, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
  const socket = new Socket({ fd: reader, readable: true, writable: false });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  socket.on('data', onData);
  return async () => {
    fs.closeSync(writer);
    await closed;
  };
}

function makePipeFile(at: string): void {
  makeNode(at, FileType.fifo | 0o666);
  fs.chmodSync(at, 0o666);
}
