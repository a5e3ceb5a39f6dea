// What a step costs without mounts: on a root file system of 100,000 files a step changes 10, in a chroot with copied snapshots.
// Prints seconds of each of ten such steps, from the events of the build, and of the whole. Needs root.
// usage: node bench/copy-step.mjs [FILES] [ARGUMENT OF STRAKE BUILD...]
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

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
  const lines = ['FROM busybox', 'COPY tree /tree', 'RUN true', ...Array.from({ length: 10 }, (_, n) => step(n))];
  writeFileSync(path.join(context, 'Dockerfile'), `${lines.join('\n')}\n`);
  const argv = ['build', '--progress', 'plain', '--isolation', 'chroot', '--root', path.join(folder, 'store')];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      path.join(root, 'packages/cli/bin/strake.js'),
      ...argv,
      '--build-context',
      `busybox=oci-layout://${busybox}`,
      ...given,
      context,
    ],
    { encoding: 'utf8' },
  );
  const log = stdout + stderr;
  if (status !== 0) throw new Error(log);
  const numbers = new Map([...log.matchAll(/^#(\d+) \[(\d+)\/\d+\] RUN/gm)].map(([, id, n]) => [id, Number(n)]));
  for (const [, id, took] of log.matchAll(/^#(\d+) DONE ([\d.]+)s/gm)) {
    if ((numbers.get(id) ?? 0) > 3) console.log(`step ${numbers.get(id)}: ${took} s`);
  }
  console.log(log.trim().split('\n').at(-1));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
