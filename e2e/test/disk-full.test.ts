import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gone, mountsWith, processesWith } from './support/processes.js';
import { Workshop, type Outcome } from './support/strake.js';

const MEGABYTE = 1_000_000;

/** Whether this process may mount a tmpfs. */
const root = process.getuid?.() === 0;

/** Everything in a folder, by name. */
function tree(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}

describe(`a full disk${root ? '' : ' (skipped: only root can make one)'}`, function () {
  this.timeout(120_000);
  let workshop: Workshop;
  const mounted: string[] = [];

  /** A file system that takes SIZE bytes. */
  const small = (name: string, size: number): string => {
    const folder = path.join(workshop.folder, name);
    mkdirSync(folder);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]);
    mounted.push(folder);
    return folder;
  };

  const says = (outcome: Outcome): void => {
    assert.equal(outcome.status, 1, outcome.stderr);
    const errors = outcome.stderr.split('\n').filter((line) => line.startsWith('error: '));
    assert.equal(errors.length, 1, outcome.stderr);
    assert.match(outcome.stderr, /no (?:space|room) left|disk (?:is )?full/i);
  };

  before(function () {
    workshop = new Workshop();
    if (!root) this.skip();
    workshop.write('noise', '');
    const noise = Buffer.alloc(8 * MEGABYTE);
    for (let i = 0; i < noise.length; i += 4) noise.writeUInt32LE(Math.imul(i, 0x9e3779b1) >>> 0, i);
    writeFileSync(path.join(workshop.context, 'noise'), noise);
  });
  after(() => {
    for (const folder of mounted) execFileSync('umount', [folder]);
    workshop.close();
  });

  for (const [what, line] of [
    ['a RUN that writes', 'RUN head -c 30000000 /dev/zero > /large'],
    ['a RUN whose layer has no room', 'RUN head -c 9000000 /dev/urandom > /large'],
    ['a COPY that has no room', 'COPY noise noise /copies/'],
  ] as const) {
    it(`under the store: ${what}`, async () => {
      const name = `store-${mounted.length}`;
      const folder = small(name, what.startsWith('a COPY') ? 10 * MEGABYTE : 18 * MEGABYTE);
      const argv = ['--root', path.join(folder, 'store')];
      const start = ['FROM busybox', 'RUN echo first > /first'];
      const first = await workshop.build(start, [...argv, '-t', 'first']);
      assert.equal(first.status, 0, first.stderr);
      const before = tree(path.join(folder, 'store/blobs'));
      const failed = await workshop.build([...start, line], [...argv, '-t', 'later']);
      if (line.includes('30000000')) {
        // The step itself is told.
        assert.equal(failed.status, 1);
        assert.match(failed.stderr, /No space left|I\/O error/);
      } else says(failed);
      assert.deepEqual(await gone(() => processesWith(folder)), []);
      assert.deepEqual(await gone(() => mountsWith(`${folder}/`)), []);
      const images = await workshop.strake(['images', ...argv]);
      assert.equal(images.status, 0, images.stderr);
      assert.doesNotMatch(images.stdout, /later/);
      assert.deepEqual(
        tree(path.join(folder, 'store/blobs')).filter((blob) => !before.includes(blob)),
        [],
      );
      assert.deepEqual(tree(path.join(folder, 'store/tmp')), []);
      const next = await workshop.build([...start, 'RUN cat /first'], [...argv, '-t', 'third']);
      assert.equal(next.status, 0, next.stderr);
      assert.match(next.stderr, /\[1\/3\] RUN echo first[^]*CACHED/);
      const doctor = await workshop.strake(['doctor', '--fix', ...argv]);
      assert.equal(doctor.status, 0, doctor.stderr);
      assert.doesNotMatch((await workshop.strake(['doctor', ...argv])).stdout, /left behind/);
    });
  }

  for (const [type, dest] of [
    ['oci', 'image.tar'],
    ['docker', 'image.tar'],
    ['tar', 'files.tar'],
    ['local', 'files'],
    ['oci', 'layout,tar=false'],
  ] as const) {
    it(`under the output: type=${type},dest=${dest}`, async () => {
      const folder = small(`output-${mounted.length}`, 3 * MEGABYTE);
      const lines = ['FROM busybox', 'COPY noise /'];
      says(await workshop.build(lines, ['-o', `type=${type},dest=${folder}/${dest}`]));
      assert.deepEqual(tree(folder), []);
      const there = path.join(workshop.folder, `there-${mounted.length}`);
      mkdirSync(there);
      const next = await workshop.build(lines, ['-o', `type=${type},dest=${there}/${dest}`]);
      assert.equal(next.status, 0, next.stderr);
      assert.ok(tree(there).length > 0);
    });
  }

  it('under TMPDIR', async () => {
    const folder = small('tmp', 64 * 1024);
    const outcome = await workshop.build(['FROM busybox', 'COPY noise /again', 'RUN ls -l /again'], ['-q'], {
      env: { TMPDIR: folder },
    });
    // Large things lie in the store: a small TMPDIR is enough.
    assert.equal(outcome.status, 0, outcome.stderr);
    assert.deepEqual(tree(folder), []);
  });

  it('under the home folder, where login keeps its file, and under --iidfile', async () => {
    const folder = small('full', 16 * 1024);
    execFileSync('sh', ['-c', `cat /dev/zero > ${folder}/fill 2>/dev/null || true`]);
    says(await workshop.build(['FROM busybox'], ['--iidfile', path.join(folder, 'id')]));
    says(await workshop.build(['FROM busybox'], ['--metadata-file', path.join(folder, 'metadata')]));
    assert.deepEqual(tree(folder), ['fill']);
  });
});
