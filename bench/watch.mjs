// How long a save takes until it can be used, with `strake watch` and with `docker compose watch` on the same files.
// usage: node bench/watch.mjs [--loads web,app,ctx] [--saves 50] [--base IMAGE] [--dir DIR] [--compose] [--out FILE]
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import readline from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeWorkload } from './workloads.mjs';

const { values: flags } = parseArgs({
  options: {
    loads: { type: 'string', default: 'web,app,ctx' },
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
/** Prints the file whenever it changes: what is seen in the container, and when. */
const LOOK = (file) =>
  `CMD ["sh", "-c", "while :; do read -r l < ${file}; [ \\"$l\\" = \\"$o\\" ] || { echo \\"seen $l\\"; o=$l; }; sleep 0.01; done"]\n`;

/** What is built, which file is saved, and where that file is in the container, if it is: in app only a step reads it. */
const LOADS = {
  web: {
    dockerfile: (base) =>
      `FROM ${base}\nWORKDIR /app\nCOPY package.json ./\nRUN mkdir node_modules && for d in $(seq 1 200); do echo $d > node_modules/$d; done\nCOPY src ./src\n`,
    touch: 'src/server.js',
    target: '/app/src/server.js',
  },
  app: { touch: 'src/f7.js' },
  ctx: { touch: 'src/d3/p3/f3.js', target: '/src/src/d3/p3/f3.js' },
};

function prepare(name) {
  const { dockerfile, touch, target } = LOADS[name];
  let root;
  if (dockerfile) {
    root = path.join(flags.dir, name);
    fs.mkdirSync(path.join(root, 'src'), { recursive: true });
    for (let i = 0; i < 40; i++)
      fs.writeFileSync(path.join(root, `src/m${i}.js`), `export const m${i} = ${i};\n`.repeat(50));
    fs.writeFileSync(path.join(root, 'package.json'), '{"name":"web"}\n');
    fs.writeFileSync(path.join(root, touch), 'start\n');
    fs.writeFileSync(path.join(root, 'Dockerfile'), dockerfile(flags.base));
  } else root = writeWorkload(flags.dir, name, flags.base);
  const file = path.join(root, touch);
  fs.writeFileSync(file, 'start\n');
  // In a file of its own, so that the workload stays as others measure it.
  const own = path.join(flags.dir, `${name}.Dockerfile`);
  fs.writeFileSync(
    own,
    fs.readFileSync(path.join(root, 'Dockerfile'), 'utf8').replace(/^CMD .*$/m, '') + (target ? LOOK(target) : ''),
  );
  return { root, file, own };
}

const quantile = (list, part) =>
  [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * part))];

/** Milliseconds of each of so many saves: from the write's return until SEEN(text) resolves. */
async function measure(file, count, seen) {
  const times = [];
  for (let i = 0; i < count; i++) {
    const text = `save ${i} ${Math.floor(performance.now() * 1000)}`;
    const usable = seen(text);
    fs.writeFileSync(file, `${text}\n`);
    const begun = performance.now();
    await usable;
    times.push(performance.now() - begun);
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

async function strake(name, sync) {
  const { root, file, own } = prepare(name);
  const argv = ['watch', '--json', '-f', own, '-t', `bench-watch-${name}`, ...(sync ? ['--sync'] : []), root];
  const env = { ...process.env, STRAKE_ROOT: path.join(flags.dir, 'watch-store') };
  const child = spawn(process.execPath, [flags.cli, ...argv], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const next = lines(child.stdout);
    await next((line) => line.includes('"type":"watching"'));
    await setTimeout(1000);
    const seen = sync
      ? (text) => next((line) => line.includes(`seen ${text}`))
      : () => next((line) => line.includes('"type":"built"'));
    const times = await measure(file, saves, seen);
    let idle;
    if (!sync) {
      await setTimeout(6000);
      const before = ticks(child.pid);
      await setTimeout(Number(flags.idle) * 1000);
      const cpu = (ticks(child.pid) - before) / Number(flags.idle);
      const memory =
        Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${child.pid}/smaps_rollup`, 'utf8'))[1]) / 1024;
      idle = { cpu, memory };
    }
    return { times, idle };
  } finally {
    child.kill('SIGINT');
    await once(child, 'exit');
  }
}

async function compose(name, action) {
  const { root, file, own } = prepare(name);
  const project = `benchwatch${name}`;
  const yaml = path.join(flags.dir, `${name}.compose.json`);
  const target = path.posix.dirname(LOADS[name].target);
  const rule = { action, path: path.dirname(file), ...(action === 'sync' ? { target } : {}) };
  const service = {
    build: { context: root, dockerfile: own },
    network_mode: 'host',
    init: true,
    develop: { watch: [rule] },
  };
  fs.writeFileSync(yaml, JSON.stringify({ name: project, services: { app: service } }));
  const docker = (...argv) => spawnSync('docker', ['compose', '-f', yaml, ...argv], { encoding: 'utf8' });
  const child = spawn('docker', ['compose', '-f', yaml, 'watch'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const followers = [];
  const wanted = new Map();
  const follow = (id) => {
    const logs = spawn('docker', ['logs', '-f', id], { stdio: ['ignore', 'pipe', 'ignore'] });
    followers.push(logs);
    readline.createInterface({ input: logs.stdout }).on('line', (line) => wanted.get(line)?.());
  };
  const filter = [
    '--filter',
    `label=com.docker.compose.project=${project}`,
    '--filter',
    'event=start',
    '--format',
    '{{.ID}}',
  ];
  const events = spawn('docker', ['events', ...filter], { stdio: ['ignore', 'pipe', 'ignore'] });
  readline.createInterface({ input: events.stdout }).on('line', follow);
  try {
    const [out, err] = [lines(child.stdout), lines(child.stderr)];
    const enabled = (line) => /watch enabled|watching/i.test(line);
    await Promise.race([out(enabled), err(enabled), setTimeout(600_000)]);
    await setTimeout(2000);
    const times = await measure(
      file,
      Math.min(saves, 10),
      (text) => new Promise((resolve) => wanted.set(`seen ${text}`, resolve)),
    );
    return { times };
  } finally {
    for (const one of [child, events, ...followers]) one.kill('SIGKILL');
    docker('down', '-t', '0');
  }
}

const rows = [];
const row = (load, what, { times }) =>
  rows.push(
    `| ${load} | ${what} | ${times.length} | ${quantile(times, 0.5).toFixed(0)} | ${quantile(times, 0.95).toFixed(0)} |`,
  );
const idles = [];
for (const name of flags.loads.split(',')) {
  const image = await strake(name, false);
  row(name, 'strake watch: new image', image);
  idles.push(`| ${name} | ${image.idle.cpu.toFixed(1)} | ${image.idle.memory.toFixed(0)} |`);
  if (!LOADS[name].target) continue;
  row(name, 'strake watch --sync: seen in the container', await strake(name, true));
  if (flags.compose) {
    row(name, 'docker compose watch, sync: seen in the container', await compose(name, 'sync'));
    row(name, 'docker compose watch, rebuild: seen in the new container', await compose(name, 'rebuild'));
  }
}
const table = `| workload | what | saves | p50 ms | p95 ms |\n| --- | --- | --- | --- | --- |\n${rows.join('\n')}\n\n| workload | idle CPU % | idle memory MiB (PSS) |\n| --- | --- | --- |\n${idles.join('\n')}\n`;
process.stdout.write(table);
if (flags.out) fs.writeFileSync(flags.out, table);
