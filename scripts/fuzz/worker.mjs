import { readdirSync, readFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { Session } from 'node:inspector';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';

import { mutate, randomOf } from './mutate.mjs';
import { targets } from './targets.mjs';

const { name, seconds, seed, shared, keep } = workerData;
const fixtures = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../fixtures/fuzz');
const state = new Int32Array(shared, 0, 2);
const place = new Uint8Array(shared, 8);
/** Bytes that the process may grow by. */
const MEMORY = 700 << 20;
/** Corpus files are small, and few. */
const [MAX_FILE, MAX_FILES] = [4096, 40];

const session = new Session();
session.connect();
const ask = (method, params = {}) => {
  let answer;
  session.post(method, params, (error, value) => {
    if (error) throw new Error(error.message);
    answer = value;
  });
  return answer;
};

const filesIn = (folder, begin = '') =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((file) => file.startsWith(begin))
        .map((file) => readFileSync(path.join(folder, file)))
    : [];

const target = await targets[name]();
const random = randomOf(seed ^ createHash('sha256').update(name).digest().readInt32LE());
const folder = path.join(fixtures, name);
const corpus = [...target.seeds.map((one) => Buffer.from(one)), ...filesIn(folder)];
const before = process.memoryUsage().rss;
let [runs, accepted, kept] = [0, 0, 0];

/** Runs one input. @returns whether it was accepted; throws what must not come out */
async function once(input) {
  Atomics.store(state, 1, Math.min(input.length, place.length));
  place.set(input.subarray(0, place.length));
  Atomics.add(state, 0, 1);
  runs++;
  try {
    await target.run(input, random);
    accepted++;
  } catch (error) {
    if (!target.allows(error))
      throw Object.assign(error instanceof Error ? error : new Error(String(error)), { input });
  }
  if (process.memoryUsage.rss() - before > MEMORY) throw Object.assign(new Error('too much memory'), { input });
}

/** Pieces of our own code that were run and had not been before. */
const seen = new Set();
function news() {
  let count = 0;
  for (const { url, functions } of ask('Profiler.takePreciseCoverage').result) {
    if (!url.includes('/dist/src/')) continue;
    for (const { ranges } of functions) {
      for (const { startOffset, endOffset, count: times } of ranges) {
        if (times === 0) continue;
        const key = `${url}:${startOffset}:${endOffset}`;
        if (seen.has(key)) continue;
        seen.add(key);
        count++;
      }
    }
  }
  return count;
}

try {
  for (const input of [...filesIn(path.join(fixtures, 'failures'), `${name}-`), ...corpus]) await once(input);
  ask('Profiler.enable');
  ask('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  for (const input of corpus) await once(input);
  news();
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    // Coverage is asked for once a handful of inputs: it costs more than most of them.
    const batch = Array.from({ length: 8 }, () => {
      const pick = () => corpus[Math.floor(random() ** 2 * corpus.length)] ?? Buffer.alloc(0);
      const made = mutate(corpus[Math.floor(random() * corpus.length)] ?? pick(), pick(), target.words ?? [], random);
      return target.repair ? target.repair(made, random) : made;
    });
    for (const input of batch) await once(input);
    if (news() === 0) continue;
    kept++;
    corpus.push(...batch);
    if (corpus.length > 3000) corpus.splice(target.seeds.length, 1000);
    if (!keep) continue;
    mkdirSync(folder, { recursive: true });
    for (const input of batch) {
      if (input.length > MAX_FILE || readdirSync(folder).length >= MAX_FILES || random() < 0.7) continue;
      writeFileSync(path.join(folder, createHash('sha256').update(input).digest('hex').slice(0, 16)), input);
    }
  }
  parentPort.postMessage({ runs, accepted, kept });
} catch (error) {
  parentPort.postMessage({ why: error.stack ?? String(error), input: error.input ?? Buffer.alloc(0) });
}
