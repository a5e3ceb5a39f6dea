import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { STRAKE } from './support/repository.js';
import { Workshop, type Outcome } from './support/strake.js';

/** Answers as a registry would: on loopback, so plain http. */
async function registry(listener: RequestListener): Promise<{ host: string; server: Server }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

describe('what users read when something is wrong', () => {
  let workshop: Workshop;
  before(() => {
    workshop = new Workshop();
  });
  after(() => workshop.close());

  const fails = (outcome: Outcome, message: RegExp, status = 1): void => {
    assert.equal(outcome.status, status, outcome.stderr);
    assert.match(outcome.stderr, message);
    assert.equal(outcome.stdout, '');
    assert.match(outcome.stderr, /^error: /m);
  };

  it('wrong usage: status 2, and a suggestion', async () => {
    fails(await workshop.strake(['build']), /context is missing/, 2);
    fails(
      await workshop.strake(['build', '--taget', 'x', '.']),
      /unknown flag --taget\nhint: Did you mean --target\?/,
      2,
    );
    fails(await workshop.strake(['biuld', '.']), /Did you mean build\?/, 2);
    fails(await workshop.strake(['build', '.', '-o', 'type=foo,dest=x']), /"foo" is not one of/, 2);
  });

  it('no context, no Dockerfile', async () => {
    fails(await workshop.strake(['build', 'no-such-folder']), /no-such-folder/);
    fails(await workshop.strake(['build', workshop.context]), /Dockerfile/);
    fails(await workshop.strake(['build', '-f', 'Missing', workshop.context]), /Missing/);
  });

  it('a folder that was removed under it', () => {
    const line = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" build .';
    const { status, stdout, stderr } = spawnSync('sh', ['-c', line, STRAKE], {
      cwd: workshop.folder,
      encoding: 'utf8',
    });
    assert.equal(status, 1, stderr);
    assert.equal(stdout, '');
    assert.match(
      stderr,
      /^error: cannot read the folder that this command was started in: no such file or directory\n/,
    );
  });

  it('an unknown instruction: its line, and what may be meant', async () => {
    const outcome = await workshop.build(['FROM busybox', 'WROKDIR /x']);
    fails(outcome, /WROKDIR/);
    assert.match(outcome.stderr, /Dockerfile:2\n[^]*2 \| >>> WROKDIR \/x/);
    assert.match(outcome.stderr, /WORKDIR/);
  });

  it('an empty Dockerfile', async () => {
    fails(await workshop.build([]), /empty|no (?:build )?stage|FROM/);
  });

  it('a missing COPY source', async () => {
    const outcome = await workshop.build(['FROM busybox', 'COPY missing.txt /']);
    fails(outcome, /missing\.txt/);
    assert.match(outcome.stderr, /2 \| >>> COPY missing\.txt \//);
  });

  it('an unknown stage', async () => {
    fails(await workshop.build(['FROM busybox AS one'], ['--target', 'oen']), /oen/);
    fails(await workshop.build(['FROM busybox', 'COPY --from=nowhere.invalid:5000/x /a /']), /nowhere\.invalid/);
  });

  it('a failing RUN: its output once, its exit code, its line', async () => {
    const outcome = await workshop.build(['FROM busybox', 'RUN echo last-words; exit 41']);
    fails(outcome, /\b41\b/);
    assert.match(outcome.stderr, /2 \| >>> RUN echo last-words; exit 41/);
    assert.equal(outcome.stderr.match(/^#\d+ [\d.]+ last-words$/gm)?.length, 1);
    assert.doesNotMatch(outcome.stderr, /^ {2}\| last-words/m);
  });

  it('a failing RUN with -q: its output all the same', async () => {
    const outcome = await workshop.build(['FROM busybox', 'RUN echo last-words; exit 41'], ['-q']);
    fails(outcome, /^ {2}\| last-words$/m);
  });

  it('leaves no half-written file', async () => {
    const dest = path.join(workshop.folder, 'image.tar');
    fails(await workshop.build(['FROM busybox', 'RUN exit 1'], ['-o', `type=oci,dest=${dest}`]), /exit code/);
    assert.equal(existsSync(dest), false);
  });

  it('so few open files that any call may fail: what to raise', () => {
    for (let limit = 20; limit < 31; limit++) {
      const env = { PATH: process.env['PATH'] ?? '', STRAKE_ROOT: path.join(workshop.folder, `few-${limit}`) };
      const dockerfile = path.join(workshop.folder, 'few');
      writeFileSync(dockerfile, 'FROM busybox\nCOPY few /\nRUN true\n');
      writeFileSync(path.join(workshop.context, 'few'), '');
      const base = ['--build-context', `busybox=oci-layout://${workshop.busybox}`, '-f', dockerfile, workshop.context];
      const { status, stderr } = spawnSync(
        'sh',
        ['-c', `ulimit -n ${limit}; exec "$@"`, '-', STRAKE, 'build', ...base],
        { env, encoding: 'utf8', timeout: 60_000 },
      );
      if (status === 0) continue;
      assert.equal(status, 1, stderr);
      assert.match(stderr, /hint: Raise the limit of open files: ulimit -n 4096\.$/m);
      assert.doesNotMatch(stderr, /bug in strake/);
    }
  });

  it('a store and an output where no folder can be made', async () => {
    const nowhere = await workshop.strake(['images'], { env: { STRAKE_ROOT: '/proc/strake/store' } });
    assert.equal(nowhere.status, 1);
    assert.match(nowhere.stderr, /\/proc\/strake\/store cannot be used as a store.*\nhint: Choose a folder/);
    for (const dest of ['/proc/strake/out', 'type=oci,tar=false,dest=/proc/strake/out']) {
      const { status, stderr } = await workshop.build(['FROM scratch', 'LABEL a=b'], ['-o', dest]);
      assert.equal(status, 1);
      assert.match(stderr, /^error: .*\/proc\/strake/m);
    }
  });

  it('an unreachable registry', async () => {
    fails(await workshop.build(['FROM 127.0.0.1:1/a/b']), /127\.0\.0\.1:1/);
    fails(await workshop.strake(['pull', '127.0.0.1:1/a/b']), /127\.0\.0\.1:1/);
  });

  it('an image that is not there', async () => {
    const { host, server } = await registry((request, response) => {
      response.writeHead(request.url === '/v2/' ? 200 : 404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] }));
    });
    try {
      const outcome = await workshop.build([`FROM ${host}/some/image:1`]);
      fails(outcome, /some\/image/);
      assert.match(outcome.stderr, /1 \| >>> FROM/);
      fails(await workshop.strake(['pull', `${host}/some/image:1`]), /some\/image/);
    } finally {
      server.close();
    }
    fails(await workshop.strake(['run', 'never-built-here.invalid/x']), /never-built-here/);
    fails(await workshop.strake(['inspect', 'never-built-here']), /never-built-here/);
    fails(await workshop.strake(['push', 'localhost:1/never-built-here']), /never-built-here/);
  });

  it('wrong credentials', async () => {
    const { host, server } = await registry((_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
    });
    try {
      const login = ['login', '-u', 'me', '--password-stdin', host];
      fails(await workshop.strake(login, { input: 'wrong' }), /127\.0\.0\.1/);
      const outcome = await workshop.strake(['pull', `${host}/a`]);
      fails(outcome, /strake login/);
      assert.equal(existsSync(path.join(workshop.folder, 'home/.docker/config.json')), false);
    } finally {
      server.close();
    }
  });

  it('a file that cannot be written', async () => {
    const outcome = await workshop.build(['FROM busybox'], ['--iidfile', 'no/such/folder/id']);
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /cannot write no\/such\/folder\/id/);
  });
});

describe('the command as a process', () => {
  let workshop: Workshop;
  before(() => {
    workshop = new Workshop();
  });
  after(() => workshop.close());

  it('prints ids to standard output and progress to standard error', async () => {
    const outcome = await workshop.build(['FROM busybox', 'ENV A=b'], ['-t', 'app', '--iidfile', 'id']);
    assert.equal(outcome.status, 0, outcome.stderr);
    assert.equal(outcome.stdout, '');
    assert.match(outcome.stderr, /built app:latest sha256:[0-9a-f]{64} in [\d.]+ s/);
    const quiet = await workshop.build(['FROM busybox', 'ENV A=b'], ['-q']);
    assert.match(quiet.stdout, /^sha256:[0-9a-f]{64}\n$/);
    assert.equal(quiet.stderr, '');
    assert.equal(readFileSync(path.join(workshop.folder, 'id'), 'utf8'), quiet.stdout.trim());
    assert.match((await workshop.strake(['images'])).stdout, /^app +latest +[0-9a-f]{12} /m);
  });

  it('answers from the cache, and says so', async () => {
    const lines = ['FROM busybox', 'RUN echo a > /a', 'RUN echo b > /b'];
    assert.equal((await workshop.build(lines)).status, 0);
    const again = await workshop.build(lines);
    const [, cached, all] = /(\d+) of (\d+) steps cached/.exec(again.stderr) ?? [];
    assert.ok(cached !== undefined && cached === all, again.stderr);
  });

  it("passes the container's exit status and output on", async () => {
    assert.equal((await workshop.build(['FROM busybox', 'CMD ["echo", "hello"]'], ['-t', 'hello'])).status, 0);
    assert.deepEqual((await workshop.strake(['run', 'hello'])).stdout, 'hello\n');
    const failed = await workshop.strake(['run', 'hello', 'sh', '-c', 'echo no >&2; exit 43']);
    assert.deepEqual([failed.status, failed.stdout, failed.stderr], [43, '', 'no\n']);
  });

  it('reads a Dockerfile from standard input', async () => {
    const base = ['--build-context', `busybox=oci-layout://${workshop.busybox}`];
    const input = 'FROM busybox\nLABEL from=stdin\n';
    const outcome = await workshop.strake(['build', '-t', 'stdin', ...base, '-f', '-', workshop.context], { input });
    assert.equal(outcome.status, 0, outcome.stderr);
    const [image] = JSON.parse((await workshop.strake(['inspect', 'stdin'])).stdout) as [
      { config: { config: unknown } },
    ];
    assert.deepEqual((image.config.config as { Labels: unknown }).Labels, { from: 'stdin' });
  });

  it('writes archives to standard output, and nothing else', async () => {
    const outcome = await workshop.build(['FROM scratch', 'COPY . /'], ['-o', '-']);
    assert.equal(outcome.status, 0, outcome.stderr);
    assert.equal(outcome.stdout.length % 512, 0);
    const layout = await workshop.build(['FROM busybox'], ['-o', 'type=oci']);
    assert.match(layout.stdout, /index\.json/);
  });

  it('ends quietly where nobody reads', () => {
    const script = '"$0" help | true; echo "${PIPESTATUS[0]}"';
    assert.equal(execFileSync('bash', ['-c', script, STRAKE], { encoding: 'utf8' }), '0\n');
  });

  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`ends with ${status} on ${signal}, and cleans up`, async () => {
      const marker = `3${process.pid}${status}`;
      let sent = false;
      const outcome = await workshop.build(['FROM busybox', `RUN echo started; sleep ${marker}`], [], {
        onOutput: (text) => {
          if (sent || !/ started$/m.test(text)) return undefined;
          sent = true;
          return signal;
        },
      });
      assert.equal(outcome.status, status, outcome.stderr);
      assert.match(outcome.stderr, /cancelled\n$/);
      assert.equal(readFileSync('/proc/self/mountinfo', 'utf8').includes(workshop.store), false);
    });
  }
});
