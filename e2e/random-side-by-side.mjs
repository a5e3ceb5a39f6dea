// Random small Dockerfiles, each built by BuildKit and by Strake, whose images must be the same, or which both must refuse.
// usage: node e2e/random-side-by-side.mjs [--seed N] [--builds 200] [--jobs 2] [--builder NAME | --other ARGS | --warm] [--keep FOLDER] [--messages]
//   --seed N       the first build's seed; a difference names its own (default: the time)
//   --builder NAME a builder of `docker buildx` of the newest BuildKit; history is compared to the letter, and older ones lack flags
//                  (docker buildx create --name NAME --driver remote unix:///run/buildkit/buildkitd.sock)
//   --other ARGS   instead of BuildKit, Strake with these arguments as well: --other='--isolation chroot'
//   --warm         instead of BuildKit, Strake with a cache, in which all builds before are, and this one with something else in it
//   --keep FOLDER  writes each build that differs as a case of fixtures/side-by-side, with what BuildKit made as its golden
//   --messages     prints what both say of builds that both refuse
// Needs `npm run setup -- --tests` and root. The last line is `N passed, N failed`; a build takes about a second by each.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { imageDifferences } from './dist/test/support/image-description.js';
import { ROOT, STRAKE } from './dist/test/support/repository.js';
import { Scene } from './dist/test/support/side-by-side.js';
import { randomCase } from './random-case.mjs';

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1e6) },
    builds: { type: 'string', default: '200' },
    jobs: { type: 'string', default: '2' },
    builder: { type: 'string', default: 'default' },
    other: { type: 'string' },
    warm: { type: 'boolean', default: false },
    keep: { type: 'string' },
    messages: { type: 'boolean', default: false },
  },
});
const work = mkdtempSync(path.join(tmpdir(), 'strake-random-'));
const base = path.join(work, 'busybox');
execFileSync(process.execPath, [path.join(ROOT, 'scripts/busybox-layout.mjs'), base]);
const layout = `oci-layout://${base}`;
const common = ['--build-context', `busybox=${layout}`, '--progress=plain'];
const ours = {
  base: layout,
  command: [STRAKE, 'build', '--no-cache', ...common],
  env: { PATH: process.env.PATH, HOME: path.join(work, 'home'), STRAKE_ROOT: path.join(work, 'store') },
};
const buildkit = {
  base: layout,
  command: ['docker', 'buildx', 'build', '--builder', flags.builder, '--provenance=false', '--no-cache', ...common],
  env: Object.fromEntries(
    ['PATH', 'HOME', 'DOCKER_HOST', 'DOCKER_CONFIG', 'BUILDX_CONFIG'].map((name) => [name, process.env[name] ?? '']),
  ),
};

/** Strake with another store and these arguments. */
const strakeWith = (...argv) => ({
  base: layout,
  command: [STRAKE, 'build', ...common, ...argv],
  env: { ...ours.env, STRAKE_ROOT: path.join(work, 'other') },
});
const theirs = flags.warm
  ? strakeWith()
  : flags.other === undefined
    ? buildkit
    : strakeWith('--no-cache', ...flags.other.split(' '));

/** Refusals of BuildKit's that Strake does not share: what a Dockerfile with the first says of the second. */
const REFUSED_BY_BUILDKIT = [
  [/--parents|--exclude/, /"\/[ld]\w*": not found/], // a link to nothing in the root of the context; one in a folder is copied
];

/** And the other way round. */
const REFUSED_HERE = [
  [/--parents/, /not found in image "/], // README: BuildKit does not look for it
];

/** What differs between what the two made of a build. */
function compare(theirMade, ourMade, dockerfile) {
  if (!theirMade.image && !ourMade.image) return [];
  if (REFUSED_HERE.some(([has, says]) => has.test(dockerfile) && says.test(ourMade.output))) return [];
  if (!ourMade.image) return [`Strake refuses: ${ends(ourMade.output)}`];
  const known = REFUSED_BY_BUILDKIT.some(([has, says]) => has.test(dockerfile) && says.test(theirMade.output));
  if (!theirMade.image) return known ? [] : [`BuildKit refuses: ${ends(theirMade.output)}`];
  const problems = [...imageDifferences(theirMade.image, ourMade.image)];
  const [wanted, found] = [theirMade, ourMade].map(({ output }) => warnings(output));
  for (const one of wanted) if (!found.includes(one)) problems.push(`no warning: ${one}`);
  for (const one of found) if (!wanted.includes(one)) problems.push(`a warning too many: ${one}`);
  // Heredocs have the time of SOURCE_DATE_EPOCH in Strake's images, and with a cache a file may have that of an earlier build.
  const timeless = (text) => text.replaceAll(/"mtime":\d+,?/g, '');
  if (theirMade.image.created || flags.warm) {
    const [right, wrong] = ['expected ', 'got '].map(
      (word) => (line) => timeless(line.split(word)[1]?.split(', got ')[0] ?? ''),
    );
    const kept = problems.filter((line) => right(line) !== wrong(line));
    problems.splice(0, problems.length, ...kept);
  }
  theirMade.image.history.forEach(([text], n) => {
    const [other] = ourMade.image.history[n] ?? [];
    if (text !== other && !problems.some((line) => line.startsWith(`history[${n}]`))) {
      problems.push(`history ${n}: expected ${text}, got ${other}`);
    }
  });
  return problems;
}

/** The warnings that a builder ended with, without guesses, which BuildKit picks at random among names that are as near. */
function warnings(output) {
  const found = [...stripVTControlCharacters(output).matchAll(/^ - ([A-Z]\w+: .* \(lines? [\d, -]+\))$/gm)];
  return found.map(([, text]) => text.replace(/ \(did you mean .*\?\)/, ''));
}

/** The end of what a builder said, without the plan and excerpts. */
function ends(output) {
  const lines = output
    .trim()
    .split('\n')
    .filter((line) => !/PROTOCOL_ERROR/.test(line) && /error|fail|cannot|invalid|not/i.test(line));
  return (lines.length > 0 ? lines.slice(-3) : output.trim().split('\n').slice(-3)).join(' | ').slice(-500);
}

/** LINES without one of them. */
function without(lines, seed) {
  return lines.toSpliced(seed % lines.length, 1);
}

/** What a builder makes of a case, in a scene of its own: nothing of one is seen by the other. */
async function buildOf(one, builder) {
  const scene = new Scene(one, path.join(work, `scene-${one.name}`), base);
  try {
    await scene.prepare();
    return await scene.build(builder);
  } finally {
    await scene.close();
  }
}

let [passed, failed, refused] = [0, 0, 0];
async function tryOut(seed) {
  const { dockerfile, setup, ...given } = randomCase(seed);
  const { options } = given;
  const folder = path.join(flags.keep ?? work, `seed-${seed}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'Dockerfile'), dockerfile);
  const one = { name: String(seed), folder, why: 'random', setup, served: [], ...given, root: true, differs: {} };
  let problems;
  let golden;
  const builds = [];
  try {
    if (flags.warm) {
      writeFileSync(path.join(folder, 'Dockerfile'), without(dockerfile.split('\n'), seed).join('\n'));
      await buildOf({ ...one, setup: without(setup, 7 * seed) }, theirs).catch(() => undefined);
      writeFileSync(path.join(folder, 'Dockerfile'), dockerfile);
    }
    for (const builder of [theirs, ours]) builds.push(await buildOf(one, builder));
  } catch (error) {
    problems = [`the test itself: ${error.message.slice(0, 600)}`];
  }
  if (!problems) {
    problems = compare(...builds, dockerfile);
    golden = builds[0].image;
    if (!golden && !builds[1].image) {
      refused++;
      if (flags.messages)
        console.log(`refused ${seed}\n  BuildKit: ${ends(builds[0].output)}\n  Strake: ${ends(builds[1].output)}`);
    }
  }
  if (problems.length === 0) {
    passed++;
    rmSync(folder, { recursive: true });
    return;
  }
  failed++;
  if (flags.keep) {
    const spec = { why: 'random', setup, ...given, ...(golden ? {} : { error: '' }), root: true };
    writeFileSync(path.join(folder, 'case.json'), `${JSON.stringify(spec, undefined, 2)}\n`);
    if (golden) writeFileSync(path.join(folder, 'golden.json'), `${JSON.stringify(golden, undefined, 1)}\n`);
  } else rmSync(folder, { recursive: true });
  console.log(`FAIL  seed ${seed}  ${options.join(' ')}\n${dockerfile.replace(/^/gm, '    | ')}`);
  for (const problem of problems.slice(0, 10)) console.log(`    ${problem}`);
}

let next = Number(flags.seed);
const end = next + Number(flags.builds);
async function lane() {
  while (next < end) await tryOut(next++);
}
await Promise.all(Array.from({ length: Number(flags.jobs) }, lane));
rmSync(work, { recursive: true, force: true });
console.log(`${refused} of them refused by both`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
