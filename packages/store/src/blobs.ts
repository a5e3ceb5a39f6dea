import { createReadStream, readFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';

import { collect, digestOf, errnoOf, Hasher, throwIfAborted, type ByteStream, type Digest } from '@strake/core';

import { EarlySync } from './early-sync.js';
import { blobNotFound, digestMismatch, tooLarge, writeFailure } from './errors.js';
import { sizeNow, SMALL } from './files.js';
import type { GrowingFile } from './growing-file.js';
import type { OwnHolder } from './holders.js';
import { blobPath, type StoreLayout } from './layout.js';
import { isZeros } from './tar/tar-file.js';
import type { BlobStore } from './types.js';

const CHUNK = 1 << 18;
/** Smaller writes are gathered: a stream of small chunks would cost a system call each. */
const GATHER = 1 << 18;
/** So many zeros at once become a hole of the file. */
const HOLE = 1 << 16;

/** Blobs as files. */
export class FileBlobs implements BlobStore {
  readonly #layout: StoreLayout;
  readonly #holder: OwnHolder;

  constructor(layout: StoreLayout, holder: OwnHolder) {
    this.#layout = layout;
    this.#holder = holder;
  }

  size(digest: Digest): Promise<number | undefined> {
    return new Promise((resolve) => resolve(sizeNow(this.path(digest))));
  }

  path(digest: Digest): string {
    return blobPath(this.#layout, digest);
  }

  async *open(
    digest: Digest,
    range: { readonly start?: number; readonly end?: number } = {},
  ): AsyncGenerator<Uint8Array> {
    const { start = 0, end = Infinity } = range;
    const size = sizeNow(this.path(digest));
    if (size === undefined) throw blobNotFound(digest);
    if (end <= start && end !== Infinity) return;
    if (size <= SMALL) {
      const bytes = this.#smallNow(digest).subarray(start, end === Infinity ? size : end);
      if (bytes.length > 0) yield bytes;
      return;
    }
    const stream = createReadStream(this.path(digest), { start, end: end - 1, highWaterMark: CHUNK });
    try {
      yield* stream as AsyncIterable<Uint8Array>;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') throw blobNotFound(digest, error);
      throw error;
    } finally {
      stream.destroy();
    }
  }

  #smallNow(digest: Digest): Buffer {
    try {
      return readFileSync(this.path(digest));
    } catch (error) {
      // Removed since its size was asked for.
      if (errnoOf(error) === 'ENOENT') throw blobNotFound(digest, error);
      throw error;
    }
  }

  async read(digest: Digest, limit: number): Promise<Buffer> {
    const size = await this.size(digest);
    if (size === undefined) throw blobNotFound(digest);
    if (size > limit) throw tooLarge(`the blob ${digest}`, limit);
    return collect(this.open(digest), limit, `the blob ${digest}`);
  }

  async put(
    content: ByteStream | Uint8Array | string,
    expected: { readonly digest?: Digest; readonly size?: number } = {},
    signal?: AbortSignal,
    growing?: GrowingFile,
  ): Promise<{ readonly digest: Digest; readonly size: number }> {
    throwIfAborted(signal);
    if (expected.digest && content instanceof Uint8Array && digestOf(content) === expected.digest) {
      const there = sizeNow(this.path(expected.digest)) === content.length;
      if (there && (expected.size ?? content.length) === content.length) {
        return { digest: expected.digest, size: content.length };
      }
    }
    const temporary = this.#holder.temporaryPath('blob');
    try {
      const written = await this.#write(temporary, content, expected, signal, growing);
      await rename(temporary, this.path(written.digest));
      growing?.movedTo(this.path(written.digest));
      return written;
    } catch (error) {
      await rm(temporary, { force: true });
      throw writeFailure(error, this.#layout.root);
    }
  }

  async #write(
    path: string,
    content: ByteStream | Uint8Array | string,
    expected: { readonly digest?: Digest; readonly size?: number },
    signal: AbortSignal | undefined,
    growing: GrowingFile | undefined,
  ): Promise<{ digest: Digest; size: number }> {
    const what = expected.digest ? `the blob ${expected.digest}` : 'the blob';
    const hasher = new Hasher();
    const handle = await open(path, 'wx', 0o600);
    const sync = new EarlySync(handle);
    growing?.movedTo(path);
    try {
      let waiting: Uint8Array[] = [];
      let bytes = 0;
      const done = { bytes: 0, endsInHole: false };
      const flush = async (): Promise<void> => {
        // The hole before this end is still to be made.
        if (bytes === 0) return;
        const all = waiting.length === 1 && waiting[0] ? waiting[0] : Buffer.concat(waiting);
        waiting = [];
        bytes = 0;
        // Long runs of zeros become holes: a bomb in an archive does not fill the disk.
        done.endsInHole = all.length >= HOLE && isZeros(all);
        for (let at = done.endsInHole ? all.length : 0; at < all.length;) {
          at += (await handle.write(all, at, all.length - at, done.bytes + at)).bytesWritten;
        }
        done.bytes += all.length;
        growing?.grewBy(all);
        sync.wrote(all.length);
      };
      const take = async (chunk: Uint8Array): Promise<void> => {
        throwIfAborted(signal);
        hasher.update(chunk);
        if (expected.size !== undefined && hasher.size > expected.size) {
          throw digestMismatch(what, `${expected.size} bytes`, 'more');
        }
        waiting.push(chunk);
        bytes += chunk.length;
        if (bytes >= GATHER) await flush();
      };
      if (typeof content === 'string') await take(Buffer.from(content));
      else if (content instanceof Uint8Array) await take(content);
      else for await (const chunk of content) await take(chunk);
      await flush();
      throwIfAborted(signal);
      const size = hasher.size;
      if (expected.size !== undefined && size !== expected.size) {
        throw digestMismatch(what, `${expected.size} bytes`, `${size} bytes`);
      }
      const digest = hasher.digest();
      if (expected.digest && digest !== expected.digest) throw digestMismatch(what, expected.digest, digest);
      if (done.endsInHole) await handle.truncate(size);
      growing?.end({ digest, size });
      // A name in the store says that the content is there: also after a power cut.
      await sync.end();
      return { digest, size };
    } finally {
      await sync.settled();
      await handle.close();
    }
  }
}
