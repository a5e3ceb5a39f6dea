import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';

import { checkoutGit } from '../src/source/git.js';
import { gitSurroundings } from '../src/source/git-environment.js';
import { runGit } from '../src/source/git-process.js';
import { parseGitReference, type GitReference } from '../src/source/git-reference.js';
import { remoteSource } from '../src/source/remote.js';
import { gitBackend } from './support/git-server.js';
import { createFixture, createServer, git, type Fixture, type TestServer } from './support/source-fixture.js';

describe('Git repositories', function () {
  this.timeout(30_000);
  let fixture: Fixture;
  let server: TestServer;
  let work: string;
  let bare: string;
  const secrets = new Map<string, string>();

  before(async () => {
    fixture = await createFixture({
      secret: (id) => Promise.resolve(secrets.has(id) ? Buffer.from(secrets.get(id) ?? '') : undefined),
    });
    work = fixture.write({ 'a.txt': 'one\n', 'run.sh': '#!/bin/sh\n', 'sub/b.txt': 'b\n' }, 'work');
    const repositories = join(fixture.folder, 'repositories');
    bare = join(repositories, 'main.git');
    fs.mkdirSync(bare, { recursive: true });
    fs.chmodSync(join(work, 'run.sh'), 0o755);
    fs.symlinkSync('/etc', join(work, 'out'));
    fs.symlinkSync('sub', join(work, 'inner'));
    git(work, 'init', '-q');
    git(work, 'add', '.');
    git(work, 'commit', '-qm', 'one');
    git(work, 'tag', '-a', 'v1', '-m', 'v1');
    git(work, 'branch', 'both');
    fs.writeFileSync(join(work, 'a.txt'), 'two\n');
    git(work, 'commit', '-qam', 'two');
    git(work, 'tag', 'both');
    fs.writeFileSync(join(work, 'a.txt'), 'three\n');
    git(work, 'commit', '-qam', 'three');
    git(bare, 'init', '-q', '--bare');
    git(work, 'push', '-q', bare, '--all');
    git(work, 'push', '-q', bare, '--tags');
    // A second repository, with the first one as submodule.
    const outer = fixture.write({ f: 'f' }, 'outer');
    git(outer, 'init', '-q');
    git(outer, 'submodule', '--quiet', 'add', bare, 'module');
    git(outer, 'config', '-f', '.gitmodules', 'submodule.module.url', '../main.git');
    git(outer, 'add', '.');
    git(outer, 'commit', '-qm', 'outer');
    const bareOuter = join(repositories, 'outer.git');
    git(fixture.folder, 'clone', '-q', '--bare', outer, bareOuter);
    git(outer, 'config', '-f', '.gitmodules', 'submodule.module.url', bare);
    git(outer, 'commit', '-qam', 'a submodule of the local file system');
    git(fixture.folder, 'clone', '-q', '--bare', outer, join(repositories, 'evil.git'));
    server = await createServer(gitBackend(repositories));
  });
  after(async () => {
    await server.close();
    await fixture.remove();
  });
  afterEach(async () => {
    secrets.clear();
    await fixture.cleanUp();
  });

  const checkout = async (rest = '', repository = 'main.git', base = server.url): ReturnType<typeof checkoutGit> => {
    const reference = parseGitReference(`${base}/${repository}${rest}`);
    assert.ok(reference);
    return checkoutGit(reference, fixture.services, fixture.signal);
  };
  const content = async (rest: string): Promise<string> =>
    fs.readFileSync(join((await checkout(rest)).root, 'a.txt'), 'utf8').trim();
  const commit = (name: string): string => git(work, 'rev-parse', `${name}^{commit}`);

  it('are checked out at branches, tags and commits', async () => {
    assert.equal(await content(''), 'three');
    assert.equal(await content('#main'), 'three');
    assert.equal(await content('#v1'), 'one');
    assert.equal(await content('#refs/tags/v1'), 'one');
    assert.equal(await content('?tag=both'), 'two');
    assert.equal(await content('?branch=both'), 'one');
    assert.equal(await content('#both'), 'one', 'a branch goes before a tag');
    assert.equal(await content(`#${commit('refs/heads/both')}`), 'one');
    assert.equal(await content(`#${commit('main~1')}`), 'two');
    assert.equal(await content(`?fetch-by-commit&checksum=${commit('main')}#main`), 'three');
    const { commit: id, committed } = await checkout('#v1');
    assert.deepEqual([id, committed], [commit('v1'), 1600000000]);
  });

  it('have the modes 0644 and 0755, no .git, and are gone after the build', async () => {
    const { root } = await checkout('?mtime=commit');
    const mode = (name: string): string => (fs.statSync(join(root, name)).mode & 0o7777).toString(8);
    assert.deepEqual(['.', 'a.txt', 'run.sh', 'sub'].map(mode), ['755', '644', '755', '755']);
    assert.deepEqual(fs.readdirSync(root).sort(), ['a.txt', 'inner', 'out', 'run.sh', 'sub']);
    assert.equal(fs.readlinkSync(join(root, 'out')), '/etc');
    assert.equal(fs.lstatSync(join(root, 'out')).mtimeMs, 1600000000_000);
    await fixture.cleanUp();
    assert.equal(fs.existsSync(root), false);
  });

  it('are a source of ADD', async () => {
    const { services, signal } = fixture;
    const source = await remoteSource(`${server.url}/main.git#v1`, { unpack: true }, services, signal);
    const { contentsOnly, unpack, name, entry } = source;
    assert.deepEqual(
      { contentsOnly, unpack, name, type: entry.type, mode: entry.mode },
      {
        contentsOnly: false,
        unpack: false,
        name: '',
        type: 'directory',
        mode: 0o755,
      },
    );
    assert.deepEqual(
      Array.from(source.below, ({ relative }) => relative),
      ['a.txt', 'inner', 'out', 'run.sh', 'sub', 'sub/b.txt'],
    );
    const some = await remoteSource(
      `${server.url}/main.git`,
      { unpack: false, exclude: ['*', '!sub'] },
      services,
      signal,
    );
    assert.deepEqual(
      Array.from(some.below, ({ relative }) => relative),
      ['sub', 'sub/b.txt'],
    );
    const sum = commit('v1');
    const add = (checksum: string, query = ''): Promise<unknown> =>
      remoteSource(`${server.url}/main.git${query}#v1`, { unpack: false, checksum }, services, signal);
    await add(sum);
    await add(sum.slice(0, 7));
    await add(git(work, 'rev-parse', 'v1'));
    await assert.rejects(add(commit('main')), { code: 'CHECKSUM_MISMATCH' });
    await assert.rejects(add(sum, '?checksum=00'), { code: 'INSTRUCTION_INVALID' });
    await assert.rejects(add(`sha256:${'0'.repeat(64)}`), { code: 'INSTRUCTION_INVALID' });
  });

  it('keep .git where that is asked for, the same every time', async () => {
    const list = (root: string): string[] => fs.readdirSync(join(root, '.git'), { recursive: true }).map(String).sort();
    const one = await checkout('?keep-git-dir#v1');
    const two = await checkout('?keep-git-dir#v1');
    assert.deepEqual(list(one.root), list(two.root));
    for (const name of ['index', 'config', 'HEAD']) {
      assert.deepEqual(fs.readFileSync(join(one.root, '.git', name)), fs.readFileSync(join(two.root, '.git', name)));
    }
    assert.equal(git(one.root, 'status', '--porcelain'), '');
    assert.equal(git(one.root, 'describe', '--tags'), 'v1');
    assert.equal(git(one.root, 'remote', 'get-url', 'origin'), `${server.url}/main.git`);
  });

  it('show a subfolder, and nothing outside (CVE-2026-33748)', async () => {
    const { root } = await checkout('#main:sub');
    assert.deepEqual(fs.readdirSync(root), ['b.txt']);
    for (const dir of ['out', 'out/ssl', 'inner', 'none', 'a.txt', '.git', '.GIT/objects']) {
      await assert.rejects(checkout(`#main:${dir}`), { code: 'GIT_FAILED', message: /not a folder/ }, dir);
    }
    assert.ok((await checkout('#main:../..')).root.endsWith('checkout'), 'what leads above ends at the root');
  });

  it('bring their submodules, unless they are switched off', async () => {
    const { root } = await checkout('', 'outer.git');
    assert.equal(fs.readFileSync(join(root, 'module/a.txt'), 'utf8'), 'three\n');
    assert.equal(fs.existsSync(join(root, 'module/.git')), false);
    const without = await checkout('?submodules=0', 'outer.git');
    assert.deepEqual(fs.readdirSync(join(without.root, 'module')), []);
    const kept = await checkout('?keep-git-dir', 'outer.git');
    assert.equal(git(kept.root, 'submodule', 'status').split(' ')[0], commit('main'));
  });

  it('get no submodule from the local file system', async () => {
    await assert.rejects(checkout('', 'evil.git'), { code: 'GIT_FAILED', message: /not allowed/ });
  });

  it('get credentials from the address or secrets, and show them nowhere', async () => {
    const open = server.answer;
    const seen = new Set<string | undefined>();
    server.answer = (request, response) => {
      seen.add(request.headers.authorization);
      if (request.headers.authorization !== undefined) return open(request, response);
      return response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    };
    try {
      await assert.rejects(checkout(), (error: Error & { code: string; hint: string }) => {
        assert.equal(error.code, 'GIT_FAILED');
        return /GIT_AUTH_TOKEN/.test(error.hint);
      });
      seen.clear();
      const withPassword = server.url.replace('//', '//user:hunter2@');
      const { root } = await checkout('?keep-git-dir', 'outer.git', withPassword);
      assert.deepEqual([...seen], [`Basic ${Buffer.from('user:hunter2').toString('base64')}`]);
      assert.ok(fs.existsSync(join(root, 'module/a.txt')));
      for (const name of fs.readdirSync(join(root, '.git'), { recursive: true }).map(String)) {
        const path = join(root, '.git', name);
        if (fs.statSync(path).isFile()) assert.ok(!fs.readFileSync(path, 'latin1').includes('hunter2'), name);
      }
      await assert.rejects(
        checkout('#none', 'main.git', withPassword),
        (error: Error) => !error.message.includes('hunter2'),
      );
      seen.clear();
      secrets.set('GIT_AUTH_TOKEN', 'token\n');
      await checkout();
      assert.deepEqual([...seen], [`Basic ${Buffer.from('x-access-token:token').toString('base64')}`]);
      secrets.set(`GIT_AUTH_HEADER.${new URL(server.url).host}`, 'Bearer x');
      seen.clear();
      await checkout();
      assert.deepEqual([...seen], ['Bearer x']);
    } finally {
      server.answer = open;
    }
  });

  it('that are elsewhere by now are found there, and get the credentials at their own origin only', async () => {
    const open = server.answer;
    const me = `Basic ${Buffer.from('me:sesame').toString('base64')}`;
    const seen = new Set<string | undefined>();
    server.answer = (request, response) => {
      seen.add(request.headers.authorization);
      open(request, response);
    };
    let there = server.url;
    const moved = await createServer((request, response) => {
      const url = request.url ?? '';
      if (!url.startsWith('/old')) return gitBackend(join(fixture.folder, 'repositories'))(request, response);
      response.writeHead(302, { location: `${there}${url.replace('/old', '')}` }).end();
    });
    try {
      const old = moved.url.replace('//', '//me:sesame@');
      assert.equal((await checkout('', 'old/main.git', old)).commit, commit('main'));
      assert.deepEqual([...seen], [undefined]);
      there = moved.url;
      assert.equal((await checkout('', 'old/main.git', old)).commit, commit('main'));
      assert.ok(
        moved.requests
          .filter(({ url = '' }) => !url.startsWith('/old'))
          .every(({ headers }) => headers.authorization === me),
      );
      there = 'ftp://x';
      await assert.rejects(checkout('', 'old/main.git', old), { code: 'GIT_FAILED' });
    } finally {
      server.answer = open;
      await moved.close();
    }
  });

  it('that are always somewhere else are given up', async () => {
    let asked = 0;
    const restless = await createServer((request, response) => {
      const [, number = '0', rest = ''] = /^\/(\d+)(.*)$/.exec(request.url ?? '') ?? [];
      asked++;
      response.writeHead(302, { location: `/${Number(number) + 1}${rest}` }).end();
    });
    try {
      const there = restless.url.replace('//', '//me:sesame@');
      await assert.rejects(checkout('', '0/main.git', there), { code: 'GIT_FAILED' });
      assert.ok(asked < 20, `${asked} requests`);
    } finally {
      await restless.close();
    }
  });

  it('see nothing of the environment but what they need, and run no hooks', async () => {
    const environment = {
      PATH: '/bin',
      SSH_AUTH_SOCK: '/agent',
      TOKEN: 'CANARY',
      GIT_DIR: '/x',
      GIT_SSH_COMMAND: 'CANARY',
    };
    const reference = parseGitReference('https://h.example/x.git') as GitReference;
    const { env, close } = await gitSurroundings(reference, '/folder', { ...fixture.services, environment });
    await close();
    assert.equal(env['PATH'], '/bin');
    assert.doesNotMatch(JSON.stringify(env), /CANARY|\/agent|GIT_DIR/);
    const config = Object.entries(env).flatMap(([name, value]) => {
      const number = /^GIT_CONFIG_KEY_(\d+)$/.exec(name)?.[1];
      return number === undefined ? [] : [`${value}=${env[`GIT_CONFIG_VALUE_${number}`]}`];
    });
    assert.ok(config.includes('core.hooksPath=/dev/null') && config.includes('core.fsmonitor=false'), config.join());
  });

  it('that are not there are named', async () => {
    await assert.rejects(checkout('', 'none.git'), { code: 'GIT_FAILED', message: /none\.git/ });
    await assert.rejects(checkout('#none'), { code: 'GIT_FAILED', message: /no branch or tag "none"/ });
    await assert.rejects(checkout(`#${'0'.repeat(39)}1`), { code: 'GIT_FAILED' });
    const missing = { ...fixture.services, environment: { PATH: '/nonexistent' } };
    const reference = parseGitReference(`${server.url}/main.git`);
    assert.ok(reference);
    await assert.rejects(checkoutGit(reference, missing, fixture.signal), {
      code: 'GIT_FAILED',
      message: /not installed/,
    });
  });

  it('end with the build, helpers too', async () => {
    const open = server.answer;
    const controller = new AbortController();
    server.answer = () => controller.abort();
    const reference = parseGitReference(`${server.url}/main.git`);
    assert.ok(reference);
    await assert.rejects(checkoutGit(reference, fixture.services, controller.signal), { code: 'CANCELLED' });
    server.answer = open;
    const running = fs.readdirSync('/proc').filter((pid) => {
      try {
        return (
          /^\d+$/.test(pid) && fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`remote-http\0${server.url}`)
        );
      } catch {
        return false;
      }
    });
    assert.deepEqual(running, []);
  });

  it('are given up where the server is silent, over git:// too', async () => {
    const silent = net.createServer();
    const port = await new Promise<number>((resolve) =>
      silent.listen(0, '127.0.0.1', () => resolve((silent.address() as net.AddressInfo).port)),
    );
    const sockets: net.Socket[] = [];
    silent.on('connection', (socket) => sockets.push(socket.resume()));
    const env = { PATH: process.env['PATH'] ?? '' };
    const { signal } = new AbortController();
    const run = { cwd: fixture.folder, env, signal, secrets: [], silence: 800 };
    try {
      const asked = runGit(['ls-remote', `git://127.0.0.1:${port}/x.git`], run);
      await assert.rejects(asked, /nothing came from the server for 0.8 s/);
      // A second of work is no silence, and neither is a helper's.
      assert.equal(
        await runGit(['-c', 'alias.work=!i=0; while [ $i -lt 20 ]; do sleep 0.1; i=$((i+1)); done', 'work'], run),
        '',
      );
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });

  it('come over git:// as well', async function () {
    const port = await freePort();
    const daemon: ChildProcess = spawn(
      'git',
      [
        'daemon',
        '--reuseaddr',
        '--export-all',
        '--listen=127.0.0.1',
        `--port=${port}`,
        `--base-path=${join(bare, '..')}`,
        '--verbose',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    try {
      await new Promise<void>((resolve, reject) => {
        daemon.stderr?.on('data', (chunk: Buffer) => {
          if (chunk.includes('Ready')) resolve();
        });
        daemon.on('error', reject);
        daemon.on('close', () => reject(new Error('no git daemon')));
      });
      const { root } = await checkout('#v1', 'main.git', `git://127.0.0.1:${port}`);
      assert.equal(fs.readFileSync(join(root, 'a.txt'), 'utf8'), 'one\n');
      const old = commit('main~1');
      assert.equal((await checkout(`#${old}`, 'main.git', `git://127.0.0.1:${port}`)).commit, old);
    } finally {
      daemon.kill();
    }
  });
});

async function freePort(): Promise<number> {
  const probe = net.createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as net.AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
