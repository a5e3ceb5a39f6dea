// Builds every case of fixtures/side-by-side with Docker and with Strake, and says what differs.
// usage: node bench/side-by-side.mjs [--only SUBSTRING] [--record] [--strake-only]
//   --record       writes what Docker made to golden.json (`withoutDocker`: what Strake made)
//   --strake-only  compares Strake with the recorded images, without Docker
//   DOCKER_HOST    a Docker with the containerd image store (daemon.json: "features": {"containerd-snapshotter": true}): only
//                  that one knows --output type=oci, and keeps what a layer holds as BuildKit wrote it
//   BASE_REGISTRY  where the base image may be pushed for Docker to find it (default: 127.0.0.1:5000)
// Needs `npm run build`, a static busybox, skopeo; root for cases with device nodes. Exit status 1 where anything differs.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, STRAKE } from '../e2e/dist/test/support/repository.js';
import { imageDifferences } from '../e2e/dist/test/support/image-description.js';
import { Scene, readCases, readGolden } from '../e2e/dist/test/support/side-by-side.js';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    record: { type: 'boolean', default: false },
    'strake-only': { type: 'boolean', default: false },
  },
});
const work = mkdtempSync(path.join(tmpdir(), 'side-by-side-'));
const base = path.join(work, 'busybox');
execFileSync(process.execPath, [path.join(ROOT, 'scripts/busybox-layout.mjs'), base]);

const layout = `oci-layout://${base}`;
const strake = {
  base: layout,
  command: [STRAKE, 'build', '--build-context', `busybox=${layout}`, '--no-cache', '--progress=plain'],
  env: { PATH: process.env.PATH, HOME: path.join(work, 'home'), STRAKE_ROOT: path.join(work, 'store') },
};
const withDocker = !flags['strake-only'];
const image = `${process.env.BASE_REGISTRY ?? '127.0.0.1:5000'}/side-by-side/busybox:latest`;
if (withDocker) {
  const copy = ['copy', '-q', '--dest-tls-verify=false', `oci:${base}`, `docker://${image}`];
  execFileSync('skopeo', ['--insecure-policy', ...copy], { stdio: ['ignore', 'ignore', 'inherit'] });
}
const docker = {
  base: `docker-image://${image}`,
  command: [
    ...['docker', 'buildx', 'build', '--no-cache', '--provenance=false', '--network=host', '--progress=plain'],
    ...['--build-context', `busybox=docker-image://${image}`],
  ],
  env: { PATH: process.env.PATH, HOME: process.env.HOME, DOCKER_HOST: process.env.DOCKER_HOST ?? '' },
};

let failed = 0;
const cases = readCases(flags.only);
for (const one of cases) {
  const problems = [];
  const scene = new Scene(one, path.join(work, one.name), base);
  try {
    await scene.prepare();
    const ours = await scene.build(strake);
    const asked = withDocker && one.withoutDocker === undefined;
    const theirs = asked ? await scene.build(docker) : undefined;
    const golden = path.join(one.folder, 'golden.json');
    if (flags.record) {
      const { image: right } = theirs ?? ours;
      if (right) writeFileSync(golden, `${JSON.stringify(right, undefined, 1)}\n`);
      else if (existsSync(golden)) rmSync(golden);
    }
    const want = theirs ? theirs.image : readGolden(one);
    if (one.error !== undefined) {
      if (ours.image) problems.push('built, but had to fail');
      else if (!new RegExp(one.error, 'is').test(ours.output)) problems.push(`says: ${ours.output.trim().slice(-600)}`);
      if (theirs?.image) problems.push('Docker builds it');
    } else {
      if (!ours.image) problems.push(`Strake fails: ${ours.output.trim().slice(-900)}`);
      if (theirs && !theirs.image) problems.push(`Docker fails: ${theirs.output.trim().slice(-900)}`);
      if (ours.image && want) problems.push(...imageDifferences(want, ours.image, one.differs));
    }
  } catch (error) {
    problems.push(String(error));
  } finally {
    await scene.close();
  }
  if (problems.length > 0) failed++;
  console.log(`${problems.length > 0 ? 'FAIL' : 'ok  '} ${one.name}`);
  for (const problem of problems.slice(0, 12)) console.log(`     ${problem}`);
}
rmSync(work, { recursive: true, force: true });
console.log(`${cases.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
