// Random Dockerfiles, of which BuildKit and Strake must say the same with --call=check, outline and targets.
// usage: node e2e/random-check.mjs --builder NAME [--seed N] [--files 100]
//   --seed N       the first file's seed; a difference names its own (default: the time)
//   --builder NAME a builder of `docker buildx` of the newest BuildKit, as for random-side-by-side.mjs
// Strake may find more: it goes on behind what it refuses, and into triggers of stages that the last one does not need; an outline it
// also has of what no build would take. The last line is `N passed, N failed`.
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, STRAKE } from './dist/test/support/repository.js';
import { randomLintFile } from './random-case.mjs';

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1e6) },
    files: { type: 'string', default: '100' },
    builder: { type: 'string', default: 'default' },
  },
});
const work = mkdtempSync(path.join(tmpdir(), 'strake-check-'));
const base = path.join(work, 'busybox');
execFileSync(process.execPath, [path.join(ROOT, 'scripts/busybox-layout.mjs'), base]);
const context = path.join(work, 'context');
const named = path.join(work, 'nc');
for (const folder of [context, named, path.join(context, 'a')]) mkdirSync(folder);
writeFileSync(path.join(context, '.dockerignore'), 'ignored\n.git\n');
for (const name of ['f', 'a/f']) writeFileSync(path.join(context, name), '');
const contexts = ['--build-context', `busybox=oci-layout://${base}`, '--build-context', `nc=${named}`];
const builders = [
  ['docker', 'buildx', 'build', '--builder', flags.builder, ...contexts],
  [STRAKE, 'build', ...contexts],
];
const env = { ...process.env, STRAKE_ROOT: path.join(work, 'store') };

/** What a builder says: the call's data, whether it fails, and how. */
function ask([program, ...argv], call, more) {
  return new Promise((resolve) => {
    const whole = [...argv, `--call=${call},format=json`, ...more, context];
    const child = execFile(program, whole, { env, timeout: 60_000 }, (error, stdout, stderr) => {
      const text = stdout.trim();
      resolve({ data: text.startsWith('{') ? JSON.parse(text) : {}, failed: error !== null, stderr });
    });
    child.stdin.end();
  });
}

/** A finding without the guess, which BuildKit picks at random among names that are as near. */
const findingText = ({ ruleName, detail, location }) =>
  `${ruleName} ${JSON.stringify(location)} ${detail.replace(/ \(did you mean .*\)/, '')}`;
const byName = (list) => list?.toSorted((a, b) => (a.name < b.name ? -1 : 1));

/** What differs between what the two say of TEXT to a call. */
function compare(call, theirs, ours, text) {
  if (/Unavailable/.test(theirs.stderr)) return []; // BuildKit itself has crashed
  if (call === 'outline' && theirs.failed && !ours.failed) return [];
  if (call === 'targets' && /expansion is not supported for --from/.test(ours.stderr)) return []; // found while parsing
  const problems = [];
  if (theirs.failed !== ours.failed) problems.push(`fails: BuildKit ${theirs.failed}, Strake ${ours.failed}`);
  const [wanted, found] = [theirs, ours].map(({ data }) => (data.warnings ?? []).map(findingText));
  for (const one of wanted) if (!found.includes(one)) problems.push(`missing: ${one}`);
  const refused = theirs.data.buildError !== undefined || ours.data.buildError !== undefined;
  if ((theirs.data.buildError === undefined) !== (ours.data.buildError === undefined)) {
    problems.push(`error: ${theirs.data.buildError?.message} | ${ours.data.buildError?.message}`);
  }
  if (!refused && !/onbuild/i.test(text)) {
    for (const one of found) if (!wanted.includes(one)) problems.push(`more: ${one}`);
  }
  const [right, wrong] = [theirs, ours].map(({ data: { name, description, args, secrets, ssh, targets, cache } }) =>
    JSON.stringify({
      name,
      description,
      args: byName(args),
      secrets: byName(secrets),
      ssh: byName(ssh),
      targets,
      cache,
    }),
  );
  if (!refused && right !== wrong) problems.push(`expected ${right}`, `got ${wrong}`);
  return problems;
}

let [passed, failed] = [0, 0];
for (let seed = Number(flags.seed), end = seed + Number(flags.files); seed < end; seed++) {
  const text = randomLintFile(seed);
  writeFileSync(path.join(context, 'Dockerfile'), text);
  const more = seed % 5 === 0 ? ['--build-arg', 'TAG=x', '--build-arg', 'A=given'] : [];
  const problems = [];
  for (const call of ['check', 'outline', 'targets']) {
    const [theirs, ours] = await Promise.all(builders.map((builder) => ask(builder, call, more)));
    const stderr = (said) => said.stderr.trim().split('\n').slice(-2).join(' | ').slice(0, 300);
    const differs = compare(call, theirs, ours, text).map((problem) => `${call}: ${problem.slice(0, 700)}`);
    if (differs.length > 0) problems.push(...differs, `BuildKit: ${stderr(theirs)}`, `Strake: ${stderr(ours)}`);
  }
  if (problems.length === 0) {
    passed++;
    continue;
  }
  failed++;
  console.log(`FAIL  seed ${seed}  ${more.join(' ')}\n${text.replace(/^/gm, '    | ')}`);
  for (const problem of problems) console.log(`    ${problem}`);
}
rmSync(work, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
