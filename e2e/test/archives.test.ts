import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { findProgram, skopeo } from './support/programs.js';
import { STRAKE } from './support/repository.js';
import { Workshop, type Outcome } from './support/strake.js';

describe('archives of images', function () {
  this.timeout(180_000);
  let workshop: Workshop;
  let other: Workshop;

  before(async () => {
    workshop = new Workshop();
    other = new Workshop();
    workshop.write('file.txt', 'copied\n');
    const lines = [
      'FROM busybox',
      'RUN echo run > /run.txt',
      'COPY file.txt /',
      'CMD ["cat", "/run.txt", "/file.txt"]',
    ];
    const { status, stderr } = await workshop.build(lines, ['-q', '-t', 'me/app:1']);
    assert.equal(status, 0, stderr);
  });
  after(() => {
    workshop.close();
    other.close();
  });

  const at = (name: string): string => path.join(workshop.folder, name);
  const done = (outcome: Outcome): string => {
    assert.equal(outcome.status, 0, outcome.stderr);
    return outcome.stdout;
  };
  const runs = async (name: string): Promise<void> => {
    assert.equal(done(await other.strake(['run', name])), 'run\ncopied\n');
  };
  const idOf = async (where: Workshop, name: string): Promise<string> =>
    (JSON.parse(done(await where.strake(['inspect', name]))) as { configDigest: string }).configDigest;

  for (const format of ['docker', 'oci']) {
    it(`what strake save --format ${format} writes is loaded elsewhere, and runs`, async () => {
      const file = at(`${format}.tar`);
      done(await workshop.strake(['save', '--format', format, '-o', file, 'me/app:1']));
      assert.match(done(await other.strake(['load', '-i', file])), /^loaded me\/app:1 sha256:[0-9a-f]{64}\n$/);
      await runs('me/app:1');
      assert.equal(await idOf(other, 'me/app:1'), await idOf(workshop, 'me/app:1'));
      done(await other.strake(['rm', 'me/app:1']));
    });
  }

  it('to standard output, and compressed from standard input under another name', async () => {
    const file = at('stdout.tar');
    done(await workshop.strake(['save', 'me/app:1'], { stdoutFile: file }));
    const input = gzipSync(readFileSync(file));
    assert.match(done(await other.strake(['load', '-t', 'renamed:2'], { input })), /^loaded renamed:2 sha256:/);
    await runs('renamed:2');
    const names = done(await other.strake(['images']));
    assert.doesNotMatch(names, /me\/app/);
  });

  it('the older form of docker save: no index.json, layers as links and in folders', async () => {
    const folder = at('older');
    mkdirSync(path.join(folder, 'layer1'), { recursive: true });
    mkdirSync(path.join(folder, 'layer2'));
    const tree = at('tree');
    mkdirSync(path.join(tree, 'bin'), { recursive: true });
    execFileSync('cp', ['-L', '/bin/busybox', path.join(tree, 'bin/busybox')]);
    symlinkSync('busybox', path.join(tree, 'bin/cat'));
    writeFileSync(path.join(tree, 'run.txt'), 'run\n');
    writeFileSync(path.join(tree, 'file.txt'), 'copied\n');
    const layer = path.join(folder, 'layer1/layer.tar');
    execFileSync('tar', ['-C', tree, '-cf', layer, '.']);
    symlinkSync('../layer1/layer.tar', path.join(folder, 'layer2/layer.tar'));
    const diffId = `sha256:${createHash('sha256').update(readFileSync(layer)).digest('hex')}`;
    const config = {
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: { Cmd: ['/bin/cat', '/run.txt', '/file.txt'] },
      rootfs: { type: 'layers', diff_ids: [diffId, diffId] },
    };
    writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
    const image = { Config: 'config.json', RepoTags: ['older:1'], Layers: ['layer1/layer.tar', 'layer2/layer.tar'] };
    writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify([image]));
    execFileSync('tar', ['-C', folder, '-cf', at('older.tar'), '.']);
    assert.match(done(await other.strake(['load', '-i', at('older.tar')])), /^loaded older:1 sha256:/);
    await runs('older:1');
  });

  it('skopeo reads and writes them', async function () {
    if (findProgram('skopeo') === undefined) return this.skip();
    done(await workshop.strake(['save', '-o', at('to-skopeo.tar'), 'me/app:1']));
    const to = `oci-archive:${at('from-skopeo.tar')}:me/skopeo:3`;
    await skopeo('copy', '-q', `docker-archive:${at('to-skopeo.tar')}`, to);
    assert.match(done(await other.strake(['load', '-i', at('from-skopeo.tar')])), /^loaded me\/skopeo:3 sha256:/);
    await runs('me/skopeo:3');
  });

  it('a manifest.json of twenty thousand images, names or layers is refused, and a thousand are not read at once', async () => {
    const folder = at('many');
    mkdirSync(folder);
    execFileSync('tar', ['-C', folder, '-xf', at('older.tar')]);
    const [image] = JSON.parse(readFileSync(path.join(folder, 'manifest.json'), 'utf8')) as [object];
    const load = (images: readonly object[]): Promise<Outcome> => {
      writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify(images));
      execFileSync('tar', ['-C', folder, '-cf', at('many.tar'), '.']);
      return other.strake(['load', '-q', '-i', at('many.tar')]);
    };
    const unnamed = { ...image, RepoTags: [] };
    const many = await load(Array<object>(20_000).fill(unnamed));
    assert.match(many.stderr, /its manifest\.json lists 20000 images, more than 5000/);
    const tags = Array.from({ length: 20_000 }, (_, i) => `older:${i}`);
    assert.match((await load([{ ...image, RepoTags: tags }])).stderr, /lists 20000 names, more than 5000/);
    const layers = Array<string>(20_000).fill('layer1/layer.tar');
    assert.match((await load([{ ...image, Layers: layers }])).stderr, /lists 20000 layers, more than 5000/);
    // More than a process may have open at a time.
    const limited = ['-c', 'ulimit -n 256; exec "$@"', 'sh', STRAKE, 'load', '-q', '-i', at('many.tar')];
    await load([...Array<object>(1000).fill(unnamed), image]);
    const refused = spawnSync('sh', limited, { env: { ...process.env, STRAKE_ROOT: other.store }, encoding: 'utf8' });
    assert.match(refused.stderr, /^error: the archive has no name for the image/);
  });

  it('what is no archive, damaged or without a name is refused, and nothing of it stays', async () => {
    // A store that has none of the image: what it has is not taken from the archive.
    const empty = ['--root', at('empty-store')];
    const refused = async (input: Uint8Array | string, message: RegExp): Promise<void> => {
      const { status, stderr } = await other.strake(['load', ...empty], { input });
      assert.equal(status, 1);
      assert.match(stderr, message);
    };
    await refused('no tar at all', /error: this is not an archive of images/);
    await refused(gzipSync(Buffer.alloc(1 << 16)).subarray(0, 50), /error: this is not an archive of images/);
    const whole = at('whole.tar');
    done(await workshop.strake(['save', '-o', whole, 'me/app:1']));
    const bytes = readFileSync(whole);
    const run = bytes.indexOf('run\n');
    assert.ok(run > 0);
    const changed = Buffer.from(bytes);
    changed.write('RUN\n', run);
    await refused(changed, /error: this is not an archive of images: sha256:[0-9a-f]{64} is missing in it/);
    await refused(bytes.subarray(0, bytes.length >> 1), /error: this is not an archive of images/);
    assert.doesNotMatch(done(await other.strake(['images', ...empty])), /me\/app/);

    done(await workshop.build(['FROM busybox'], ['-q', '-o', `type=oci,dest=${at('unnamed.tar')}`]));
    await refused(
      readFileSync(at('unnamed.tar')),
      /error: the archive has no name for the image .*\n.*strake load -t NAME/,
    );
    const folder = await other.strake(['load', '-i', other.folder]);
    assert.equal(folder.status, 1);
    assert.match(folder.stderr, /error: this is not an archive of images: EISDIR/);
    const missing = await other.strake(['load', '-i', at('nowhere.tar')]);
    assert.match(missing.stderr, /error: cannot read .*nowhere\.tar: no such file/);
  });
});
