import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { docker, dockerHost, findProgram, skopeo } from './support/programs.js';
import { STRAKE } from './support/repository.js';
import { Workshop, type Outcome } from './support/strake.js';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

const LINES = [
  'FROM busybox',
  'RUN mkdir /srv && echo run > /srv/run && ln -s run /srv/link && ln /srv/run /srv/hard && chmod 4755 /srv/run',
  'COPY file.txt /srv/',
  'CMD ["cat", "/srv/link", "/srv/file.txt"]',
];

describe('outputs of a build', function () {
  this.timeout(120_000);
  let workshop: Workshop;

  before(() => {
    workshop = new Workshop();
    workshop.write('file.txt', 'copied\n');
  });
  after(() => workshop.close());

  const build = async (...argv: string[]): Promise<Outcome> => {
    const outcome = await workshop.build(LINES, argv);
    assert.equal(outcome.status, 0, outcome.stderr);
    return outcome;
  };
  const at = (name: string): string => path.join(workshop.folder, name);
  const json = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'));
  const unpack = (tar: string): string => {
    const folder = `${tar}.unpacked`;
    mkdirSync(folder);
    execFileSync('tar', ['-xf', tar, '-C', folder]);
    return folder;
  };

  /** Checks a layout's blobs, and gives its one manifest's descriptor. */
  const soundLayout = (folder: string): Descriptor => {
    assert.deepEqual(json(path.join(folder, 'oci-layout')), { imageLayoutVersion: '1.0.0' });
    for (const name of readdirSync(path.join(folder, 'blobs/sha256'))) {
      const bytes = readFileSync(path.join(folder, 'blobs/sha256', name));
      assert.equal(createHash('sha256').update(bytes).digest('hex'), name);
    }
    const { manifests } = json(path.join(folder, 'index.json')) as { manifests: Descriptor[] };
    assert.equal(manifests.length, 1);
    const [only] = manifests;
    assert.ok(only);
    const blob = (digest: string): string => path.join(folder, 'blobs', digest.replace(':', '/'));
    const manifest = json(blob(only.digest)) as { config: Descriptor; layers: Descriptor[] };
    assert.equal(manifest.layers.length, 3);
    for (const { digest, size } of [only, manifest.config, ...manifest.layers]) {
      assert.equal(lstatSync(blob(digest)).size, size);
    }
    return only;
  };

  it('type=oci: a tar, a folder, standard output', async () => {
    await build('-t', 'app:1', '-o', `type=oci,dest=${at('image.tar')}`);
    const fromTar = soundLayout(unpack(at('image.tar')));
    await build('-t', 'app:1', '-o', `type=oci,dest=${at('layout')},tar=false`);
    assert.deepEqual(soundLayout(at('layout')), fromTar);
    assert.equal(fromTar.annotations?.['org.opencontainers.image.ref.name'], '1');
    const piped = await workshop.build(LINES, ['-t', 'app:1', '-o', 'type=oci,dest=-'], {
      stdoutFile: at('piped.tar'),
    });
    assert.equal(piped.status, 0, piped.stderr);
    assert.ok(readFileSync(at('piped.tar')).equals(readFileSync(at('image.tar'))));
  });

  it('type=docker: a tar with manifest.json', async () => {
    await build('-t', 'app:1', '-o', `type=docker,dest=${at('docker.tar')}`);
    const folder = unpack(at('docker.tar'));
    const [image] = json(path.join(folder, 'manifest.json')) as [
      { Config: string; RepoTags: string[]; Layers: string[] },
    ];
    assert.deepEqual(image.RepoTags, ['app:1']);
    for (const file of [image.Config, ...image.Layers]) assert.ok(lstatSync(path.join(folder, file)).isFile());
    assert.equal(image.Layers.length, 3);
  });

  it('skopeo reads both', async function () {
    if (findProgram('skopeo') === undefined) this.skip();
    const digests = new Set<string>();
    for (const source of [
      `oci-archive:${at('image.tar')}:1`,
      `oci:${at('layout')}:1`,
      `docker-archive:${at('docker.tar')}:app:1`,
    ]) {
      const config = JSON.parse(await skopeo('inspect', '--config', source)) as { config: { Cmd: string[] } };
      assert.deepEqual(config.config.Cmd, ['cat', '/srv/link', '/srv/file.txt']);
      digests.add(
        createHash('sha256')
          .update(await skopeo('inspect', '--config', '--raw', source))
          .digest('hex'),
      );
      const copy = at(`copy-${digests.size}-${source.split(':')[0]}`);
      await skopeo('copy', '-q', source, `dir:${copy}`);
    }
    assert.equal(digests.size, 1);
  });

  it('docker load takes type=docker, and docker run prints what strake run prints', async function () {
    if (dockerHost() === undefined) this.skip();
    const name = `strake-e2e-${process.pid}:1`;
    await build('-t', name, '-o', `type=docker,dest=${at('load.tar')}`);
    await build('-t', name);
    try {
      assert.match(await docker('load', '-i', at('load.tar')), new RegExp(name));
      const ran = await workshop.strake(['run', name]);
      assert.equal(ran.stdout, 'run\ncopied\n');
      assert.equal(await docker('run', '--rm', '--network', 'none', name), ran.stdout);
    } finally {
      await docker('rmi', '-f', name);
    }
  });

  it('type=local: a folder, in which other files stay', async () => {
    mkdirSync(at('out'));
    writeFileSync(at('out/mine'), 'mine');
    await build('-o', at('out'));
    assert.equal(readFileSync(at('out/mine'), 'utf8'), 'mine');
    assert.equal(readFileSync(at('out/srv/link'), 'utf8'), 'run\n');
    assert.ok(lstatSync(at('out/srv/link')).isSymbolicLink());
    assert.equal(lstatSync(at('out/srv/hard')).ino, lstatSync(at('out/srv/run')).ino);
    assert.equal(lstatSync(at('out/srv/run')).mode & 0o7777, 0o4755);
    assert.equal(readFileSync(at('out/srv/file.txt'), 'utf8'), 'copied\n');
  });

  it('type=tar: the files as one tar', async () => {
    await build('-o', `type=tar,dest=${at('files.tar')}`);
    const listed = execFileSync('tar', ['-tvf', at('files.tar')], { encoding: 'utf8' });
    assert.match(listed, /^-rwsr-xr-x .* srv\/(?:run|hard)$/m);
    assert.match(listed, /^l.* srv\/link -> run$/m);
    assert.match(listed, /^h.* srv\/(?:hard|run) link to srv\/(?:run|hard)$/m);
  });

  it('says so where what reads standard output has ended', async () => {
    await build();
    const line = '"$0" build -f "$1" --build-context "busybox=oci-layout://$2" -o type=tar,dest=- "$3" | true';
    const argv = [STRAKE, path.join(workshop.folder, 'Dockerfile'), workshop.busybox, workshop.context];
    const env = { ...process.env, STRAKE_ROOT: workshop.store };
    const { stderr } = spawnSync('sh', ['-c', line, ...argv], { env, encoding: 'utf8' });
    assert.match(stderr, /^error: cannot write "standard output": its reader has ended$/m);
  });

  it('type=image, and several outputs of one build', async () => {
    await build('-o', 'type=image,name=named/app:2', '-o', `type=oci,dest=${at('both.tar')}`);
    assert.equal((await workshop.strake(['run', 'named/app:2'])).stdout, 'run\ncopied\n');
    assert.ok(lstatSync(at('both.tar')).size > 1_000_000);
  });

  it('type=cacheonly makes nothing', async () => {
    const before = (await workshop.strake(['images', '--json'])).stdout;
    await build('-o', 'type=cacheonly');
    assert.equal((await workshop.strake(['images', '--json'])).stdout, before);
  });

  it('--iidfile, --metadata-file and -q tell the same image', async () => {
    const quiet = await build('-q', '-t', 'ids:1', '--iidfile', 'id', '--metadata-file', 'metadata.json');
    assert.equal(quiet.stderr, '');
    const id = quiet.stdout.trim();
    assert.match(id, /^sha256:[0-9a-f]{64}$/);
    assert.equal(readFileSync(at('id'), 'utf8'), id);
    const metadata = json(at('metadata.json')) as Record<string, unknown>;
    const [image] = JSON.parse((await workshop.strake(['inspect', 'ids:1'])).stdout) as [
      { target: Descriptor; configDigest: string },
    ];
    assert.equal(metadata['containerimage.digest'], image.target.digest);
    assert.equal(metadata['containerimage.config.digest'], image.configDigest);
    const described = metadata['containerimage.descriptor'] as Descriptor & { platform?: { os?: string } };
    assert.deepEqual([described.digest, described.platform?.os], [image.target.digest, 'linux']);
    assert.match(String(metadata['image.name']), /ids:1$/);
    assert.ok([image.target.digest, image.configDigest].includes(id));
  });

  it('the same build makes the same bytes', async () => {
    const epoch = ['--build-arg', 'SOURCE_DATE_EPOCH=1700000000'];
    const files = ['first', 'second'].map((name) => at(`${name}.tar`));
    for (const file of files) await build('-t', 'same', '-o', `type=oci,dest=${file}`, ...epoch);
    const [first, second] = files.map((file) => readFileSync(file));
    assert.ok(first && second && first.equals(second));
  });

  it('an output has a SOURCE_DATE_EPOCH of its own, which leaves earlier times alone', async () => {
    const created = async (name: string, ...flags: string[]): Promise<(string | undefined)[]> => {
      await build('-o', `type=image,name=${name}${flags.map((flag) => `,${flag}`).join('')}`);
      const [image] = JSON.parse((await workshop.strake(['inspect', name])).stdout) as [
        { config: { created?: string; history?: { created?: string }[] } },
      ];
      return [image.config.created, ...(image.config.history ?? []).map((entry) => entry.created)];
    };
    const plain = await created('plain');
    const dated = await created('dated', 'source-date-epoch=1000000000');
    assert.equal(dated[0], '2001-09-09T01:46:40Z');
    assert.ok(
      dated.every((time) => time !== undefined && Date.parse(time) <= 1_000_000_000_000),
      String(dated),
    );
    assert.deepEqual(await created('late', 'source-date-epoch=9000000000'), plain);
  });
});

describe('the images of a store', function () {
  this.timeout(120_000);
  let workshop: Workshop;
  before(async () => {
    workshop = new Workshop();
    workshop.write('file.txt', 'copied\n');
    for (const [i, tag] of ['one', 'two'].entries()) {
      const outcome = await workshop.build([...LINES, `LABEL number=${i}`], ['-t', tag]);
      assert.equal(outcome.status, 0, outcome.stderr);
    }
  });
  after(() => workshop.close());

  const strake = async (...argv: string[]): Promise<string> => {
    const outcome = await workshop.strake(argv);
    assert.equal(outcome.status, 0, outcome.stderr);
    return outcome.stdout;
  };
  const names = async (): Promise<string[]> =>
    (JSON.parse(await strake('images', '--format', 'json')) as { name: string }[]).map(({ name }) => name);

  it('are listed, tagged and removed', async () => {
    assert.deepEqual(await names(), ['docker.io/library/one:latest', 'docker.io/library/two:latest']);
    await strake('tag', 'one', 'other.example/team/one:v1');
    await strake('tag', 'other.example/team/one:v1', 'three');
    assert.deepEqual(await names(), [
      'docker.io/library/one:latest',
      'docker.io/library/three:latest',
      'docker.io/library/two:latest',
      'other.example/team/one:v1',
    ]);
    const ids = (await strake('images', '-q')).trim().split('\n');
    assert.equal(new Set(ids).size, 2);
    await strake('rm', 'one', 'three');
    assert.deepEqual(await names(), ['docker.io/library/two:latest', 'other.example/team/one:v1']);
    assert.equal(await strake('run', 'other.example/team/one:v1'), 'run\ncopied\n');
    const again = await workshop.strake(['rm', 'one']);
    assert.equal(again.status, 1);
    assert.match(again.stderr, /one/);
  });

  it('show what they consist of', async () => {
    const [image] = JSON.parse(await strake('inspect', 'two')) as [
      {
        name: string;
        target: Descriptor;
        configDigest: string;
        manifest: { layers: Descriptor[] };
        config: { config: { Labels: unknown; Cmd: unknown }; rootfs: { diff_ids: string[] } };
        layers: { diffId: string; size: number }[];
      },
    ];
    assert.equal(image.name, 'docker.io/library/two:latest');
    assert.deepEqual(image.config.config.Labels, { number: '1' });
    assert.deepEqual(
      image.layers.map(({ diffId }) => diffId),
      image.config.rootfs.diff_ids,
    );
    assert.equal(image.manifest.layers.length, 3);
    // The start of its id, as `strake images` prints it, and of its digest name it too.
    for (const digest of [image.configDigest, image.target.digest]) {
      const [same] = JSON.parse(await strake('inspect', digest.slice(7, 19))) as [{ target: Descriptor }];
      assert.equal(same.target.digest, image.target.digest);
    }
  });

  it('show how they were made', async () => {
    const history = JSON.parse(await strake('history', '--format', 'json', 'two')) as Record<string, unknown>[];
    assert.equal(history.length, 5);
    const table = await strake('history', '--no-trunc', 'two');
    const [head = '', ...rows] = table.trim().split('\n');
    assert.match(head, /CREATED +CREATED BY +SIZE/);
    assert.equal(rows.length, 5);
    assert.match(rows[0] ?? '', /LABEL number=1 +0B/);
    assert.match(rows[2] ?? '', /COPY file\.txt \/srv\//);
    assert.match(rows[3] ?? '', /chmod 4755 \/srv\/run/);
  });
});
