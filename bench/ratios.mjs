// A small form of the benchmarks that holds on any machine and under any load: processor time of Strake against that of the plain
// way to do the same, taking turns, medians; and counts. Fails only where something became much slower. See README.md.
// usage: node bench/ratios.mjs [--cli FILE] [--only repeat,start,modules,copy,chain] [--runs N]
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { COVER_CGROUPS, ociRuntime as runtime, writeBundle } from './builders.mjs';
import { cost, median } from './measure.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const { values: flags } = parseArgs({
  options: {
    cli: { type: 'string', default: path.join(here, '../packages/cli/bin/strake.js') },
    runs: { type: 'string' },
    only: { type: 'string', default: 'repeat,start,modules,copy,chain' },
  },
});
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'strake-ratios-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }));
// Every build is one: `repeat` alone measures how one like that before it is answered.
const env = { ...process.env, STRAKE_ROOT: path.join(scratch, 'store'), STRAKE_GC: 'off', STRAKE_REPEAT: 'off' };
delete env.NODE_EXTRA_CA_CERTS; // Node reads them at every start, which takes longer than all the rest of it
const node = process.execPath;
const cli = [node, path.resolve(flags.cli)];

const seconds = (command, how = env) => cost(command, how).cpu;

/** Median over RUNS of each, taking turns. */
function compare(runs, ours, plain) {
  const taken = { ours: [], plain: [] };
  for (let run = 0; run < Number(flags.runs ?? runs); run++) {
    taken.plain.push(plain(run));
    taken.ours.push(ours(run));
  }
  return { ours: median(taken.ours), plain: median(taken.plain) };
}

function folder(name, files) {
  for (const [file, content] of Object.entries(files)) {
    const target = path.join(scratch, name, file);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, content);
  }
  return path.join(scratch, name);
}

/** A cached build of 30 steps. */
function cachedBuild() {
  const steps = Array.from({ length: 30 }, (_, i) => `COPY file /${i}/`);
  const context = folder('cached', { Dockerfile: ['FROM scratch', ...steps].join('\n'), file: 'content\n' });
  const command = [...cli, 'build', '-q', '-t', 'cached', context];
  seconds(command);
  seconds(command); // Node's code cache is there now
  return command;
}

/** A base image with busybox, and the tree that it is. */
function busybox() {
  const layout = path.join(scratch, 'busybox');
  execFileSync(node, [path.join(here, '../scripts/busybox-layout.mjs'), layout]);
  const context = folder('base', { Dockerfile: 'FROM busybox\n' });
  const root = path.join(scratch, 'bundle/rootfs');
  const from = ['--build-context', `busybox=oci-layout://${layout}`];
  execFileSync(node, [cli[1], 'build', '-q', ...from, '-o', `type=local,dest=${root}`, context], { env });
  return { from, root };
}

const CHECKS = {
  repeat: {
    what: 'a build of 30 steps like the one before it against `node -e 0`',
    limit: 2,
    run() {
      const command = cachedBuild();
      const how = { ...env, STRAKE_REPEAT: 'on' };
      seconds(command, how); // is kept now
      return compare(
        7,
        () => seconds(command, how),
        () => seconds([node, '-e', '0']),
      );
    },
  },
  start: {
    what: 'a cached build of 30 steps against `node -e 0`',
    limit: 4,
    run() {
      const command = cachedBuild();
      return compare(
        7,
        () => seconds(command),
        () => seconds([node, '-e', '0']),
      );
    },
  },
  modules: {
    what: 'modules that a cached build loads against those of `node -e 0`',
    limit: 1.8,
    run() {
      const list = path.join(scratch, 'modules');
      const hook = folder('hook', {
        'hook.cjs': `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(list)}, process.moduleLoadList.concat(Object.keys(require.cache)).join('\\n')));`,
      });
      const loaded = (command) => {
        execFileSync(node, ['-r', `${hook}/hook.cjs`, ...command.slice(1)], { env, stdio: 'ignore' });
        return fs.readFileSync(list, 'utf8').split('\n').length;
      };
      const command = cachedBuild();
      return { ours: loaded(command), plain: loaded([node, '-e', '0']), unit: '' };
    },
  },
  copy: {
    what: 'COPY of 5,000 files into an empty store against a plain program that hashes and writes the same tar',
    limit: 5,
    run() {
      const files = {};
      for (let i = 0; i < 5000; i++) files[`d${i % 50}/file-${i}`] = `${i}`.repeat(800);
      files['Dockerfile'] = 'FROM scratch\nCOPY . /\n';
      const context = folder('copied', files);
      const tar = path.join(scratch, 'plain.tar');
      return compare(
        3,
        (run) => seconds([...cli, 'build', '-q', '--root', path.join(scratch, `copy-${run}`), context]),
        () => seconds([node, path.join(here, 'plain-copy.mjs'), context, tar]),
      );
    },
  },
  chain: {
    what: '10 RUN steps, each a container, a snapshot and a layer, against 10 plain runs of the same runtime',
    limit: 15,
    skip: () => (process.getuid() !== 0 ? 'needs root' : runtime() === undefined ? 'no OCI runtime' : undefined),
    run() {
      const { from, root } = busybox();
      const bundle = path.dirname(root);
      const [program, how] = runtime();
      writeBundle(bundle, 'rootfs', 'echo > /tmp/file', program);
      fs.mkdirSync(`${root}/tmp`, { recursive: true });
      const steps = Array.from({ length: 10 }, (_, i) => `RUN echo > /file-${i}`);
      const context = folder('chain', { Dockerfile: ['FROM busybox', ...steps].join('\n') });
      const loop = `${COVER_CGROUPS}; for i in 1 2 3 4 5 6 7 8 9 10; do ${program} ${how} run --bundle ${bundle} strake-ratios-$$-$i || exit; done`;
      const ours = [...cli, 'build', '-q', '--isolation', 'oci', ...from, context];
      return compare(
        3,
        (run) => seconds([...ours, '--root', path.join(scratch, `chain-${run}`)]),
        () => seconds(['unshare', '--mount', 'bash', '-c', loop]),
      );
    },
  },
};

let passed = 0;
let failed = 0;
for (const name of flags.only.split(',')) {
  const { what, limit, run, skip } = CHECKS[name];
  const reason = skip?.();
  if (reason) {
    process.stdout.write(`skipped  ${what}: ${reason}\n`);
    continue;
  }
  const { ours, plain, unit = ' s' } = run();
  const ratio = ours / plain;
  if (ratio <= limit) passed++;
  else failed++;
  const figures = [ours, plain].map((value) => (unit === '' ? `${value}` : `${value.toFixed(3)}${unit}`)).join(' / ');
  process.stdout.write(
    `${ratio <= limit ? 'ok  ' : 'FAIL'} ${what}: ${figures} = ${ratio.toFixed(2)}, at most ${limit}\n`,
  );
}
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exit(failed === 0 ? 0 : 1);
