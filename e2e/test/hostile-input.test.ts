import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { STRAKE } from './support/repository.js';
import { Workshop } from './support/strake.js';

const WITHIN = 30_000;

/** Input that is meant to take a builder's time or memory: it ends soon, in an image or in an error that names it. */
describe('hostile input', () => {
  let workshop: Workshop;
  before(() => {
    workshop = new Workshop();
  });
  after(() => workshop.close());

  it('layers by the ten thousand, in one stage and over many', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `WORKDIR /w${i % 7}`);
    const stages = Array.from({ length: 6 }, (_, i) => [
      `FROM ${i === 0 ? 'busybox' : `s${i - 1}`} AS s${i}`,
      ...lines.slice(0, 999),
    ]).flat();
    for (const dockerfile of [['FROM busybox', ...lines], stages]) {
      const refused = await workshop.build(dockerfile);
      assert.equal(refused.status, 1, refused.stderr);
      assert.match(refused.stderr, /too many layers: an image may have 5000/);
      assert.match(refused.stderr, /hint: .*Join steps/);
      assert.ok(refused.took < WITHIN, `${refused.took} ms`);
    }
  });

  it('an environment of tens of thousands of variables', async function () {
    this.timeout(4 * WITHIN);
    const few = Array.from({ length: 20_000 }, (_, i) => `ENV V${i}=x`);
    const taken = await workshop.build(['FROM busybox', ...few, 'RUN echo $V19999']);
    assert.equal(taken.status, 0, taken.stderr);
    assert.ok(taken.took < WITHIN, `${taken.took} ms`);
    const many = Array.from(
      { length: 100 },
      (_, i) => `ENV ${Array.from({ length: 1000 }, (__, j) => `V${i}_${j}=`).join(' ')}`,
    );
    const refused = await workshop.build(['FROM busybox', ...many, 'RUN true']);
    assert.equal(refused.status, 1, refused.stderr);
    assert.match(refused.stderr, /environment has 10000\d variables, which is too many/);
    assert.ok(refused.took < WITHIN, `${refused.took} ms`);
    const long = Array.from({ length: 60 }, (_, i) => `ENV V${i}=${'x'.repeat(60_000)}`);
    const large = await workshop.build(['FROM busybox', ...long, 'RUN true']);
    assert.equal(large.status, 1, large.stderr);
    assert.match(large.stderr, /argument list too long/);
  });

  it('folders that are nested thousands deep, as WORKDIR and as a destination', async function () {
    this.timeout(4 * WITHIN);
    workshop.write('f', 'f');
    const deep = (depth: number): string => '/a'.repeat(depth);
    for (const line of [`WORKDIR ${deep(1800)}`, `COPY f ${deep(1800)}/`, `ADD f ${deep(1800)}/`]) {
      const made = await workshop.build(['FROM busybox', line]);
      assert.equal(made.status, 0, made.stderr);
      assert.ok(made.took < WITHIN, `${made.took} ms`);
    }
    for (const line of [`WORKDIR ${deep(30_000)}`, `COPY f ${deep(30_000)}/`, `COPY --link f ${deep(30_000)}/`]) {
      const refused = await workshop.build(['FROM busybox', line]);
      assert.equal(refused.status, 1, refused.stderr);
      assert.match(refused.stderr, /"\/?(a\/)+a?…" is too long: a path has 3800 bytes at most/);
      assert.ok(refused.took < WITHIN, `${refused.took} ms`);
    }
  });

  it('a manifest that lies about the size of a layer which an earlier build has brought', async function () {
    this.timeout(2 * WITHIN);
    const layout = path.join(workshop.folder, 'lying');
    const argv = ['--build-context', `base=oci-layout://${layout}`];
    cpSync(workshop.busybox, layout, { recursive: true });
    const before = await workshop.build(['FROM base', 'RUN true'], argv);
    assert.equal(before.status, 0, before.stderr);
    type Document = { [key: string]: unknown } & Record<'manifests' | 'layers', { digest: string; size: number }[]>;
    const read = (name: string): Document => JSON.parse(readFileSync(path.join(layout, name), 'utf8')) as Document;
    const index = read('index.json');
    const [listed] = index.manifests;
    assert.ok(listed);
    const manifest = read(`blobs/${listed.digest.replace(':', '/')}`);
    for (const layer of manifest.layers) layer.size += 1;
    const text = JSON.stringify(manifest);
    const digest = createHash('sha256').update(text).digest('hex');
    writeFileSync(path.join(layout, 'blobs/sha256', digest), text);
    Object.assign(listed, { digest: `sha256:${digest}`, size: text.length });
    writeFileSync(path.join(layout, 'index.json'), JSON.stringify(index));
    // As a base, and as a source of files: nothing of the layer is read in the first.
    for (const lines of [['FROM base'], ['FROM busybox', 'COPY --from=base /bin/true /true']]) {
      const refused = await workshop.build(lines, argv);
      assert.equal(refused.status, 1, refused.stderr);
      assert.match(refused.stderr, /the size of its layer sha256:[0-9a-f]{64} is a lie/);
    }
  });

  describe('pipes, sockets and devices where a file is expected', () => {
    const SECRET = ['FROM busybox', 'RUN --mount=type=secret,id=s wc -c < /run/secrets/s'];
    const inFolder = (name: string): string => path.join(workshop.folder, name);
    let socket: net.Server;
    before(async () => {
      execFileSync('mkfifo', [inFolder('pipe')]);
      socket = net.createServer();
      await new Promise<void>((resolve) => socket.listen(inFolder('socket'), resolve));
      workshop.write('f', 'f');
    });
    after(() => socket.close());

    const refused = async (lines: readonly string[], argv: readonly string[], message: RegExp): Promise<void> => {
      const outcome = await workshop.build(lines, argv, { cwd: workshop.folder });
      assert.equal(outcome.status, 1, `${argv.join(' ')}: ${outcome.stderr}`);
      assert.match(outcome.stderr, message);
      assert.ok(outcome.took < WITHIN, `${outcome.took} ms`);
    };

    it('as a secret', async function () {
      this.timeout(4 * WITHIN);
      const given = (src: string): string[] => ['--secret', `id=s,src=${src}`];
      await refused(SECRET, given('/dev/zero'), /^error: secret s is larger than 500 KiB$/m);
      await refused(SECRET, given('pipe'), /secret s: cannot read ".*pipe": .*a pipe that nobody writes to/);
      await refused(SECRET, given('socket'), /secret s: cannot read ".*socket": it is a socket/);
      await refused(SECRET, given('.'), /secret s: cannot read ".*": it is a folder/);
    });

    it('as a secret from a command of the shell', async () => {
      const argv = [
        'build',
        '--build-context',
        `busybox=oci-layout://${workshop.busybox}`,
        '-f',
        '-',
        workshop.context,
      ];
      const script = `exec "$0" "$@" --secret id=s,src=<(sleep 0.3; echo four) --progress plain`;
      const said = execFileSync('bash', ['-c', `${script} 2>&1`, STRAKE, ...argv], {
        input: SECRET.join('\n'),
        encoding: 'utf8',
        env: { ...process.env, STRAKE_ROOT: workshop.store },
      });
      assert.match(said, / 5$/m);
    });

    it('as an ssh key', async function () {
      this.timeout(WITHIN);
      const lines = ['FROM busybox', 'RUN --mount=type=ssh true'];
      for (const name of ['pipe', '/dev/zero', '.']) {
        await refused(lines, ['--ssh', `default=${name}`], /--ssh default: ".*" is no key file/);
      }
    });

    it('as an output', async function () {
      this.timeout(4 * WITHIN);
      const lines = ['FROM busybox', 'COPY f /'];
      for (const type of ['tar', 'oci']) {
        await refused(lines, ['-o', `type=${type},dest=pipe`], /cannot write ".*pipe": nobody reads from it/);
        await refused(lines, ['-o', `type=${type},dest=socket`], /cannot write ".*socket": nobody reads from it/);
      }
      await refused(lines, ['-o', 'type=local,dest=pipe'], /cannot write ".*pipe": a file is in its place/);
    });

    it('as an output that somebody reads', () => {
      writeFileSync(inFolder('Listed'), 'FROM busybox\nCOPY f /of-the-context\n');
      const context = ['--build-context', `busybox=oci-layout://${workshop.busybox}`];
      const script = '"$0" "$@" & timeout 20 cat pipe | tar tf -; wait $!';
      const argv = ['build', ...context, '-f', 'Listed', '-o', 'type=tar,dest=pipe', workshop.context];
      const listed = execFileSync('sh', ['-c', script, STRAKE, ...argv], {
        encoding: 'utf8',
        cwd: workshop.folder,
        stdio: ['ignore', 'pipe', 'ignore'],
        env: { ...process.env, STRAKE_ROOT: workshop.store },
      });
      assert.match(listed, /^of-the-context$/m);
    });

    it('as a file for the id or facts of the image: nothing is built for what cannot be written', async function () {
      this.timeout(4 * WITHIN);
      const lines = ['FROM busybox', 'COPY f /'];
      for (const flag of ['--iidfile', '--metadata-file']) {
        await refused(lines, [flag, 'socket'], /cannot write socket: it is a socket/);
        await refused(
          lines,
          [flag, '/dev/full', '-t', 'full'],
          /^error: cannot write \/dev\/full: no space left on device$/m,
        );
        await refused(
          lines,
          [flag, 'pipe'],
          /cannot write pipe: .*a pipe with nobody at its other end\nhint: The build itself is done/,
        );
      }
      for (const flag of ['--timeline', '--trace']) {
        await refused(lines, [flag, 'socket', '-t', 'full'], /cannot write socket: it is a socket/);
        await refused(lines, [flag, 'missing/file', '-t', 'full'], /cannot write missing\/file: no such file/);
      }
      const images = await workshop.strake(['images']);
      assert.doesNotMatch(images.stdout, /full/);
    });

    it('as a configuration of docker', async function () {
      this.timeout(WITHIN);
      for (const target of ['/dev/zero', inFolder('pipe'), inFolder('socket')]) {
        const config = inFolder('docker');
        mkdirSync(config, { recursive: true });
        rmSync(path.join(config, 'config.json'), { force: true });
        symlinkSync(target, path.join(config, 'config.json'));
        const outcome = await workshop.build(['FROM 127.0.0.1:1/x'], [], { env: { DOCKER_CONFIG: config } });
        assert.equal(outcome.status, 1);
        assert.match(outcome.stderr, /127\.0\.0\.1:1 cannot be reached|config\.json/);
        assert.ok(outcome.took < WITHIN, `${outcome.took} ms`);
      }
    });

    it('as an archive to be loaded', async function () {
      this.timeout(WITHIN);
      for (const [name, message] of [
        ['pipe', /a pipe with nobody at its other end/],
        ['socket', /it is a socket/],
      ] as const) {
        const outcome = await workshop.strake(['load', '-i', name], { cwd: workshop.folder });
        assert.equal(outcome.status, 1, outcome.stderr);
        assert.match(outcome.stderr, message);
      }
    });
  });

  it('a disk that is full when the id of the image is written: no half of it, and word of what is there', function () {
    if (process.getuid?.() !== 0) this.skip();
    const full = path.join(workshop.folder, 'full');
    mkdirSync(full);
    writeFileSync(path.join(workshop.folder, 'Dockerfile'), 'FROM busybox\n');
    const script =
      'mount -t tmpfs -o size=8k none full && printf %8192s > full/filled; ' +
      '"$0" build --iidfile full/id --build-context "busybox=oci-layout://$1" -f Dockerfile context 2>&1; echo "status $?"; ls full';
    const said = execFileSync('unshare', ['-m', 'sh', '-c', script, STRAKE, workshop.busybox], {
      encoding: 'utf8',
      cwd: workshop.folder,
      env: { ...process.env, STRAKE_ROOT: workshop.store },
    });
    assert.match(
      said,
      /error: cannot write full\/id: no space left on device\nhint: The build itself is done.*sha256:/,
    );
    assert.match(said, /status 1\nfilled\n$/);
    assert.equal(existsSync(path.join(full, 'id')), false);
  });

  describe('sparse files of terabytes', () => {
    const TERA = 2 ** 40;
    it('in a context: a word of what the disk cannot hold, before they are read', async () => {
      const large = path.join(workshop.context, 'sub', 'large');
      mkdirSync(path.dirname(large));
      writeFileSync(large, '');
      truncateSync(large, 8 * TERA);
      for (const line of ['COPY . /all/', 'COPY sub/large /', 'COPY sub/larg? f /x/', 'ADD sub /x']) {
        const outcome = await workshop.build(['FROM busybox', line]);
        assert.equal(outcome.status, 1, outcome.stderr);
        assert.match(
          outcome.stderr,
          /has 8796\.1 GB, and the disk of the store has .* no space left[^]*sub\/large, with 8796\.1 GB/,
        );
        assert.ok(outcome.took < WITHIN, `${outcome.took} ms`);
      }
      rmSync(large);
    });

    it('in a context: an interruption ends the reading of one', async function () {
      this.timeout(2 * WITHIN);
      const large = path.join(workshop.context, 'half');
      writeFileSync(large, '');
      const { bavail, bsize } = statfsSync(workshop.folder);
      truncateSync(large, Math.floor((bavail * bsize) / 2));
      const outcome = await workshop.build(['FROM busybox', 'COPY half /'], ['--timeout', '1s']);
      assert.equal(outcome.status, 1, outcome.stderr);
      assert.match(outcome.stderr, /did not end within 1 s/);
      assert.ok(outcome.took < WITHIN / 3, `${outcome.took} ms`);
      rmSync(large);
    });

    it('made by a step: refused by name', async () => {
      const outcome = await workshop.build([
        'FROM busybox',
        `RUN truncate -s ${TERA} /made && truncate -s 5000000 /small`,
      ]);
      assert.equal(outcome.status, 1, outcome.stderr);
      assert.match(outcome.stderr, /the sparse file \/made is larger than 274877906944 bytes/);
      assert.ok(outcome.took < WITHIN, `${outcome.took} ms`);
    });
  });
});
