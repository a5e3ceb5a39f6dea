import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { createDockerCredentials, login, logout, type CredentialStore } from '../src/index.js';
import { startTestRegistry } from '../src/testing/index.js';
import { rejectsWith } from './support.js';

const encode = (text: string): string => Buffer.from(text).toString('base64');

describe('credentials', () => {
  let home: string;
  let bin: string;
  let env: NodeJS.ProcessEnv;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'strake-credentials-'));
    bin = join(home, 'bin');
    await mkdir(bin);
    env = { PATH: `${bin}:${process.env['PATH'] ?? ''}`, HOME: home };
  });
  afterEach(async () => rm(home, { recursive: true, force: true }));

  const put = async (path: string, content: unknown): Promise<void> => {
    await mkdir(dirname(join(home, path)), { recursive: true });
    await writeFile(join(home, path), typeof content === 'string' ? content : JSON.stringify(content));
  };
  const script = async (name: string, body: string): Promise<void> => {
    await writeFile(join(bin, `docker-credential-${name}`), `#!/bin/sh\n${body}\n`);
    await chmod(join(bin, `docker-credential-${name}`), 0o755);
  };
  const store = (more: NodeJS.ProcessEnv = {}): CredentialStore =>
    createDockerCredentials({ env: { ...env, ...more }, home });

  it('come from docker config.json, by host, address and path', async () => {
    await put('.docker/config.json', {
      auths: {
        'https://index.docker.io/v1/': { auth: encode('hub:pw:with:colons') },
        'reg.example:5000': { auth: encode('host:pw') },
        'reg.example:5000/team/app': { auth: encode('path:pw') },
        'https://old.example/v1/': { username: 'u', password: 'p' },
        'id.example': { auth: encode('<token>:identity') },
        'id2.example': { auth: encode('u:'), identitytoken: 'identity2' },
        'raw.example': { registrytoken: 'raw' },
        'empty.example': {},
      },
    });
    const { get } = store();
    assert.deepEqual(await get('docker.io', 'library/node'), { username: 'hub', password: 'pw:with:colons' });
    assert.deepEqual(await get('reg.example:5000', 'team/other'), { username: 'host', password: 'pw' });
    assert.deepEqual(await get('reg.example:5000', 'team/app'), { username: 'path', password: 'pw' });
    assert.deepEqual(await get('reg.example:5000', 'team/app/sub'), { username: 'path', password: 'pw' });
    assert.deepEqual(await get('old.example', 'a'), { username: 'u', password: 'p' });
    assert.deepEqual(await get('id.example', 'a'), { identityToken: 'identity' });
    assert.deepEqual(await get('id2.example', 'a'), { username: 'u', identityToken: 'identity2' });
    assert.deepEqual(await get('raw.example', 'a'), { registryToken: 'raw' });
    for (const host of ['empty.example', 'reg.example', 'none.example', '__proto__', 'constructor']) {
      assert.equal(await get(host, 'a'), undefined, host);
    }
  });

  it('come from the files in their order', async () => {
    const entry = (name: string, ...hosts: string[]) => ({
      auths: Object.fromEntries(hosts.map((host) => [host, { auth: encode(`${name}:pw`) }])),
    });
    await put('docker/config.json', entry('docker', 'a'));
    await put('file.json', entry('file', 'a', 'b'));
    await put('run/containers/auth.json', entry('run', 'a', 'b', 'c'));
    await put('.config/containers/auth.json', entry('config', 'a', 'b', 'c', 'd'));
    const { get } = store({
      DOCKER_CONFIG: join(home, 'docker'),
      REGISTRY_AUTH_FILE: join(home, 'file.json'),
      XDG_RUNTIME_DIR: join(home, 'run'),
    });
    const names = await Promise.all(['a', 'b', 'c', 'd'].map(async (host) => (await get(host, 'x'))?.username));
    assert.deepEqual(names, ['docker', 'file', 'run', 'config']);
  });

  it('come from helpers', async () => {
    await script(
      'one',
      `read host; echo "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"one\\",\\"Secret\\":\\"$1 $host\\"}"`,
    );
    await script('two', `cat >/dev/null; echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"identity\\"}"`);
    await script('empty', `echo "credentials not found in native keychain"; exit 1`);
    await put('.docker/config.json', {
      credsStore: 'one',
      credHelpers: { 'two.example': 'two', 'empty.example': 'empty' },
      auths: { 'empty.example': { auth: encode('file:pw') } },
    });
    const { get } = store();
    assert.deepEqual(await get('docker.io', 'a'), { username: 'one', password: 'get https://index.docker.io/v1/' });
    assert.deepEqual(await get('x.example:1', 'a'), { username: 'one', password: 'get x.example:1' });
    assert.deepEqual(await get('two.example', 'a'), { identityToken: 'identity' });
    assert.deepEqual(await get('empty.example', 'a'), { username: 'file', password: 'pw' });
  });

  it('are asked of a helper once for many repositories', async () => {
    await script('count', `cat >/dev/null; echo x >>${home}/count; echo '{"Username":"u","Secret":"s"}'`);
    await put('.docker/config.json', { credsStore: 'count' });
    const { get } = store();
    await Promise.all(['a', 'b', 'c'].map((repository) => get('x.example', repository)));
    assert.equal(await readFile(join(home, 'count'), 'utf8'), 'x\n');
  });

  it('are missing without harm where the helper is not installed', async () => {
    await put('.docker/config.json', { credsStore: 'desktop' });
    const warnings: string[] = [];
    const { get } = createDockerCredentials({ env, home, onWarning: (message) => warnings.push(message) });
    assert.equal(await get('docker.io', 'a'), undefined);
    assert.equal(await get('x.example', 'a'), undefined);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /docker-credential-desktop/);
  });

  it('of helpers that fail, hang, flood or lie end in an error without secrets', async () => {
    await script('fails', `echo "keychain is locked"; exit 3`);
    await script('hangs', `exec sleep 60`);
    await script(
      'floods',
      `while :; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; done`,
    );
    await script('lies', `cat >/dev/null; echo '{"Username":"u","Secret":"top-secret"'`);
    await put('.docker/config.json', {
      credHelpers: { a: 'fails', b: 'hangs', c: 'floods', d: 'lies', e: '../evil', f: 'a b;c' },
    });
    const { get } = createDockerCredentials({ env, home, helperTimeout: 500 });
    for (const host of ['a', 'b', 'c', 'd', 'e', 'f']) {
      const error = await rejectsWith(get(host, 'x'), 'CREDENTIAL_HELPER_FAILED');
      assert.doesNotMatch(error.message, /top-secret/);
    }
  });

  it('of broken files end in an error without secrets', async () => {
    for (const content of ['{"auths":{"x":{"auth":"c2VjcmV0', '[]', '3', '{"auths":{"x":{"auth":"c2VjcmV0"}}}']) {
      await put('.docker/config.json', content);
      const error = await rejectsWith(store().get('x', 'a'), 'CREDENTIALS_INVALID');
      assert.doesNotMatch(error.message, /secret|c2VjcmV0/);
    }
    await put('.docker/config.json', '');
    assert.equal(await store().get('x', 'a'), undefined);
  });

  it('survive any JSON in the file', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom('auths', 'credHelpers', 'other'), fc.jsonValue()),
        async (content) => {
          await put('.docker/config.json', content);
          try {
            await store().get('x', 'a');
          } catch (error) {
            assert.match((error as { code: string }).code, /^CREDENTIAL/);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  describe('of login', () => {
    const auth = { type: 'basic', username: 'me', password: 'pw-secret' } as const;

    it('are checked and kept in a file for the owner only', async () => {
      for (const type of ['basic', 'bearer'] as const) {
        const registry = await startTestRegistry({ auth: { ...auth, type } });
        const options = { registry: registry.host, username: 'me', env, home };
        await put('.docker/config.json', { HttpHeaders: { keep: 'me' }, auths: { other: { auth: 'x' } } });
        await rejectsWith(login({ ...options, password: 'wrong' }), 'REGISTRY_UNAUTHORIZED');
        const result = await login({ ...options, password: auth.password });
        const path = join(home, '.docker', 'config.json');
        assert.deepEqual(result, { registry: registry.host, storedIn: path, plain: true });
        assert.equal((await stat(path)).mode & 0o777, 0o600);
        assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), {
          HttpHeaders: { keep: 'me' },
          auths: { other: { auth: 'x' }, [registry.host]: { auth: encode('me:pw-secret') } },
        });
        assert.deepEqual(await readdir(join(home, '.docker')), ['config.json']);
        assert.deepEqual(await store().get(registry.host, 'a'), { username: 'me', password: 'pw-secret' });
        assert.equal(await logout(options), true);
        assert.equal(await logout(options), false);
        assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), {
          HttpHeaders: { keep: 'me' },
          auths: { other: { auth: 'x' } },
        });
        await registry.close();
      }
    });

    it('make the folder, and write through a link', async () => {
      const registry = await startTestRegistry({ auth });
      const options = { registry: `http://${registry.host}/`, username: 'me', password: auth.password, env, home };
      await login(options);
      assert.equal((await stat(join(home, '.docker'))).mode & 0o777, 0o700);
      await rm(join(home, '.docker', 'config.json'));
      await put('dotfiles/config.json', '{}');
      await symlink('../dotfiles/config.json', join(home, '.docker', 'config.json'));
      await login(options);
      assert.match(await readFile(join(home, 'dotfiles', 'config.json'), 'utf8'), /auths/);
      await registry.close();
    });

    it('go to the helper where one is configured', async () => {
      await script('keep', `echo "$1 $(cat)" >>${home}/kept`);
      await put('.docker/config.json', { credsStore: 'keep' });
      const registry = await startTestRegistry({ auth });
      const options = { registry: registry.host, username: 'me', password: auth.password, env, home };
      assert.deepEqual(await login(options), {
        registry: registry.host,
        storedIn: 'docker-credential-keep',
        plain: false,
      });
      assert.equal(await logout(options), true);
      const kept = (await readFile(join(home, 'kept'), 'utf8')).trim().split('\n');
      assert.match(kept[0] ?? '', /^store \{"ServerURL":"127\.0\.0\.1:\d+","Username":"me","Secret":"pw-secret"\}$/);
      assert.equal(kept[1], `erase ${registry.host}`);
      assert.doesNotMatch(await readFile(join(home, '.docker', 'config.json'), 'utf8'), /secret/);
      await registry.close();
    });

    it('refuse what is no registry', async () => {
      for (const registry of ['a b', '..', '!', 'http://-x-']) {
        const options = { registry, username: 'a', password: 'b', env, home };
        await rejectsWith(logout(options), 'REFERENCE_INVALID');
      }
    });
  });
});
