import { abortable, cancelled, onAbort, type ByteStream } from '@strake/core';
import fs from 'node:fs';
import { join } from 'node:path';

import type { Owner } from '../copy/owner.js';
import { prepend } from '../copy/decompress.js';
import type { BuilderServices } from '../services.js';
import { looksLikeArchive, unpackContext } from './archive-folder.js';

/** What a stream that is given as a build context holds. */
export type StreamContext =
  /** A tar, unpacked. */
  | {
      readonly kind: 'archive';
      readonly root: string;
      readonly newest: number | undefined;
      readonly owners: ReadonlyMap<string, Owner>;
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
  if (!looksLikeArchive(head)) return { kind: 'text', stream: whole };
  let restoreModes = (): void => undefined;
  const root = await temporaryFolder(services, () => restoreModes());
  const unpacked = await unpackContext(whole, root, signal);
  restoreModes = unpacked.restoreModes;
  return { kind: 'archive', root, newest: unpacked.newest, owners: unpacked.owners };
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

/** Standard input as bytes. On abort waiting for it ends, although nothing may ever come. */
export async function* stdinBytes(stdin: NodeJS.ReadableStream, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const iterator = stdin[Symbol.asyncIterator]();
  const off = onAbort(signal, () => {
    (stdin as NodeJS.ReadableStream & { destroy?: () => void }).destroy?.();
  });
  try {
    for (;;) {
      const next = await abortable(iterator.next(), signal);
      if (next.done) return;
      yield typeof next.value === 'string' ? Buffer.from(next.value) : next.value;
    }
  } catch (error) {
    throw signal.aborted ? cancelled(signal) : error;
  } finally {
    off();
  }
}
