import { IdleMemory } from '@strake/sys';
import { parentPort, Worker, workerData } from 'node:worker_threads';

import { runJob, WriteInProgress } from './jobs.js';
import { plainError } from './plain-error.js';
import { HashTrails } from './tar/hash-trail.js';
import { writeRelayed, type RelayedTar } from './tar/tar-relay.js';
import type { JobResult, Request, Response } from './worker-protocol.js';

/**
 * The entry of the store's worker threads: one job at a time, synchronous inside; and of the thread that each of these has for large
 * tars.
 */

/** The data of a thread that writes tars for another one. */
const WRITES_TARS = 'writes tars';

/** How many trails a thread keeps; each has some kilobytes. */
const TRAILS = 8;

const port = parentPort;
const send = (response: Response): void => {
  // Compressed bytes are given away, not copied.
  const given =
    response.type === 'done' && response.result && 'bytes' in response.result ? response.result.bytes : undefined;
  port?.postMessage(response, given ? [given.buffer] : []);
};

/** The `write` job under way: its entries come in further messages. */
let writing: WriteInProgress | undefined;
/** Of the layers that this thread has made last. */
const trails = new HashTrails(TRAILS);
const memory = new IdleMemory();

function done(result: JobResult): void {
  writing = undefined;
  memory.idle();
  send({ type: 'done', result });
}

function fail(error: unknown): void {
  writing?.abandon();
  writing = undefined;
  memory.idle();
  send({ type: 'failed', error: plainError(error) });
}

let tarWriter: Worker | undefined;

function sendTar(tar: RelayedTar): void {
  if (!tarWriter) {
    tarWriter = new Worker(process.argv[1] ?? '', { name: 'strake-tar', workerData: WRITES_TARS }); // this thread's own program
    tarWriter.unref();
  }
  tarWriter.postMessage(tar);
}

function receive(request: Request): void {
  try {
    if (request.type === 'start') {
      memory.busy();
      const { job, cancel } = request;
      const aborted = (): boolean => Atomics.load(cancel, 0) !== 0;
      if (job.kind !== 'write') {
        runJob(job, aborted, sendTar, trails).then(done, fail);
        return;
      }
      writing = new WriteInProgress(job, aborted, sendTar);
      send({ type: 'taken' });
    } else if (!writing) return;
    else if (request.type === 'batch') {
      const digests = writing.add(request.batch);
      send({ type: 'taken', digests });
    } else {
      done(writing.finish(() => send({ type: 'read' }), trails));
    }
  } catch (error) {
    fail(error);
  }
}

if (workerData === WRITES_TARS) port?.on('message', writeRelayed);
else port?.on('message', receive);
