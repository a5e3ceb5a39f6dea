// Measures Strake side by side with other builders: see README.md.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { buildah, docker, plain, strake } from './builders.mjs';
import { median, peakMemory, time } from './measure.mjs';
import { startRegistry } from './registry.mjs';
import { WORKLOADS, writeWorkload } from './workloads.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const { values: flags } = parseArgs({
  options: {
    dir: { type: 'string', default: path.join(os.tmpdir(), 'strake-bench') },
    base: { type: 'string', default: 'localhost:5000/library/debian:bookworm' },
    cli: { type: 'string', default: path.join(here, '../packages/cli/bin/strake.js') },
    loads: { type: 'string', default: 'app,ctx,big,chain,fan,tree' },
    builders: { type: 'string', default: 'strake,docker,buildah' },
    runs: { type: 'string', default: '3' },
    push: { type: 'boolean', default: false },
    memory: { type: 'boolean', default: false },
    registry: { type: 'string', default: '/usr/bin/docker-registry' },
    out: { type: 'string' },
  },
});
// Node reads this file at every start, 40 ms for the certificates of a whole system: a setting of some machines, not of Strake.
delete process.env.NODE_EXTRA_CA_CERTS;
const runs = Number(flags.runs);
const dir = path.resolve(flags.dir);
fs.mkdirSync(dir, { recursive: true });
const kinds = { strake, plain, docker, buildah };
const builders = flags.builders
  .split(',')
  .map((name) => kinds[name]({ cli: path.resolve(flags.cli), dir, base: flags.base }))
  .filter((builder) => builder !== undefined);
const names = builders.map((builder) => builder.name);
const peer = names.includes('docker') ? 'docker' : names.find((name) => !['strake', 'plain'].includes(name));

/** At most so many times what Docker takes: what this project demands of itself. */
const LIMITS = {
  'app cold': 0.5, 'app warm': 0.4, 'app touched': 0.35,
  'ctx cold': 0.08, 'ctx warm': 0.2, 'ctx touched': 0.1,
  'big cold': 0.3, 'big warm': 0.3,
  'chain cold': 0.25, 'chain warm': 0.5,
  'fan cold': 0.5, 'fan warm': 0.4,
  'tree cold': 0.25, 'tree warm': 0.2,
  'ctx cold and pushed': 0.1, 'big cold and pushed': 0.3,
}; // prettier-ignore

/** Rows of the table: what was done, and each builder's seconds. */
const rows = [];
let touches = 0;

function touch(root, name) {
  fs.appendFileSync(path.join(root, WORKLOADS[name].touch), `// ${Date.now()} ${++touches}\n`);
}

/** Median over the runs, builders taking turns, so that what else the machine does meets all of them. */
async function row(what, once, kept = builders) {
  const taken = new Map(kept.map((builder) => [builder, []]));
  for (let run = 0; run < runs; run++) {
    for (const builder of kept) {
      try {
        taken.get(builder).push(await once(builder));
      } catch (error) {
        process.stderr.write(`${builder.name}, ${what}: ${error.message}\n`);
      }
    }
  }
  const seconds = Object.fromEntries(
    kept
      .filter((builder) => taken.get(builder).length > 0)
      .map((builder) => [builder.name, median(taken.get(builder))]),
  );
  rows.push({ what, seconds });
  process.stdout.write(`${line(rows.at(-1))}\n`);
}

function line({ what, seconds }) {
  const figures = names.map((name) => (seconds[name] === undefined ? '' : seconds[name].toFixed(3)));
  const ratio = seconds.strake !== undefined && seconds[peer] ? (seconds.strake / seconds[peer]).toFixed(3) : '';
  return `| ${[what, ...figures, ...(peer ? [ratio, LIMITS[what] ?? ''] : [])].join(' | ')} |`;
}

const heading = ['', ...names, ...(peer ? [`strake / ${peer}`, 'at most'] : [])];
process.stdout.write(`| ${heading.join(' | ')} |\n|${heading.map(() => '---').join('|')}|\n`);
const wanted = flags.loads.split(',');
const memory = [];
for (const name of wanted) {
  const root = writeWorkload(dir, name, flags.base);
  const { touch: touched, push, extra } = WORKLOADS[name];
  const able = builders.filter((builder) => builder.can?.(root) ?? true);
  if (!extra) {
    const cold = async (builder) => {
      builder.cold();
      return time((builder.coldBuild ?? builder.build)(root, `bench-${name}`), builder.env);
    };
    await row(`${name} cold`, cold, able);
    const caching = builders.filter((builder) => builder.name !== 'plain');
    await row(`${name} warm`, (builder) => time(builder.build(root, `bench-${name}`), builder.env), caching);
    if (touched) {
      await row(
        `${name} touched`,
        (builder) => {
          touch(root, name);
          return time(builder.build(root, `bench-${name}`), builder.env);
        },
        caching,
      );
    }
    if (push && flags.push) {
      const pushing = builders.filter((builder) => builder.push);
      await row(
        `${name} cold and pushed`,
        async (builder) => {
          const registry = await startRegistry(dir, flags.registry.split(','));
          if (!registry) throw new Error('no docker-registry: name it with --registry');
          try {
            builder.cold();
            return await time(builder.push(root, `${registry.host}/bench/${name}:1`), builder.env);
          } finally {
            await registry.stop();
          }
        },
        pushing,
      );
    }
  }
  const own = builders.find((builder) => builder.name === 'strake');
  if (own && flags.memory) {
    own.cold();
    const cold = await peakMemory(own.build(root, `bench-${name}`), own.env);
    const warm = await peakMemory(own.build(root, `bench-${name}`), own.env);
    memory.push(`| ${name} | ${cold.toFixed(0)} | ${warm.toFixed(0)} |`);
    process.stdout.write(`${memory.at(-1)}\n`);
  }
}

/** A cached build as a whole process against Node's own start, taking turns. */
async function start() {
  const own = builders.find((builder) => builder.name === 'strake');
  const cached = wanted.find((name) => ['chain', 'fan', 'tree', 'app'].includes(name));
  if (!own || cached === undefined) return undefined;
  const root = writeWorkload(dir, cached, flags.base);
  const node = [];
  const warm = [];
  for (let turn = 0; turn < 15; turn++) {
    node.push(await time(`${process.execPath} -e 0`, process.env));
    warm.push(await time(own.build(root, `bench-${cached}`), own.env));
  }
  const ms = (values) => (median(values) * 1000).toFixed(1);
  return `\`node -e 0\` takes ${ms(node)} ms, a cached build of ${cached} ${ms(warm)} ms: ${((median(warm) - median(node)) * 1000).toFixed(1)} ms more.`;
}

const started = await start();
if (started) process.stdout.write(`${started}\n`);
if (flags.out) {
  const text = [
    '# Results',
    '',
    `Written by \`node bench/run.mjs ${process.argv
      .slice(2)
      .filter((word) => !word.startsWith('/'))
      .join(' ')}\` on ${new Date().toISOString().slice(0, 10)}: ` +
      `${os.cpus().length} cores, ${(os.totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}, ${builders.map((one) => one.version).join(', ')}; ` +
      `load average ${os.loadavg()[0].toFixed(1)} at the end. Seconds, median of ${runs}; only ratios within a run mean something.`,
    '',
    ...wanted.map((name) => `- ${name}: ${WORKLOADS[name].about}`),
    '',
    `| ${heading.join(' | ')} |`,
    `|${heading.map(() => '---').join('|')}|`,
    ...rows.map(line),
    '',
    ...(memory.length > 0
      ? [
          "Peak memory of all of Strake's processes and of what the steps run, MiB:",
          '',
          '| | cold | warm |',
          '|---|---|---|',
          ...memory,
          '',
        ]
      : []),
    ...(started ? [started, ''] : []),
  ].join('\n');
  fs.writeFileSync(flags.out, text);
}
