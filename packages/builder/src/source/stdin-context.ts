import { abortable, cancelled, onAbort, type ByteStream } from '@strake/core';
import fs from 'node:fs';
import { join } from 'node:path';

import type { Stated } from './temporary-tree.js';
import { detectCompression, prepend } from '../copy/decompress.js';
import { builderError } from '../errors.js';
import type { BuilderServices } from '../services.js';
import { looksLikeArchive, unpackContext } from './archive-folder.js';

/** What a stream that is given as a build context holds. */
export type StreamContext =
  /** A tar, unpacked. */
  | {
      readonly kind: 'archive';
      readonly root: string;
      readonly newest: number | undefined;
      readonly stated: ReadonlyMap<string, Stated>;
    }
  /** Anything else: a Dockerfile. The stream begins at its first byte. */
  | { readonly kind: 'text'; readonly stream: ByteStream };

/** One block of a tar: enough to tell an archive from a text. */
const PEEK = 512;

/**
 * Tells by its first bytes what a stream is, and unpacks an archive into a folder that is removed when the build ends.
 * @throws StrakeError `CONTEXT_UNREADABLE`, `CANCELLED`
 */
export async function readStreamContext(
  stream: ByteStream,
  services: BuilderServices,
  signal: AbortSignal,
): Promise<StreamContext> {
  const iterator = stream[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size < PEEK) {
    const next = await iterator.next();
    if (next.done) break;
    chunks.push(next.value);
    size += next.value.length;
  }
  const head = Buffer.concat(chunks);
  const whole = prepend(head, iterator);
  if (detectCompression(head) === 'zstd') {
    throw builderError('CONTEXT_UNREADABLE', 'the context is compressed with zstd, which is not known for contexts', {
      hint: 'A tar may be plain or compressed with gzip, bzip2 or xz: zstd -dc FILE | strake build -',
    });
  }
  if (!looksLikeArchive(head)) return { kind: 'text', stream: whole };
  let restoreModes = (): void => undefined;
  const root = await temporaryFolder(services, () => restoreModes());
  const unpacked = await unpackContext(whole, root, signal);
  restoreModes = unpacked.restoreModes;
  return { kind: 'archive', root, newest: unpacked.newest, stated: unpacked.stated };
}

/** An empty folder with mode 0755, absolute and free of links, that is removed when the build ends, after BEFORE. */
export async function temporaryFolder(services: BuilderServices, before?: () => void): Promise<string> {
  const temporary = await services.store.temporary('context');
  services.onCleanup(async () => {
    before?.();
    await temporary.remove();
  });
  const root = join(fs.realpathSync(temporary.path), 'context');
  fs.mkdirSync(root);
  fs.chmodSync(root, 0o755);
  return root;
}

/**
 * A stream that somebody else made (stdin, one of the library's user) as bytes. On abort waiting for it ends, although nothing may
 * ever come.
 * @throws StrakeError `CONTEXT_UNREADABLE` where it fails or gives other things than bytes, `CANCELLED`
 */
export async function* streamBytes(
  stream: AsyncIterable<Uint8Array | string>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const iterator = stream[Symbol.asyncIterator]();
  // A stream of Node is destroyed; anything else is told that nobody reads on.
  const leave = (): void => {
    const { destroy } = stream as { destroy?: () => void };
    if (destroy) destroy.call(stream);
    else iterator.return?.().catch(() => undefined);
  };
  const off = onAbort(signal, leave);
  let done = false;
  try {
    for (;;) {
      const next = await abortable(iterator.next(), signal);
      done = next.done === true;
      if (next.done) return;
      const chunk: unknown = next.value;
      if (typeof chunk === 'string') yield Buffer.from(chunk);
      else if (chunk instanceof Uint8Array) yield chunk;
      else throw new TypeError('it gives other things than bytes');
    }
  } catch (error) {
    if (signal.aborted) throw cancelled(signal);
    done = true;
    leave();
    throw unreadable(error);
  } finally {
    off();
    if (!done) leave();
  }
}

function unreadable(error: unknown): Error {
  const why = error instanceof Error ? error.message : 'it failed';
  return builderError('CONTEXT_UNREADABLE', `the stream cannot be read: ${why}`, { cause: error });
}
