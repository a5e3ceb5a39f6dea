import { closeSync, openSync, writeSync } from 'node:fs';

import { digestFilesNow } from './digest-files.js';
import { writeFailure } from './errors.js';
import { entriesOf, type EntryBatch } from './layer/entry-batch.js';
import type { FormerFiles } from './layer/former-contents.js';
import { IndexBuilder } from './layer/index-builder.js';
import { importLayer } from './layer/layer-importer.js';
import { LayerWriter } from './layer/layer-writer.js';
import type { HashTrails } from './tar/hash-trail.js';
import type { SendTar } from './tar/tar-relay.js';
import type { Job, JobResult, MadeLayer } from './worker-protocol.js';

/** A job that comes with its entries. */
type WriteJob = Extract<Job, { kind: 'write' }>;

function layerWriter(
  { tarPath, blobs }: { readonly tarPath: string; readonly blobs: string },
  aborted: () => boolean,
  former?: FormerFiles,
  send?: SendTar,
): LayerWriter {
  return new LayerWriter(tarPath, (digest) => `${blobs}/${digest.slice(7)}`, former, aborted, send);
}

function writeIndex(path: string, chunks: Iterable<Uint8Array>): void {
  const fd = openSync(path, 'wx', 0o600);
  try {
    for (const chunk of chunks) {
      for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at);
    }
  } catch (error) {
    throw writeFailure(error, path);
  } finally {
    closeSync(fd);
  }
}

/** A `write` job under way. After a failure there is only `abandon`. */
export class WriteInProgress {
  readonly #job: WriteJob;
  readonly #writer: LayerWriter;
  readonly #aborted: () => boolean;

  /** SEND: to a thread that writes large tars. */
  constructor(job: WriteJob, aborted: () => boolean, send?: SendTar) {
    this.#job = job;
    this.#writer = layerWriter(job, aborted, job.former, send);
    this.#aborted = aborted;
  }

  /** Digests of the batch's files, 32 bytes each, where the job was asked for them. */
  add(batch: EntryBatch): Uint8Array | undefined {
    const { entries } = this.#writer;
    const first = entries.count;
    for (const entry of entriesOf(batch)) {
      if (this.#aborted()) throw new Error('aborted');
      this.#writer.add(entry);
    }
    return this.#job.digests ? entries.fileDigests(first) : undefined;
  }

  /** ONREAD: told that all content is there, unless it is not. TRAILS: where the way of the hash is noted, for those who amend the layer. */
  finish(onRead?: () => void, trails?: HashTrails): MadeLayer {
    if (this.#aborted()) throw new Error('aborted');
    onRead?.();
    const { digest, size } = this.#writer.finish({ sync: false });
    trails?.set(digest, this.#writer.trail);
    writeIndex(this.#job.indexPath, new IndexBuilder(this.#writer.entries).chunks());
    return { diffId: digest, size };
  }

  abandon(): void {
    this.#writer.abandon();
  }
}

/**
 * Does a job in this thread; nothing else goes on here meanwhile. What loads the system calls is loaded where it is needed. SEND: to a
 * thread that writes large tars. TRAILS: what this one knows of the layers that it has made.
 */
export async function runJob(
  job: Exclude<Job, WriteJob>,
  aborted: () => boolean,
  send?: SendTar,
  trails?: HashTrails,
): Promise<JobResult> {
  switch (job.kind) {
    case 'import': {
      const { entries, size } = await importLayer(job.job, aborted, send);
      writeIndex(job.indexPath, new IndexBuilder(entries).chunks());
      return { diffId: job.job.diffId, size };
    }
    case 'digest':
      return { digests: digestFilesNow(job.root, job.paths.split('\0'), aborted) };
    case 'amend': {
      const { amendLayer } = await import('./layer/amend-layer.js');
      const writer = layerWriter(job, aborted);
      let index;
      try {
        const trail = trails?.get(job.former.diffId);
        const amending = { aborted, trail, path: job.tarPath };
        index = await amendLayer(job.former, [...entriesOf(job.entries)], writer, amending);
      } finally {
        if (!index) writer.abandon();
      }
      if (!index) return undefined;
      const { digest, size } = writer.finish({ sync: false });
      trails?.set(digest, writer.trail);
      writeIndex(job.indexPath, [index]);
      return { diffId: digest, size };
    }
    case 'compress': {
      const { compressPart } = await import('./layer/compress-part.js');
      return compressPart(job.job);
    }
    case 'commit':
    case 'commit-copy': {
      const { commitTree } = await import('./snapshot/commit.js');
      const { commitCopy } = await import('./snapshot/commit-copy.js');
      const writer = layerWriter(job, aborted, undefined, send);
      try {
        if (job.kind === 'commit') commitTree(job.job, writer, aborted);
        else commitCopy(job.job, writer, aborted);
      } catch (error) {
        writer.abandon();
        throw error;
      }
      const { digest, size } = writer.finish({ sync: false });
      writeIndex(job.indexPath, new IndexBuilder(writer.entries).chunks());
      return { diffId: digest, size };
    }
    case 'unpack': {
      const { unpackTree } = await import('./snapshot/unpack.js');
      unpackTree(job.job, aborted);
      return undefined;
    }
    case 'turn': {
      const { turnTree } = await import('./snapshot/turn-tree.js');
      turnTree(job.job, aborted);
      return undefined;
    }
    case 'remove': {
      const { removeTreeNow } = await import('./snapshot/remove-tree.js');
      removeTreeNow(job.path);
      return undefined;
    }
  }
}
