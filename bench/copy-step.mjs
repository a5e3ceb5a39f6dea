// What a step costs without mounts: on a root file system of 100,000 files a step changes 10, in a chroot with copied snapshots.
// Builds on one store: one that makes the tree and runs one step on it, one with ten steps more, one with another step in place of
// the first of the ten, and one with a small COPY before it. Prints seconds of each of these steps, from the events of the build, and
// what the ten cost on average: wall time, and processor time of all processes, user and system, less that of a build that has nothing
// to do. Needs root.
// usage: node bench/copy-step.mjs [FILES] [ARGUMENT OF STRAKE BUILD...]
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { cost } from './measure.mjs';

const STEPS = 10;
const [files = '100000', ...given] = process.argv.slice(2);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const folder = mkdtempSync(path.join(tmpdir(), 'strake-bench-'));
try {
  const busybox = path.join(folder, 'busybox');
  execFileSync(process.execPath, [path.join(root, 'scripts/busybox-layout.mjs'), busybox]);
  const context = path.join(folder, 'context');
  for (let n = 0; n < Number(files); n++) {
    const at = path.join(context, 'tree', String(n % 1000));
    if (n < 1000) mkdirSync(at, { recursive: true });
    writeFileSync(path.join(at, String(n)), `${n}\n`);
  }
  const step = (n) => `RUN for f in 0 1 2 3 4 5 6 7 8 9; do echo ${n} > /tree/$f/$f; done`;
  const first = ['FROM busybox', 'COPY tree /tree', 'RUN true'];
  const log = path.join(folder, 'log');
  const build = (steps) => {
    writeFileSync(path.join(context, 'Dockerfile'), `${[...first, ...steps].join('\n')}\n`);
    return cost(
      [
        ...['sh', '-c', 'log=$1; shift; exec "$@" 2>"$log"', 'sh', log],
        ...[process.execPath, path.join(root, 'packages/cli/bin/strake.js')],
        ...['build', '--progress', 'plain', '--isolation', 'chroot', '--root', path.join(folder, 'store')],
        ...['--build-context', `busybox=oci-layout://${busybox}`, ...given, context],
      ],
      process.env,
    );
  };
  /** The RUN steps of the last build. */
  const runs = () => {
    const text = readFileSync(log, 'utf8');
    const numbers = new Map([...text.matchAll(/^#(\d+) \[(\d+)\/\d+\] RUN/gm)].map(([, id, n]) => [id, Number(n)]));
    return [...text.matchAll(/^#(\d+) DONE ([\d.]+)s/gm)].flatMap(([, id, took]) => {
      const number = numbers.get(id);
      return number === undefined ? [] : [{ number, took }];
    });
  };
  build([]);
  const idle = build([]);
  const { wall, cpu } = build(Array.from({ length: STEPS }, (_, n) => step(n)));
  for (const { number, took } of runs()) if (number > 3) console.log(`step ${number}: ${took} s`);
  const each = (total, less) => ((total - less) / STEPS).toFixed(2);
  const one = (what, { cpu: used }) =>
    console.log(`${what}: ${runs().at(-1)?.took} s, of processors ${(used - idle.cpu).toFixed(2)} s`);
  one('another step on the cached ones', build([step('another')]));
  one('behind a COPY', build(['COPY Dockerfile /', step('another')]));
  console.log(`a step: ${each(wall, idle.wall)} s, of processors ${each(cpu, idle.cpu)} s`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
