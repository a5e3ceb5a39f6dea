'use strict';
// The program of the store's worker threads: see packages/store/src/worker.ts.
const { parentPort } = require('node:worker_threads');

// Such a thread is ended without being told. After a while most of what it does is compiled.
require('./strake.js').load('worker.cjs', (keep) => parentPort?.once('message', () => setTimeout(keep, 1000).unref()));
