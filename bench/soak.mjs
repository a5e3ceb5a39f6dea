// Saves files at random for so many minutes while `strake watch` runs, with failures, cancels and collections, and then compares:
// the image must equal a fresh build, and nothing may have leaked: disk is measured after everything unused was collected, memory all the
// time: it may not grow by more than GROWTH in the second half.
// usage: node bench/soak.mjs [--minutes 60] [--base IMAGE] [--dir DIR] [--run]
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import readline from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median } from './measure.mjs';

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    base: { type: 'string', default: '127.0.0.1:5000/library/busybox:latest' },
    dir: { type: 'string', default: '/tmp/strake-soak' },
    run: { type: 'boolean', default: false },
    cli: { type: 'string', default: fileURLToPath(new URL('../packages/cli/bin/strake.js', import.meta.url)) },
  },
});
/** Milliseconds between two collections. */
const SAMPLE = 5 * 60_000;
/** Milliseconds between two looks at memory. */
const LOOK = 10_000;
/** From the first to the last quarter of the second half, medians: the processes' heaps come and go by as much. */
const GROWTH = 0.15;
const context = path.join(flags.dir, 'context');
fs.rmSync(context, { recursive: true, force: true });
const at = (name) => path.join(context, name);
const write = (name, text) => {
  fs.mkdirSync(path.dirname(at(name)), { recursive: true });
  fs.writeFileSync(at(name), text);
};
const dockerfile = `FROM ${flags.base}\nCOPY config /app/config\nRUN cat /app/config/* > /app/joined\nCOPY src /app/src\nCMD ["sleep", "100000"]\n`;
write('Dockerfile', dockerfile);
write('config/a', 'a\n');
for (let i = 0; i < 300; i++) write(`src/d${i % 10}/f${i}`, `${i}\n`);
const env = { ...process.env, STRAKE_ROOT: path.join(flags.dir, 'store') };
const strake = (...argv) => execFileSync(process.execPath, [flags.cli, ...argv], { env, encoding: 'utf8' });

const argv = ['watch', '--json', '-t', 'soak', ...(flags.run ? ['--sync', '--verify'] : []), context];
const child = spawn(process.execPath, [flags.cli, ...argv], { env, stdio: ['ignore', 'pipe', 'inherit'] });
const counts = { built: 0, failed: 0, cancelled: 0, started: 0, restarted: 0, synced: 0, warning: 0 };
let told = 0;
let quiet = performance.now();
readline.createInterface({ input: child.stdout }).on('line', (line) => {
  const event = JSON.parse(line);
  quiet = performance.now();
  if (event.type in counts) counts[event.type]++;
  if (event.type === 'warning') process.stderr.write(`${event.message}\n`);
  for (const action of event.actions ?? []) counts[action.startsWith('synced') ? 'synced' : action]++;
  if (event.type === 'watching') told++;
});

/** A file of /proc; empty where the process has ended meanwhile. */
function facts(pid, name) {
  try {
    return fs.readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return '';
    throw error;
  }
}

/** The watch and its children. */
function processes() {
  const tree = [child.pid];
  for (const pid of tree) tree.push(...facts(pid, `task/${pid}/children`).split(' ').filter(Boolean).map(Number));
  return tree;
}

/** MiB of each process. */
function memories() {
  const pss = (pid) => Number(/^Pss:\s+(\d+)/m.exec(facts(pid, 'smaps_rollup'))?.[1] ?? 0);
  return processes().map((pid) => pss(pid) / 1024);
}

const sum = (list) => list.reduce((all, one) => all + one, 0);

/** What the watch and its children hold. */
function held() {
  const tree = processes();
  return {
    processes: tree.length,
    descriptors: fs.readdirSync(`/proc/${child.pid}/fd`).length,
    mounts: fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length,
    memory: Math.round(sum(memories())),
    disk: Math.round(
      Number(spawnSync('du', ['-sk', env.STRAKE_ROOT], { encoding: 'utf8' }).stdout.split('\t')[0]) / 1024,
    ),
  };
}

const random = (n) => Math.floor(Math.random() * n);
function edit(n) {
  const file = `src/d${random(12)}/f${random(400)}`;
  switch (random(12)) {
    case 0:
      return fs.rmSync(at(file), { force: true });
    case 1:
      return fs.rmSync(at(path.dirname(file)), { recursive: true, force: true });
    case 2: {
      const to = at(`src/e${random(5)}`);
      fs.rmSync(to, { recursive: true, force: true });
      return fs.existsSync(at(path.dirname(file))) && fs.renameSync(at(path.dirname(file)), to);
    }
    case 3:
      return write('config/a', `${n}\n`);
    case 4:
      write('Dockerfile', `${dockerfile}RUN false ${n}\n`);
      return undefined;
    case 5:
      write(`${file}.tmp`, `${n}\n`);
      return fs.renameSync(at(`${file}.tmp`), at(file));
    case 6:
      for (let i = 0; i < 200; i++) write(`src/burst/f${i}`, `${n}\n`);
      return undefined;
    default:
      return write(file, `${n} ${'x'.repeat(random(3000))}\n`);
  }
}

const prune = () => strake('prune', '--all', '--force');
while (told === 0) await setTimeout(100);
await setTimeout(5000);
prune();
const before = held();
const begun = performance.now();
const end = begun + Number(flags.minutes) * 60_000;
const samples = [];
const memory = [];
let saves = 0;
while (performance.now() < end) {
  if (performance.now() > begun + (samples.length + 1) * SAMPLE) {
    const { memory, disk } = held();
    samples.push(`${memory}/${disk}`);
    prune();
  }
  if (performance.now() > begun + memory.length * LOOK) memory.push(sum(memories()));
  edit(++saves);
  await setTimeout(random(4) === 0 ? 50 : 1000);
  if (random(3) === 0) write('Dockerfile', dockerfile);
}
write('Dockerfile', dockerfile);
write('src/last', 'last\n');
await setTimeout(2000);
while (performance.now() - quiet < 10_000) await setTimeout(500);
const grown = held().disk;
prune();
const after = held();
child.kill('SIGINT');
const asked = performance.now();
await once(child, 'exit');
const ended = performance.now() - asked;

const unpack = (name) => {
  const dest = path.join(flags.dir, name);
  fs.rmSync(dest, { recursive: true, force: true });
  fs.mkdirSync(dest, { recursive: true });
  return dest;
};
const [watched, fresh] = [unpack('watched'), unpack('fresh')];
fs.writeFileSync(path.join(flags.dir, 'Again'), 'FROM soak\n');
strake('build', '-q', '-f', path.join(flags.dir, 'Again'), '-o', watched, flags.dir + '/context');
strake('build', '-q', '--no-cache', '-o', fresh, context);
execFileSync('diff', ['-r', '--no-dereference', watched, fresh], { stdio: 'inherit' });
process.stdout.write(
  `${JSON.stringify({ minutes: Number(flags.minutes), saves, ...counts })}\nMiB of memory/disk before each collection: ${samples.join(' ')} ${grown}\nbefore ${JSON.stringify(before)}\nafter  ${JSON.stringify(after)}\nended ${Math.round(ended)} ms after SIGINT; the image equals a fresh build\n`,
);

/** Medians of eighths of the whole time. */
const eighths = Array.from({ length: 8 }, (_, i) => {
  const part = memory.slice(Math.floor((i * memory.length) / 8), Math.ceil(((i + 1) * memory.length) / 8));
  return median(part);
});
process.stdout.write(`MiB of memory, medians of eighths of the time: ${eighths.map(Math.round).join(' ')}\n`);
const growth = (eighths[7] ?? 0) / (eighths[4] ?? 1) - 1;
if (growth > GROWTH) {
  process.stderr.write(`memory grew by ${Math.round(growth * 100)} % in the second half\n`);
  process.exitCode = 1;
}
