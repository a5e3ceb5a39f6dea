// Many builds at once on one store, some of them killed (SIGKILL) at random moments, while the store is pruned all the time. Then:
// every image of a build that was not killed is right, as files and under its name in the store, and no process, mount, lease or
// temporary file is left, nor a blob whose content is not its name's; without names and cache nothing is left of the store.
// usage: node e2e/chaos.mjs [--builds 100] [--kill 20] [--parallel 8] [--seed N]
// The last line is `N passed, N failed`. Builds take a quarter of a second to some seconds each, by the machine.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { clearInterval, setInterval } from 'node:timers';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const support = (name) => import(new URL(`./dist/test/support/${name}.js`, import.meta.url)); // npm run setup -- --tests
const { mountsWith } = await support('processes');
const { layersOf, leftIn, namesIn, unsound } = await support('faults/soundness');
const { tarEntries } = await support('tar-entries');
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const strake = path.join(root, 'packages/cli/bin/strake.js');
const { values } = parseArgs({
  options: {
    builds: { type: 'string', default: '100' },
    kill: { type: 'string', default: '20' },
    parallel: { type: 'string', default: '8' },
    seed: { type: 'string', default: String(Date.now() % 1e6) },
  },
});
const [BUILDS, KILL, PARALLEL] = [Number(values.builds), Number(values.kill), Number(values.parallel)];
/** Dockerfiles that differ; each is built several times, so that builds wait for one another and hit the cache. */
const KINDS = 7;
/** MiB that one process of a build may have resident. */
const MEMORY = 400;

let state = Number(values.seed);
const random = () => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  return state / 2 ** 32;
};

const folder = mkdtempSync(path.join(tmpdir(), 'strake-chaos-'));
const store = path.join(folder, 'store');
const env = {
  PATH: process.env.PATH,
  HOME: path.join(folder, 'home'),
  TMPDIR: path.join(folder, 'tmp'),
  STRAKE_ROOT: store,
};
mkdirSync(env.TMPDIR);
const problems = [];
const problem = (text) => {
  problems.push(text);
  console.log(`FAIL  ${text}`);
};

function run(argv, started) {
  return new Promise((resolve) => {
    const child = spawn(strake, argv, { env, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr = (stderr + text).slice(-4000)));
    child.once('close', (status) => resolve({ status, stderr }));
    started?.(child);
  });
}

const text = (pid, file) => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
};

/** Processes that belong to this run. */
const ours = () =>
  readdirSync('/proc').filter(
    (pid) =>
      /^\d+$/.test(pid) &&
      Number(pid) !== process.pid &&
      (text(pid, 'cmdline') + text(pid, 'environ')).includes(folder),
  );

let largest = 0;
const watching = setInterval(() => {
  for (const pid of ours())
    largest = Math.max(largest, Number(/VmHWM:\s+(\d+)/.exec(text(pid, 'status'))?.[1] ?? 0) / 1024);
}, 250);

try {
  const busybox = path.join(folder, 'busybox');
  execFileSync(process.execPath, [path.join(root, 'scripts/busybox-layout.mjs'), busybox]);
  for (let kind = 0; kind < KINDS; kind++) {
    const context = path.join(folder, `context-${kind}`);
    mkdirSync(path.join(context, 'd'), { recursive: true });
    for (let i = 0; i < 20; i++) writeFileSync(path.join(context, 'd', `f${i}`), `${kind} ${i} `.repeat(1000));
    const lines = [
      'FROM busybox AS made',
      'RUN --mount=type=cache,target=/c date > /c/x; echo the same > /same',
      'COPY d /d',
      `RUN cat /d/* | sha256sum > /sum; echo ${kind} > /kind; rm /d/f0; head -c 200000 /dev/zero > /zeros`,
      'FROM scratch',
      'COPY --from=made /sum /kind /same /d /',
    ];
    writeFileSync(path.join(context, 'Dockerfile'), lines.join('\n'));
  }
  /** Builds that ended, with what is in a file of their image. */
  const made = [];
  const killed = new Set();
  while (killed.size < Math.min(KILL, BUILDS)) killed.add(Math.floor(random() * BUILDS));
  let [next, ended, pruned] = [0, 0, 0];
  const build = async (number) => {
    const kind = number % KINDS;
    const dest = path.join(folder, `out-${number}`);
    const options = [
      '--build-context',
      `busybox=oci-layout://${busybox}`,
      '-t',
      `chaos:${number}`,
      '-o',
      `type=local,dest=${dest}`,
      '-o',
      'type=image',
    ];
    const fresh = random() < 0.4 ? ['--no-cache'] : [];
    const delay = random() ** 2 * 4000;
    const { status, stderr } = await run(
      ['build', ...options, ...fresh, path.join(folder, `context-${kind}`)],
      (child) => {
        if (killed.has(number)) void pause(delay).then(() => child.kill('SIGKILL'));
      },
    );
    if (killed.has(number) && status === null) return;
    ended++;
    if (status !== 0) return problem(`build ${number} ended with ${status}: ${stderr.slice(-600)}`);
    const bytes = Buffer.concat(
      Array.from({ length: 20 }, (_, i) => `f${i}`)
        .sort()
        .map((name) => readFileSync(path.join(folder, `context-${kind}`, 'd', name))),
    );
    const files = Object.fromEntries(
      readdirSync(dest).map((name) => [name, readFileSync(path.join(dest, name), 'utf8')]),
    );
    const right =
      files.sum === `${createHash('sha256').update(bytes).digest('hex')}  -\n` &&
      files.kind === `${kind}\n` &&
      files.same === 'the same\n' &&
      Object.keys(files).length === 22 &&
      files.f7 === `${kind} 7 `.repeat(1000);
    if (!right) problem(`build ${number} made a wrong image: ${Object.keys(files)} ${files.sum} ${files.kind}`);
    made.push({ number, sum: files.sum });
    rmSync(dest, { recursive: true, force: true });
  };
  let building = true;
  const prune = async () => {
    while (building) {
      const argv = [['prune', '--force'], ['prune', '--force', '--all'], ['df']][pruned++ % 3];
      const { status, stderr } = await run(argv);
      if (status !== 0) problem(`${argv.join(' ')} ended with ${status}: ${stderr.slice(-600)}`);
    }
  };
  const pruning = prune();
  await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      while (next < BUILDS) await build(next++);
    }),
  );
  building = false;
  await pruning;

  for (let tries = 0; ours().length > 0 && tries < 50; tries++) await pause(100);
  for (const pid of ours()) problem(`a process is left: ${text(pid, 'cmdline').replaceAll('\0', ' ')}`);
  for (const line of mountsWith(folder)) problem(`a mount is left: ${line}`);
  const names = namesIn(store);
  for (const { number, sum } of made) {
    const digest = names.get(`docker.io/library/chaos:${number}`);
    if (digest === undefined) {
      problem(`the name chaos:${number} is lost`);
      continue;
    }
    const files = new Map();
    for (const diffId of layersOf(store, digest)) {
      for (const { name, body } of tarEntries(readFileSync(path.join(store, 'blobs/sha256', diffId.slice(7))))) {
        files.set(name, body.toString());
      }
    }
    if (files.get('sum') !== sum || files.get('kind') !== `${number % KINDS}\n` || files.size < 22)
      problem(`the image chaos:${number} is wrong: ${[...files.keys()]}`);
  }
  for (const what of unsound(store)) problem(what);
  const fixed = await run(['doctor', '--fix']);
  if (fixed.status !== 0) problem(`doctor --fix ended with ${fixed.status}: ${fixed.stderr}`);
  for (const left of leftIn(store)) problem(left);
  for (const left of readdirSync(env.TMPDIR)) problem(`left in TMPDIR: ${left}`);
  for (const argv of [
    ['rm', ...names.keys()],
    ['prune', '--force', '--all'],
    ['doctor', '--fix'],
  ]) {
    const { status, stderr } = await run(argv);
    if (status !== 0) problem(`${argv[0]} ended with ${status}: ${stderr}`);
  }
  for (const name of ['blobs/sha256', 'layers', 'refs', 'snapshots', 'mounts', 'tmp', 'leases']) {
    // An empty folder that overlay mounts need.
    for (const left of readdirSync(path.join(store, name)).filter((one) => one !== 'empty'))
      problem(`left in ${name} when all was removed: ${left}${name === 'leases' ? ` ${leaseText(left)}` : ''}`);
  }
  if (largest > MEMORY) problem(`a process had ${Math.round(largest)} MiB resident`);
  console.log(
    `${BUILDS} builds, ${PARALLEL} at once: ${ended} ended, ${BUILDS - ended} killed, ${pruned} prunings; ` +
      `at most ${Math.round(largest)} MiB a process; seed ${values.seed}`,
  );
} finally {
  clearInterval(watching);
  rmSync(folder, { recursive: true, force: true });
}
/** What the lease FILE says, and its age: why it counts as held. */
function leaseText(file) {
  const at = path.join(store, 'leases', file);
  return `(${Date.now() - statSync(at).mtimeMs} ms old) ${readFileSync(at, 'utf8')}`;
}

console.log(`${problems.length > 0 ? 0 : 1} passed, ${problems.length} failed`);
process.exitCode = problems.length > 0 ? 1 : 0;
