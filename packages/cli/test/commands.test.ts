import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { StrakeError, type ImageConfig } from '@strake/core';
import type { BuildOptions, ImageDetails, ImageSummary, RunImageOptions } from '@strake/engine';
import { BUILT, CONFIG_DIGEST, DIGEST, of, strake, utf8 } from './support.js';

const a = of('a');
const SUMMARY: ImageSummary = {
  name: 'docker.io/library/app:latest',
  target: { mediaType: 'm', digest: DIGEST, size: 7 },
  configDigest: CONFIG_DIGEST,
  created: '1970-01-01T00:00:40Z',
  size: 3_400_000,
  platform: { os: 'linux', architecture: 'amd64' },
};
const CONFIG: ImageConfig = {
  os: 'linux',
  architecture: 'amd64',
  rootfs: { type: 'layers', diff_ids: [] },
  history: [{ created_by: 'ADD x' }, { created_by: 'ENV a=b', empty_layer: true }, { created_by: 'RUN y\nz' }],
};
const DETAILS: ImageDetails = {
  ...SUMMARY,
  manifest: {},
  config: CONFIG,
  layers: [
    { diffId: DIGEST, size: 1000 },
    { diffId: DIGEST, size: 2000 },
  ],
};

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'cli-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('strake build', () => {
  it('shows progress and the summary on standard error', async () => {
    const outcome = await strake(['build', '.'], {
      build: ({ onEvent }) => {
        onEvent?.(a.step('RUN x'));
        onEvent?.(a.cached(0));
        onEvent?.({ type: 'warning', rule: 'Casing', message: 'no', location: { file: 'Dockerfile', line: 4 } });
        return Promise.resolve(BUILT);
      },
    });
    assert.equal(outcome.status, 0);
    assert.equal(outcome.stdout, '');
    assert.equal(
      outcome.stderr,
      `#1 RUN x\n#1 CACHED\n\n\n 1 warning found:\n - Casing: no (line 4)\nbuilt app:latest ${DIGEST} in 0.21 s, 1 of 2 steps cached\n`,
    );
    assert.equal(outcome.closed, true);
  });

  it('prints the id with -q, and nothing else', async () => {
    const outcome = await strake(['build', '-q', '.'], {
      build: ({ onEvent }) => {
        onEvent?.(a.started(0));
        return Promise.resolve(BUILT);
      },
    });
    assert.deepEqual([outcome.stdout, outcome.stderr], [`${CONFIG_DIGEST}\n`, '']);
  });

  it('writes --iidfile and --metadata-file', () =>
    inFolder(async (cwd) => {
      const argv = ['build', '--iidfile', 'id', '--metadata-file', 'meta.json', '.'];
      await strake(argv, { build: () => Promise.resolve(BUILT) }, { cwd });
      assert.equal(readFileSync(path.join(cwd, 'id'), 'utf8'), CONFIG_DIGEST);
      assert.deepEqual(JSON.parse(readFileSync(path.join(cwd, 'meta.json'), 'utf8')), BUILT.metadata);
      assert.deepEqual(readdirSync(cwd).sort(), ['id', 'meta.json']);
    }));

  it('leaves no id of an earlier build when it fails, and closes the engine', () =>
    inFolder(async (cwd) => {
      writeFileSync(path.join(cwd, 'id'), 'old');
      const error = new StrakeError({
        code: 'STEP_FAILED',
        message: 'it failed',
        step: 'RUN x',
        outputTail: 'last words\n',
      });
      const outcome = await strake(['build', '--iidfile', 'id', '.'], { build: () => Promise.reject(error) }, { cwd });
      assert.equal(outcome.status, 1);
      assert.match(outcome.stderr, /error: it failed\n {2}in step RUN x\n[^]*last words/);
      assert.equal(existsSync(path.join(cwd, 'id')), false);
      assert.equal(outcome.closed, true);
    }));

  it('does not repeat output that it has just shown', async () => {
    const error = new StrakeError({
      code: 'STEP_FAILED',
      message: 'it failed',
      step: 'RUN x',
      outputTail: 'last words\n',
    });
    const { stderr } = await strake(['build', '.'], {
      build: ({ onEvent }) => {
        for (const event of [
          a.step('RUN x'),
          a.started(0),
          a.output(1, 'last words\n'),
          a.finished(2, 'exit code: 1'),
        ]) {
          onEvent?.(event);
        }
        return Promise.reject(error);
      },
    });
    assert.equal(stderr.match(/last words/g)?.length, 1);
  });

  it('names a file that cannot be written, before anything is built', async () => {
    const build = (): Promise<never> => Promise.reject(new Error('it was built'));
    for (const flag of ['--iidfile', '--metadata-file']) {
      const outcome = await strake(['build', flag, 'no/such/id', '.'], { build });
      assert.equal(outcome.status, 1);
      assert.match(outcome.stderr, /error: cannot write no\/such\/id/);
    }
  });

  it('does not remove what is no regular file, where an id is to be written to it', () =>
    inFolder(async (cwd) => {
      symlinkSync('/dev/null', path.join(cwd, 'id'));
      assert.equal(
        (await strake(['build', '--iidfile', 'id', '.'], { build: () => Promise.resolve(BUILT) }, { cwd })).status,
        0,
      );
      assert.equal(readlinkSync(path.join(cwd, 'id')), '/dev/null');
    }));

  it('hands standard input on for -', async () => {
    const stdin = Readable.from(['FROM scratch']);
    let given: BuildOptions | undefined;
    const build = (options: BuildOptions): Promise<typeof BUILT> => {
      given = options;
      return Promise.resolve(BUILT);
    };
    await strake(['build', '-'], { build }, { stdin: () => stdin });
    assert.equal(given?.stdin, stdin);
    await strake(['build', '.'], { build }, { stdin: () => assert.fail('not needed') });
    assert.equal(given.stdin, undefined);
    const terminal = Object.assign(Readable.from([]), { isTTY: true });
    assert.equal((await strake(['build', '-'], { build }, { stdin: () => terminal })).status, 2);
  });

  it('calls check, outline and targets instead', async () => {
    const methods: string[] = [];
    const call = (method: string): Promise<{ text: string; json: unknown; exitCode: number }> => {
      methods.push(method);
      return Promise.resolve({ text: 'text', json: { warnings: [] }, exitCode: 3 });
    };
    const json = await strake(['build', '--call=check,format=json', '.'], { call });
    assert.deepEqual([json.status, JSON.parse(json.stdout), json.stderr], [3, { warnings: [] }, '']);
    assert.equal((await strake(['build', '--check', '.'], { call })).stdout, 'text\n');
    await strake(['build', '--call', 'outline', '.'], { call });
    await strake(['build', '--call=format=json,targets', '.'], { call });
    assert.deepEqual(methods, ['check', 'check', 'outline', 'targets']);
    assert.equal((await strake(['build', '--call=check,ignorestatus=true', '.'], { call })).status, 0);
    assert.equal((await strake(['build', '--call=check,ignorestatus=false', '.'], { call })).status, 3);
    const evil = (): ReturnType<typeof call> =>
      Promise.resolve({ text: '>>> CMD \x1b[2J\x1b]0;x\x07a\n', json: {}, exitCode: 0 });
    assert.equal((await strake(['check', '.'], { call: evil })).stdout, '>>> CMD a\n');
  });

  it('says that it was cancelled', async () => {
    const signal = AbortSignal.abort(new StrakeError({ code: 'CANCELLED', message: 'x' }));
    const outcome = await strake(['build', '.'], { build: () => Promise.reject(new Error('torn')) }, { signal });
    assert.match(outcome.stderr, /cancelled\n$/);
  });
});

describe('other commands', () => {
  it('strake run passes output and exit status on', async () => {
    let given: RunImageOptions | undefined;
    const run = (options: RunImageOptions): Promise<number> => {
      given = options;
      options.onOutput('stdout', utf8('out'));
      options.onOutput('stderr', utf8('err'));
      return Promise.resolve(42);
    };
    const argv = [
      'run',
      '-it',
      '-e',
      'A=1',
      '-e',
      'B',
      '-e',
      'C',
      '-u',
      'me',
      '-w/x',
      '-h',
      'ship',
      '--network=none',
      'app',
      'sh',
      '-c',
      'x',
    ];
    const outcome = await strake(argv, { run }, { env: { B: 'two' } });
    assert.deepEqual([outcome.status, outcome.stdout, outcome.stderr], [42, 'out', 'err']);
    assert.deepEqual(given?.command, ['sh', '-c', 'x']);
    assert.deepEqual(given.env, ['A=1', 'B=two']);
    assert.deepEqual([given.user, given.workdir, given.hostname, given.network], ['me', '/x', 'ship', 'none']);
    assert.deepEqual([given.interactive, given.tty], [true, true]);
  });

  it('strake images prints a table, ids or JSON', async () => {
    const images = (): Promise<ImageSummary[]> =>
      Promise.resolve([SUMMARY, { ...SUMMARY, name: 'localhost:5000/a/b:1' }]);
    assert.equal(
      (await strake(['images'], { images })).stdout,
      [
        'REPOSITORY          TAG     IMAGE ID      PLATFORM     CREATED         SIZE',
        'app                 latest  cccccccccccc  linux/amd64  16 minutes ago  3.40MB',
        'localhost:5000/a/b  1       cccccccccccc  linux/amd64  16 minutes ago  3.40MB',
        '',
      ].join('\n'),
    );
    assert.equal((await strake(['images', '-q'], { images })).stdout, `${CONFIG_DIGEST}\n`);
    for (const flag of [['--json'], ['--format', 'json']]) {
      assert.equal((JSON.parse((await strake(['images', ...flag], { images })).stdout) as unknown[]).length, 2);
    }
  });

  it('strake images PATTERN lists what matches by name or repository', async () => {
    const names = ['docker.io/library/app:latest', 'localhost:5000/a/b:1', 'docker.io/me/tool:2'];
    const images = (): Promise<ImageSummary[]> => Promise.resolve(names.map((name) => ({ ...SUMMARY, name })));
    const listed = async (pattern: string): Promise<string[]> => {
      const { stdout } = await strake(['images', '--json', pattern], { images });
      return (JSON.parse(stdout) as ImageSummary[]).map(({ name }) => name);
    };
    assert.deepEqual(await listed('app'), [names[0]]);
    assert.deepEqual(await listed('a*:l*'), [names[0]]);
    assert.deepEqual(await listed('me/*'), [names[2]]);
    assert.deepEqual(await listed('localhost:5000/**'), [names[1]]);
    assert.deepEqual(await listed('nothing'), []);
  });

  it('strake history pairs entries with layers', async () => {
    const inspect = (): Promise<ImageDetails> => Promise.resolve(DETAILS);
    assert.equal(
      (await strake(['history', 'app'], { inspect })).stdout,
      [
        'CREATED  CREATED BY  SIZE    COMMENT',
        '         RUN y z     2.00kB',
        '         ENV a=b     0B',
        '         ADD x       1.00kB',
        '',
      ].join('\n'),
    );
    const sizes = (
      JSON.parse((await strake(['history', '--json', 'app'], { inspect })).stdout) as { size: number }[]
    ).map((e) => e.size);
    assert.deepEqual(sizes, [2000, 0, 1000]);
  });

  it('strake inspect, tag, rm, push and pull', async () => {
    const calls: string[][] = [];
    const methods = {
      inspect: () => Promise.resolve(DETAILS),
      tag: (source: string, target: string) => Promise.resolve(void calls.push([source, target])),
      remove: (name: string) => Promise.resolve(void calls.push([name])),
      push: () => Promise.resolve(SUMMARY.target),
      pull: () => Promise.resolve(SUMMARY),
    };
    const [first] = JSON.parse((await strake(['inspect', 'app'], methods)).stdout) as [{ configDigest: string }];
    assert.equal(first.configDigest, CONFIG_DIGEST);
    assert.equal((await strake(['tag', 'a', 'b'], methods)).status, 0);
    assert.equal((await strake(['rm', 'c', 'd'], methods)).stdout, 'removed c\nremoved d\n');
    assert.deepEqual(calls, [['a', 'b'], ['c'], ['d']]);
    assert.equal((await strake(['push', 'app'], methods)).stdout, `pushed app:latest ${DIGEST}\n`);
    assert.equal((await strake(['pull', '-q', 'app'], methods)).stdout, `${DIGEST}\n`);
  });

  it('strake doctor', async () => {
    const report = {
      checks: [
        { name: 'overlay', ok: true, detail: 'can be mounted' },
        { name: 'runc', ok: false, detail: 'not found', hint: 'apt-get install runc' },
      ],
      choices: [{ what: 'isolation', choice: 'native', why: 'no OCI runtime' }],
      leftovers: ['/var/lib/strake/tmp/x'],
    };
    const { stdout } = await strake(['doctor'], { doctor: () => Promise.resolve(report) });
    assert.match(stdout, /overlay +ok +can be mounted\nrunc +no +not found\n\nrunc: apt-get install runc\n/);
    assert.match(
      stdout,
      /isolation +native +no OCI runtime\n\na crash left behind .*--fix.*\n {2}\/var\/lib\/strake\/tmp\/x\n/,
    );
    assert.deepEqual(
      JSON.parse((await strake(['doctor', '--json'], { doctor: () => Promise.resolve(report) })).stdout),
      report,
    );
  });

  it('strake login and logout', async () => {
    const calls: object[] = [];
    const authentication = () =>
      Promise.resolve({
        login: ({ registry, username, password }: { registry: string; username: string; password: string }) => {
          calls.push({ registry, username, password });
          return Promise.resolve({ registry, storedIn: '/x/config.json', plain: true });
        },
        logout: () => Promise.resolve(false),
      });
    const stdin = () => Readable.from([utf8('secret\n')]);
    const outcome = await strake(['login', '-u', 'me', '--password-stdin', 'host:5000'], {}, { authentication, stdin });
    assert.deepEqual(calls, [{ registry: 'host:5000', username: 'me', password: 'secret' }]);
    assert.equal(outcome.stdout, 'logged in to host:5000 as me\n');
    assert.match(outcome.stderr, /unencrypted in \/x\/config\.json/);
    assert.equal(
      (await strake(['logout'], {}, { authentication })).stdout,
      'there were no credentials for Docker Hub\n',
    );
    const nobody = await strake(['login', '-u', 'me'], {}, { authentication, stdin });
    assert.match(nobody.stderr, /error: no password given/);
    assert.equal((await strake(['login', '--password-stdin'], {}, { authentication, stdin })).status, 1);
  });

  it('wrong usage ends with status 2', async () => {
    for (const argv of [
      ['push'],
      ['push', 'a', 'b'],
      ['tag', 'a'],
      ['rm'],
      ['run'],
      ['images', 'x', 'y'],
      ['frobnicate'],
      ['--root', 'x'],
    ]) {
      const outcome = await strake(argv);
      assert.equal(outcome.status, 2, argv.join(' '));
      assert.match(outcome.stderr, /^error: /);
      assert.equal(outcome.closed, false);
    }
    assert.match((await strake(['bild', '.'])).stderr, /unknown command "bild"\nhint: Did you mean build\?/);
  });

  it('helps', async () => {
    assert.match((await strake([])).stdout, /\n {2}build +Build an image/);
    for (const argv of [
      ['build', '--help'],
      ['build', '-h'],
      ['help', 'build'],
    ]) {
      assert.match((await strake(argv)).stdout, /^usage: strake build \[OPTIONS\] CONTEXT\n[^]*--build-arg NAME/);
    }
    assert.match((await strake(['run', '--help'])).stdout, /-h, --hostname/);
    assert.match((await strake(['--version'])).stdout, /^strake \d+\.\d+\.\d+\n$/);
  });
});
