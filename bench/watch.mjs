// How long a save takes until it can be used, with `strake watch` and with `docker compose watch` on the same files.
// usage: node bench/watch.mjs [--loads web,app,ctx,api,page] [--modes sync,run,image] [--saves 50] [--base IMAGE] [--dir DIR] [--compose]
//   [--out FILE]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import readline from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { treeMemory } from './measure.mjs';
import { startCompose } from './watch-compose.mjs';
import { LOADS, prepare } from './watch-loads.mjs';

const { values: flags } = parseArgs({
  options: {
    loads: { type: 'string', default: 'web,app,ctx,api,page' },
    modes: { type: 'string', default: 'sync,run,image' },
    saves: { type: 'string', default: '50' },
    base: { type: 'string', default: '127.0.0.1:5000/library/debian:bookworm' },
    dir: { type: 'string', default: '/tmp/strake-bench' },
    compose: { type: 'boolean', default: false },
    idle: { type: 'string', default: '10' },
    out: { type: 'string' },
    cli: { type: 'string', default: fileURLToPath(new URL('../packages/cli/bin/strake.js', import.meta.url)) },
  },
});
const saves = Number(flags.saves);
const env = { ...process.env, STRAKE_ROOT: path.join(flags.dir, 'watch-store') };

const quantile = (list, part) =>
  [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * part))];

/** Milliseconds of each save: from the write's return until SEEN(text) resolves. SETTLED: when the next one may come. */
async function measure({ write }, { seen, settled }) {
  const times = [];
  for (let i = 0; i < saves; i++) {
    const text = `save ${i} ${Math.floor(performance.timeOrigin + performance.now())}`;
    const usable = seen(text);
    write(text);
    const begun = performance.now();
    await usable;
    times.push(performance.now() - begun);
    await settled();
    await setTimeout(200);
  }
  return times;
}

/** Lines of a stream, and a promise for the first one that passes a test. */
function lines(stream) {
  const waiting = new Set();
  readline.createInterface({ input: stream }).on('line', (line) => {
    for (const one of waiting) if (one.test(line)) (waiting.delete(one), one.resolve(line));
  });
  return (test) => new Promise((resolve) => waiting.add({ test, resolve }));
}

function ticks(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/** Processor time and memory of a watch that has nothing to do. */
async function measureIdle(pid) {
  await setTimeout(6000);
  const before = ticks(pid);
  await setTimeout(Number(flags.idle) * 1000);
  const cpu = (ticks(pid) - before) / Number(flags.idle);
  const own = Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
  return { cpu, own: own / 1024, all: treeMemory(pid) / 1024 };
}

/** MODE: `--run`, `--sync`, or none for the image alone. */
async function strake(name, mode) {
  const load = await prepare(flags.dir, name, flags.base, { cli: flags.cli, env });
  const argv = ['watch', '--json', '-f', load.own, '-t', `bench-watch-${name}`, ...(mode ? [mode] : []), load.root];
  const child = spawn(process.execPath, [flags.cli, ...argv], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  try {
    const next = lines(child.stdout);
    const ended = exited.then(() => Promise.reject(new Error('strake watch ended by itself')));
    ended.catch(() => undefined);
    await Promise.race([next((line) => line.includes('"type":"watching"')), ended]);
    await setTimeout(1000);
    const shown = (text) => next((line) => line.includes('"output"') && line.includes(text));
    const built = () => next((line) => line.includes('"type":"built"'));
    const seen = (text) => Promise.race([mode ? shown(text) : built(), ended]);
    const times = await measure(load, { seen, settled: async () => undefined });
    return { times, idle: mode === '--run' ? undefined : await measureIdle(child.pid) };
  } finally {
    child.kill('SIGINT');
    await exited;
  }
}

async function compose(name, action) {
  const load = await prepare(flags.dir, name, flags.base, { cli: flags.cli, env });
  const watching = await startCompose(load, name, action, LOADS[name].seen, flags.dir);
  try {
    return { times: await measure(load, watching) };
  } finally {
    await watching.stop();
  }
}

/** How long the program of the step that reads the file takes by itself, in no container and started by no builder. */
async function alone(name, { folder, argv }) {
  const load = await prepare(flags.dir, name, flags.base, { cli: flags.cli, env });
  const [program, ...args] = [...argv, path.join(flags.dir, `${name}-alone`)];
  const times = [];
  for (let i = 0; i < saves; i++) {
    load.write(`alone ${i}`);
    const begun = performance.now();
    const [code] = await once(spawn(program, args, { cwd: path.join(load.root, folder), stdio: 'inherit' }), 'exit');
    if (code !== 0) throw new Error(`${program} ended with ${code}`);
    times.push(performance.now() - begun);
  }
  return { times };
}

const rows = [];
const idles = [];
function row(load, what, { times, idle }, than) {
  const p50 = quantile(times, 0.5);
  const ratio = than === undefined ? '' : (p50 / than).toFixed(2);
  const line = [load, what, times.length, p50.toFixed(0), quantile(times, 0.95).toFixed(0), ratio];
  rows.push(`| ${line.join(' | ')} |`);
  process.stderr.write(`${rows.at(-1)}\n`);
  if (idle) {
    const facts = [what.replace(/:.*/, ''), idle.cpu.toFixed(1), idle.own.toFixed(0), idle.all.toFixed(0)];
    idles.push(`| ${[load, ...facts].join(' | ')} |`);
  }
  return p50;
}
const modes = new Set(flags.modes.split(','));
for (const name of flags.loads.split(',')) {
  const syncs = modes.has('sync') && !LOADS[name].stepReads;
  const rebuilds = modes.has('run') || modes.has('image');
  const sync = syncs && flags.compose ? await compose(name, 'sync') : undefined;
  const rebuild = rebuilds && flags.compose ? await compose(name, 'rebuild') : undefined;
  const than = {
    sync: sync && row(name, 'docker compose watch, sync: seen in the container', sync),
    rebuild: rebuild && row(name, 'docker compose watch, rebuild: seen in the new container', rebuild),
  };
  const { program } = LOADS[name];
  if (program)
    row(name, `${path.basename(program.argv[0])} ${program.argv[1]} alone`, await alone(name, program), than.rebuild);
  if (syncs) row(name, 'strake watch --sync: seen in the container', await strake(name, '--sync'), than.sync);
  if (modes.has('run'))
    row(name, 'strake watch --run: seen in the new container', await strake(name, '--run'), than.rebuild);
  if (modes.has('image')) row(name, 'strake watch: new image', await strake(name), than.rebuild);
}
const head = (...names) => `| ${names.join(' | ')} |\n|${' --- |'.repeat(names.length)}`;
const table = `${head('workload', 'what', 'saves', 'p50 ms', 'p95 ms', "of compose's p50")}\n${rows.join('\n')}\n\n${head('workload', 'idle', 'CPU %', 'MiB (PSS)', 'with agent and container')}\n${idles.join('\n')}\n`;
process.stdout.write(table);
if (flags.out) fs.writeFileSync(flags.out, table);
