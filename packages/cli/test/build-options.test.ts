import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { built, Collector, strake } from './support.js';

async function refused(...argv: string[]): Promise<string> {
  const { status, stderr } = await strake(['build', ...argv]);
  assert.equal(status, 2, stderr);
  return stderr;
}

describe('build options', () => {
  it('makes paths absolute', async () => {
    const options = await built(['-f', 'a/Dockerfile', '--build-context', 'x=../y', '--secret', 'id=s,src=t', '.']);
    assert.equal(options.context, '/work');
    assert.equal(options.file, '/work/a/Dockerfile');
    assert.equal(options.buildContexts?.['x'], '/y');
    assert.deepEqual(options.secrets, [{ id: 's', file: '/work/t', env: undefined }]);
  });

  it('leaves URLs, Git repositories, - and what lies in them alone', async () => {
    for (const context of ['https://example.com/a.git#main:sub', 'git@example.com:a/b.git', 'github.com/a/b']) {
      const options = await built([context, '-f', 'sub/Dockerfile']);
      assert.equal(options.context, context);
      assert.equal(options.file, 'sub/Dockerfile');
    }
    const { buildContexts } = await built(
      ['a=docker-image://busybox', 'b=oci-layout://l/x:1', 'c=https://e/x.git']
        .flatMap((v) => ['--build-context', v])
        .concat('.'),
    );
    assert.deepEqual(
      { ...buildContexts },
      { a: 'docker-image://busybox', b: 'oci-layout:///work/l/x:1', c: 'https://e/x.git' },
    );
  });

  it('takes build arguments from the environment, and what buildx adds to them', async () => {
    const env = { GIVEN: 'yes', SOURCE_DATE_EPOCH: '1' };
    const argv = ['--build-arg', 'GIVEN', '--build-arg', 'UNSET', '--build-arg', 'A=1=2', '.'];
    assert.deepEqual({ ...(await built(argv, { env })).buildArgs }, { GIVEN: 'yes', A: '1=2', SOURCE_DATE_EPOCH: '1' });
    const own = await built(['--build-arg', 'SOURCE_DATE_EPOCH=7', '.'], { env });
    assert.equal(own.buildArgs?.['SOURCE_DATE_EPOCH'], '7');
  });

  it("takes proxies from docker's config.json", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'cli-'));
    try {
      const config = { proxies: { default: { httpProxy: 'http://p:1', noProxy: 5 } } };
      writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
      const { buildArgs } = await built(['--build-arg', 'http_proxy=own', '.'], { env: { DOCKER_CONFIG: folder } });
      assert.deepEqual({ ...buildArgs }, { HTTP_PROXY: 'http://p:1', http_proxy: 'own' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('prefers an existing folder to a URL', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'cli-'));
    try {
      mkdirSync(path.join(folder, 'github.com/a'), { recursive: true });
      const options = await built(['github.com/a'], { cwd: folder });
      assert.equal(options.context, path.join(folder, 'github.com/a'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('reads secrets, ssh, limits, labels, platforms', async () => {
    const argv = ['--secret', 'id=A', '--secret', 'id=B', '--secret', 'id=c,type=env,src=D', '--secret', 'id=e,env=F'];
    const options = await built(
      [
        ...argv,
        ...['--ssh', 'default', '--ssh', 'x=a,/b', '--ulimit', 'nofile=1024:2048', '--shm-size', '64m'],
        ...['--label', 'a=b', '--label', 'c', '--platform', 'linux/amd64, linux/arm64', '--network=none'],
        ...['--no-cache-filter', 'a,b', '--allow', 'network.host', '--add-host', 'h:1.2.3.4', '.'],
      ],
      { env: { A: 'value' } },
    );
    assert.deepEqual(options.secrets, [
      { id: 'A', file: undefined, env: 'A' },
      { id: 'B', file: '/work/B', env: undefined },
      { id: 'c', file: undefined, env: 'D' },
      { id: 'e', file: undefined, env: 'F' },
    ]);
    assert.deepEqual(options.ssh, [
      { id: 'default', paths: [] },
      { id: 'x', paths: ['/work/a', '/b'] },
    ]);
    assert.deepEqual(options.ulimits, [{ name: 'nofile', soft: 1024, hard: 2048 }]);
    assert.equal(options.shmSize, 64 << 20);
    assert.deepEqual({ ...options.labels }, { a: 'b', c: '' });
    assert.deepEqual(options.platforms, ['linux/amd64', 'linux/arm64']);
    assert.equal(options.network, 'none');
    assert.deepEqual(options.noCacheFilter, ['a', 'b']);
    assert.deepEqual(options.allow, ['network.host']);
    // buildx knows no lists there: one name, which the build then refuses.
    assert.deepEqual((await built(['--allow', 'a,b', '--allow', '', '.'])).allow, ['a,b']);
    assert.deepEqual(options.addHosts, ['h:1.2.3.4']);
  });

  it('reads limits of steps and of the build', async () => {
    const limits = async (...flags: string[]): Promise<unknown> => {
      const options = await built([...flags, '.']);
      return [options.limits, options.stepTimeout, options.timeout];
    };
    assert.deepEqual(await limits(), [undefined, undefined, undefined]);
    assert.deepEqual(await limits('-m', '1g', '--cpus', '0.5', '--pids-limit', '9'), [
      { memoryBytes: 2 ** 30, cpus: 0.5, pids: 9 },
      undefined,
      undefined,
    ]);
    assert.deepEqual(await limits('--cpu-quota', '50000', '--memory', '0', '--pids-limit', '-1'), [
      { memoryBytes: undefined, cpus: 0.5, pids: undefined },
      undefined,
      undefined,
    ]);
    assert.deepEqual(await limits('--step-timeout', '90', '--timeout', '1h0.5m200ms'), [undefined, 90_000, 3_630_200]);
    for (const [flag, value] of [
      ['--cpus', '0x'],
      ['--pids-limit', '1.5'],
      ['--timeout', '10 m'],
      ['--timeout', 'soon'],
      ['--step-timeout', '99999h'],
      ['--step-timeout', '0'],
    ] as const)
      assert.match(await refused('.', flag, value), new RegExp(`${flag}: "${value}" is not a`));
  });

  it('hands the flags of the engine on', async () => {
    const { engineOptions } = await strake(
      [
        'build',
        '.',
        '--root',
        '/r',
        '--isolation=native',
        '--snapshotter',
        'copy',
        '--insecure-registry',
        'h:5',
        '--max-parallelism',
        '3',
      ],
      {},
    );
    assert.deepEqual(engineOptions, {
      root: '/r',
      isolation: 'native',
      snapshotter: 'copy',
      insecureRegistries: ['h:5'],
      maxParallelism: 3,
      once: true,
    });
  });

  it('takes no empty value for the folder it is in, or for this machine', async () => {
    assert.match(await refused(''), /the context "" is empty/);
    assert.match(await refused('.', '--build-context', 'x='), /the source of "x" is empty/);
    for (const platform of ['', 'linux/amd64,']) {
      assert.match(await refused('.', '--platform', platform), /--platform: the value is empty/);
    }
    for (const flag of ['--build-arg', '--label', '--build-context', '--secret', '--ssh', '--ulimit', '--shm-size']) {
      assert.match(await refused('.', flag, ''), new RegExp(`${flag}: `));
    }
    for (const flag of ['--cache-from', '--cache-to']) {
      assert.match(await refused('.', flag, ''), new RegExp(`${flag}: the value is empty`));
    }
    // As docker has it, for scripts whose variable is empty.
    const { secrets, target, file } = await built(['.', '--secret', 'id=s,src=', '--target', '', '-f', '']);
    assert.deepEqual([secrets?.[0]?.file, target, file], ['/work/s', undefined, undefined]);
    await built(['.', '--iidfile', '', '--metadata-file', '']);
    const { addHosts } = await built(['.', '--add-host', '', '--add-host', 'a:1.1.1.1,"b=::1"']);
    assert.deepEqual(addHosts, ['a:1.1.1.1', 'b=::1']);
  });

  it('refuses what makes no sense', async () => {
    assert.match(await refused(), /context is missing/);
    assert.match(await refused('a', 'b'), /one context.*a b/);
    assert.match(await refused('.', '--secret', 'src=x'), /--secret: the id is missing/);
    assert.match(await refused('.', '--secret', 'id=x,foo=y'), /unknown key "foo"/);
    assert.match(await refused('.', '--ulimit', 'files=3'), /not a limit/);
    assert.match(await refused('.', '--ulimit', 'nofile=3:2'), /above the hard one/);
    assert.match(await refused('.', '--network', 'bridge'), /"bridge" is not one of/);
    assert.match(await refused('.', '--build-context', 'x'), /name=source/);
    assert.match(await refused('.', '--no-cache', '--no-cache-filter', 'a'), /cannot be used together/);
    assert.match(await refused('.', '--call', 'lists'), /"lists" is not one of/);
    assert.match(await refused('.', '--progress', 'fancy'), /"fancy" is not one of/);
    assert.match(await refused('.', '--isolation', 'vm'), /"vm" is not one of/);
    const both = await strake(['build', '-', '-f', '-']);
    assert.equal(both.status, 1);
    assert.match(both.stderr, /cannot both come from standard input/);
  });

  it('warns of known flags without effect', async () => {
    const argv = [
      'build',
      '.',
      '--builder',
      'x',
      '--provenance=false',
      '--cache-from',
      'a',
      '--cache-from',
      'b',
      '--cpuset-cpus',
      '1g',
    ];
    const { stderr } = await strake(argv);
    const warnings = stderr.split('\n').filter((line) => line.startsWith('warning: '));
    assert.equal(warnings.length, 3);
    assert.match(stderr, /warning: --builder does nothing here/);
  });
});

describe('build outputs', () => {
  const outputs = async (...argv: string[]): Promise<unknown> =>
    (await built([...argv, '.'])).outputs?.map(({ type, attributes }) => ({ type, ...attributes }));

  it('reads --output as buildx does', async () => {
    assert.deepEqual(await outputs(), []);
    assert.deepEqual(await outputs('--output='), []);
    assert.deepEqual(await outputs('-o', '', '-o', 'out'), [{ type: 'local', dest: '/work/out' }]);
    assert.deepEqual(await outputs('-o', 'out'), [{ type: 'local', dest: '/work/out' }]);
    assert.deepEqual(await outputs('-o', '-'), [{ type: 'tar', dest: '-' }]);
    assert.deepEqual(await outputs('-o', 'type=oci,dest=/x/a.tar,Compression=zstd'), [
      { type: 'oci', dest: '/x/a.tar', compression: 'zstd' },
    ]);
    assert.deepEqual(await outputs('--output=type=oci'), [{ type: 'oci', dest: '-' }]);
    assert.deepEqual(await outputs('-o', 'type=docker'), [{ type: 'image' }]);
    assert.deepEqual(await outputs('-o', 'type=image,"name=a,b"'), [{ type: 'image', name: 'a,b' }]);
  });

  it('joins --push and --load with them', async () => {
    assert.deepEqual(await outputs('--push'), [{ type: 'registry' }]);
    assert.deepEqual(await outputs('--push', '-o', 'type=image'), [{ type: 'image', push: 'true' }]);
    assert.deepEqual(await outputs('--push', '-o', 'type=registry'), [{ type: 'registry' }]);
    assert.deepEqual(await outputs('--load', '-o', 'type=oci,dest=a'), [
      { type: 'oci', dest: '/work/a' },
      { type: 'image' },
    ]);
    assert.deepEqual(await outputs('--load', '--push'), [{ type: 'registry' }, { type: 'image' }]);
  });

  it('refuses what makes no sense', async () => {
    assert.match(await refused('.', '-o', 'dest=x,name=y'), /type is missing/);
    assert.match(await refused('.', '-o', 'type=zip,dest=x'), /"zip" is not one of/);
    assert.match(await refused('.', '-o', 'type=local'), /needs a folder/);
    assert.match(await refused('.', '-o', 'type=oci,x'), /"x" must be written as key=value/);
    assert.match(await refused('.', '-o', '-', '-o', 'type=oci'), /only one output/);
    const { status, stderr } = await strake(['build', '.', '-o', '-'], {}, { stdout: new Collector(true) });
    assert.equal(status, 1);
    assert.match(stderr, /would go to the terminal/);
  });
});
