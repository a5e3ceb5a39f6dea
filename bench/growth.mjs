// How the cost of builds grows with the context and with the number of stages: writes GROWTH.md and GROWTH.svg. See README.md.
// usage: node bench/growth.mjs [--files 1000,10000,...] [--stages 1,10,...] [--runs N] [--dir FOLDER] [--cli FILE] [--out FOLDER]
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { cost, median } from './measure.mjs';
import { plot } from './plot.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const { values: flags } = parseArgs({
  options: {
    files: { type: 'string', default: '1000,10000,100000,500000' },
    stages: { type: 'string', default: '1,10,100,1000' },
    runs: { type: 'string', default: '3' },
    dir: { type: 'string' },
    cli: { type: 'string', default: path.join(here, '../packages/cli/bin/strake.js') },
    out: { type: 'string', default: here },
  },
});
const runs = Number(flags.runs);
/** From so many on, each is measured once. */
const LARGE = 500_000;
const scratch = flags.dir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'strake-growth-'));
fs.mkdirSync(scratch, { recursive: true });
const env = { ...process.env, STRAKE_GC: 'off' };
delete env.NODE_EXTRA_CA_CERTS;

/** A context of COUNT files of about 100 bytes, a hundred to a folder. */
function writeFiles(count) {
  const root = path.join(scratch, `files-${count}`);
  for (let i = 0; i < count; i++) {
    const folder = `${root}/d${Math.floor(i / 10_000)}/p${Math.floor(i / 100) % 100}`;
    if (i % 100 === 0) fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(`${folder}/file-${i}.txt`, `${i} `.repeat(20));
  }
  fs.writeFileSync(`${root}/Dockerfile`, 'FROM scratch\nCOPY . /\n');
  return root;
}

/** COUNT stages: each has a file of its own and takes over one of the stage before. */
function writeStages(count) {
  const root = path.join(scratch, `stages-${count}`);
  fs.mkdirSync(root, { recursive: true });
  const lines = [];
  for (let i = 0; i < count; i++) {
    lines.push(`FROM scratch AS s${i}`, `COPY file /f${i}`);
    if (i > 0) lines.push(`COPY --from=s${i - 1} /f${i - 1} /before`);
  }
  fs.writeFileSync(`${root}/Dockerfile`, `${lines.join('\n')}\n`);
  fs.writeFileSync(`${root}/file`, 'content\n');
  return root;
}

/** Median costs of a build into an empty store, and of the same again. */
function measure(root, count) {
  const taken = { cold: [], warm: [] };
  for (let run = 0; run < (count >= LARGE ? 1 : runs); run++) {
    const store = path.join(scratch, `store-${path.basename(root)}-${run}`);
    const command = [process.execPath, flags.cli, 'build', '-q', '-t', 'growth', '--root', store, root];
    taken.cold.push(cost(command, env));
    for (let again = 0; again < (count >= LARGE ? 1 : 2); again++) taken.warm.push(cost(command, env));
  }
  const middle = (costs) => ({
    wall: median(costs.map(({ wall }) => wall)),
    cpu: median(costs.map(({ cpu }) => cpu)),
  });
  return { count, cold: middle(taken.cold), warm: middle(taken.warm) };
}

function measureAll(what, counts, write) {
  return counts
    .split(',')
    .filter((text) => text !== '')
    .map((text) => {
      const result = measure(write(Number(text)), Number(text));
      process.stderr.write(`${text} ${what}: ${JSON.stringify(result)}\n`);
      return result;
    });
}

const row = ({ count, cold, warm }) =>
  `| ${[
    count.toLocaleString('en'),
    ...[cold, warm].flatMap(({ wall, cpu }) => [wall.toFixed(2), cpu.toFixed(2), ((cpu * 1e6) / count).toFixed(0)]),
  ].join(' | ')} |`;

const table = (what, results) => [
  `| ${what} | cold: seconds | of processors | µs each | warm: seconds | of processors | µs each |`,
  '| ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
  ...results.map(row),
  '',
];

try {
  const stages = measureAll('stages', flags.stages, writeStages);
  const files = measureAll('files', flags.files, writeFiles);
  const lines = [
    '# Growth',
    '',
    `Written by \`node bench/growth.mjs\` on ${new Date().toISOString().slice(0, 10)}: ${os.cpus().length} cores, Node ${process.version}; ` +
      `load average ${os.loadavg()[0].toFixed(1)} at the end, so that seconds of processors (user and system) say more than those of the clock. ` +
      `Cold is into an empty store, warm the same again. Median of ${runs}; ${LARGE.toLocaleString('en')} files once.`,
    '',
    '![Seconds of processors over the number of files and of stages](GROWTH.svg)',
    '',
    'Contexts: `COPY . /` of so many small files.',
    '',
    ...table('files', files),
    'Stages: each with a file of the context and one of the stage before.',
    '',
    ...table('stages', stages),
  ];
  fs.writeFileSync(path.join(flags.out, 'GROWTH.md'), lines.join('\n'));
  const series = (name, results, kind) => ({
    name: `${name}, ${kind}`,
    points: results.map((result) => [result.count, result[kind].cpu]),
  });
  const picture = plot(
    'Seconds of processors',
    [
      series('files', files, 'cold'),
      series('files', files, 'warm'),
      series('stages', stages, 'cold'),
      series('stages', stages, 'warm'),
    ].filter(({ points }) => points.length > 0),
  );
  fs.writeFileSync(path.join(flags.out, 'GROWTH.svg'), picture);
} finally {
  if (flags.dir === undefined) fs.rmSync(scratch, { recursive: true, force: true });
}
