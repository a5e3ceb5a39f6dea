import { closeSync, openSync, writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

import { StrakeError } from '@strake/core';

import { digestFilesNow } from './digest-files.js';
import { writeFailure } from './errors.js';
import { entriesOf } from './layer/entry-batch.js';
import { IndexBuilder } from './layer/index-builder.js';
import { importLayer } from './layer/layer-importer.js';
import { LayerWriter } from './layer/layer-writer.js';
import type { RawEntries } from './layer/raw-entries.js';
import type { DigestedFiles, Job, MadeLayer, PlainError, Request, Response } from './worker-protocol.js';

/** The entry of the store's worker threads: one job at a time, synchronous inside. */

const port = parentPort;
const send = (response: Response): void => port?.postMessage(response);

function plain(error: unknown): PlainError {
  if (error instanceof StrakeError) {
    return { strake: { ...error.toFields(), cause: undefined }, message: error.message };
  }
  if (!(error instanceof Error)) return { message: String(error) };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return { message: error.message, code, stack: error.stack };
}

function writeIndex(path: string, entries: RawEntries): void {
  const builder = new IndexBuilder(entries);
  const fd = openSync(path, 'wx', 0o600);
  try {
    for (const chunk of builder.chunks()) {
      for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at);
    }
  } catch (error) {
    throw writeFailure(error, path);
  } finally {
    closeSync(fd);
  }
}

/** The `write` job under way: its entries come in further messages. */
let writing: { readonly writer: LayerWriter; readonly indexPath: string; readonly cancel: Int32Array } | undefined;

async function start(job: Job, cancel: Int32Array): Promise<void> {
  const aborted = (): boolean => Atomics.load(cancel, 0) !== 0;
  let result: MadeLayer | DigestedFiles | undefined;
  switch (job.kind) {
    case 'write': {
      const writer = new LayerWriter(job.tarPath, (digest) => `${job.blobs}/${digest.slice(7)}`);
      writing = { writer, indexPath: job.indexPath, cancel };
      send({ type: 'taken' });
      return;
    }
    case 'import': {
      const { entries, size } = await importLayer(job.job, aborted);
      writeIndex(job.indexPath, entries);
      result = { diffId: job.job.diffId, size };
      break;
    }
    case 'digest':
      result = { digests: digestFilesNow(job.root, job.paths.split('\0'), aborted) };
      break;
    // These load the system calls: only where they are needed.
    case 'commit':
    case 'commit-copy': {
      const { commitTree } = await import('./snapshot/commit.js');
      const { commitCopy } = await import('./snapshot/commit-copy.js');
      const writer = new LayerWriter(job.tarPath, (digest) => `${job.blobs}/${digest.slice(7)}`);
      try {
        if (job.kind === 'commit') commitTree(job.job, writer, aborted);
        else commitCopy(job.job, writer, aborted);
      } catch (error) {
        writer.abandon();
        throw error;
      }
      const { digest, size } = writer.finish({ sync: true });
      writeIndex(job.indexPath, writer.entries);
      result = { diffId: digest, size };
      break;
    }
    case 'unpack': {
      const { unpackTree } = await import('./snapshot/unpack.js');
      unpackTree(job.job, aborted);
      break;
    }
    case 'remove': {
      const { removeTreeNow } = await import('./snapshot/remove-tree.js');
      removeTreeNow(job.path);
    }
  }
  send({ type: 'done', result });
}

function fail(error: unknown): void {
  writing?.writer.abandon();
  writing = undefined;
  send({ type: 'failed', error: plain(error) });
}

port?.on('message', (request: Request) => {
  try {
    if (request.type === 'start') start(request.job, request.cancel).catch(fail);
    else if (!writing) return;
    else if (request.type === 'batch') {
      for (const entry of entriesOf(request.batch)) {
        if (Atomics.load(writing.cancel, 0) !== 0) throw new Error('aborted');
        writing.writer.add(entry);
      }
      send({ type: 'taken' });
    } else {
      const { writer, indexPath, cancel } = writing;
      if (Atomics.load(cancel, 0) !== 0) throw new Error('aborted');
      const { digest, size } = writer.finish({ sync: false });
      writing = undefined;
      writeIndex(indexPath, writer.entries);
      send({ type: 'done', result: { diffId: digest, size } });
    }
  } catch (error) {
    fail(error);
  }
});
