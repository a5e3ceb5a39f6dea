import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import fc from 'fast-check';
import { randomBuild, randomEdit, unseenEdit } from './support/random-build.js';
import { RandomScene } from './support/random-scene.js';
import { Workshop, type Outcome, type RunOptions } from './support/strake.js';

/** Random builds; `STRAKE_CACHE_RUNS=100 scripts/test.sh e2e/test/repeat.test.ts` tries more. */
const RUNS = Number(process.env['STRAKE_CACHE_RUNS'] ?? 4);

/** Says at the end of the process whether all of Strake was read. */
const PRELOAD = `
const fs = require('node:fs');
const read = fs.readFileSync;
let whole = false;
fs.readFileSync = (file, ...rest) => {
  if (String(file).endsWith('strake.cjs')) whole = true;
  return read(file, ...rest);
};
process.on('exit', () => fs.writeFileSync(process.env.SAYS_HOW, whole ? 'built' : 'answered'));
`;

describe('a build like the one before it', function () {
  this.timeout(60_000 + RUNS * 30_000);
  let workshop: Workshop;
  let how: string;

  before(async () => {
    workshop = new Workshop();
    how = path.join(workshop.folder, 'how');
    writeFileSync(path.join(workshop.folder, 'preload.cjs'), PRELOAD);
    const loaded = await workshop.build(['FROM busybox'], ['-q', '-t', 'busybox']);
    assert.equal(loaded.status, 0, loaded.stderr);
  });
  after(() => workshop.close());

  beforeEach(() => {
    rmSync(workshop.context, { recursive: true });
    mkdirSync(workshop.context);
    workshop.write('Dockerfile', 'FROM busybox\nCOPY src /src\nRUN cat /src/* > /all\n');
    workshop.write('src/one', 'one');
    const past = Date.now() / 1000 - 60;
    for (const file of ['src/one', 'src', 'Dockerfile', '.']) utimesSync(path.join(workshop.context, file), past, past);
  });

  const traced = (options: RunOptions): RunOptions => ({
    ...options,
    env: { NODE_OPTIONS: `--require ${path.join(workshop.folder, 'preload.cjs')}`, SAYS_HOW: how, ...options.env },
  });
  /** Runs the command; how it came to its answer. */
  const run = async (argv: readonly string[], options: RunOptions = {}): Promise<Outcome & { how: string }> => {
    const outcome = await workshop.strake(argv, traced(options));
    assert.equal(outcome.status, 0, outcome.stderr);
    return { ...outcome, how: readFileSync(how, 'utf8') };
  };
  const build = ['build', '-t', 'app', 'context'];
  /** Builds until that is answered. */
  const settle = async (argv: readonly string[] = build, options: RunOptions = {}): Promise<Outcome> => {
    for (let turn = 0; turn < 4; turn++) {
      const outcome = await run(argv, options);
      if (outcome.how === 'answered') return outcome;
    }
    return assert.fail('it is never answered');
  };
  const id = async (argv: readonly string[] = build, options: RunOptions = {}): Promise<string> => {
    const env = { ...options.env, STRAKE_REPEAT: 'off' };
    const { how: found, stdout } = await run([...argv, '-q'], { ...options, env });
    assert.equal(found, 'built');
    return stdout;
  };

  it('is answered as it was, with the time that it took', async () => {
    await run(build);
    const built = await run(build);
    assert.equal(built.how, 'built');
    const answered = await run(build);
    assert.equal(answered.how, 'answered');
    assert.equal(answered.stdout, built.stdout);
    const shown = (text: string): string => text.replace(/ in [\d.]+ s,/, ' in T,').replace(/DONE [\d.]+s/g, 'DONE T');
    assert.equal(shown(answered.stderr), shown(built.stderr));
    assert.match(answered.stderr, / in \d+\.\d\d s, \d of \d steps cached\n$/);
    assert.equal((await settle([...build, '-q'])).stdout, await id());
  });

  it('leaves what a cached build leaves: times of use, and notes for explain', async () => {
    await settle();
    const names = path.join(workshop.store, 'refs');
    const records = path.join(workshop.store, 'cache');
    const past = new Date('2001-01-01');
    const files = [names, records].flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => path.join(folder, name)),
    );
    for (const file of files) utimesSync(file, past, past);
    await run(['build', '-t', 'other', '--label', 'a=b', 'context'], { env: { STRAKE_REPEAT: 'off' } });
    for (const file of files) utimesSync(file, past, past);
    assert.equal((await run(build)).how, 'answered');
    const used = files.filter((file) => statSync(file).isFile() && statSync(file).mtime > past);
    assert.ok(
      used.some((file) => file.startsWith(names)),
      'the name',
    );
    assert.ok(used.filter((file) => file.startsWith(records)).length >= 2, 'the records of both steps');
    const notes = readdirSync(path.join(workshop.store, 'builds')).map((name) =>
      path.join(workshop.store, 'builds', name),
    );
    const newest = notes.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0] ?? '';
    assert.ok(Date.now() - (JSON.parse(readFileSync(newest, 'utf8')) as { time: number }).time < 60_000);
    assert.match((await workshop.strake(['explain', 'last'])).stdout, /cached/);
  });

  const write = (name: string, text: string): void => workshop.write(name, text);
  /** Edits that must be seen, or may not matter; `same`: the image stays. */
  const edits: readonly (readonly [what: string, edit: () => unknown, same?: true])[] = [
    ['a file with other content', () => write('src/one', 'two')],
    [
      'a file of the same size and time',
      () => {
        const file = path.join(workshop.context, 'src/one');
        const { atime, mtime } = statSync(file);
        writeFileSync(file, 'uno');
        utimesSync(file, atime, mtime);
      },
    ],
    ['a new file', () => write('src/two', 'two')],
    [
      'a file that is gone',
      () => (write('src/two', ''), settle().then(() => rmSync(path.join(workshop.context, 'src/two')))),
    ],
    [
      'a line of the Dockerfile',
      () => write('Dockerfile', 'FROM busybox\nCOPY src /src\nRUN cat /src/one /src/one > /all\n'),
    ],
    ['an ignore file', () => (write('src/two', ''), settle().then(() => write('.dockerignore', 'src/two\n')))],
    [
      'an ignore file of the Dockerfile',
      () => (write('src/two', ''), settle().then(() => write('Dockerfile.dockerignore', 'src/two\n'))),
    ],
    [
      'a base image of another content',
      () => workshop.build(['FROM busybox', 'RUN echo > /more'], ['-q', '-t', 'busybox']),
    ],
    ['the name given to another image', () => workshop.strake(['tag', 'busybox', 'app']), true],
    ['the name taken away', () => workshop.strake(['rm', 'app']), true],
    ['a build of it without the cache', () => run([...build, '--no-cache'])],
    ['its records gone', () => rmSync(path.join(workshop.store, 'cache'), { recursive: true })],
    ['the cache pruned', () => workshop.strake(['prune', '-a', '-f'])],
  ];
  for (const [what, edit, same] of edits) {
    it(`but for ${what}, is built`, async () => {
      await settle();
      const before = await id();
      await edit();
      const after = await run(build);
      assert.equal(after.how, 'built');
      const now = await id();
      if (same) assert.equal(now, before);
      const { stdout } = await workshop.strake(['inspect', 'app']);
      const [image] = JSON.parse(stdout) as [{ id?: string; configDigest?: string }];
      assert.equal(image.configDigest ?? image.id, now.trim());
    });
  }

  it('but for another folder under the same link, is built', async () => {
    for (const name of ['first', 'second']) {
      mkdirSync(path.join(workshop.folder, name));
      writeFileSync(path.join(workshop.folder, name, 'Dockerfile'), `FROM scratch\nCOPY Dockerfile /${name}\n`);
    }
    const link = path.join(workshop.folder, 'link');
    symlinkSync('first', link);
    await settle(['build', 'link']);
    rmSync(link);
    symlinkSync('second', link);
    assert.equal((await run(['build', 'link'])).how, 'built');
  });

  it('of another environment, folder or command line is built', async () => {
    await settle();
    assert.equal((await run(build, { env: { NO_SUCH_VARIABLE: '1' } })).how, 'answered');
    assert.equal((await run(build, { env: { SOURCE_DATE_EPOCH: '1' } })).how, 'built');
    assert.equal((await run([...build.slice(0, -1), '../context'], { cwd: workshop.context })).how, 'built');
    assert.equal((await run([...build, '--build-arg', 'A=b'])).how, 'built');
  });

  it('with an argument from the environment, or one that looks like a secret, is never kept', async () => {
    write('Dockerfile', 'FROM busybox\nARG A\nARG TOKEN\nRUN true\n');
    const kept = (): string =>
      readdirSync(path.join(workshop.store, 'repeats'))
        .map((name) => readFileSync(path.join(workshop.store, 'repeats', name), 'latin1'))
        .join('');
    for (let turn = 0; turn < 3; turn++) {
      assert.equal((await run([...build, '--build-arg', 'A'], { env: { A: 'planted-1' } })).how, 'built');
      assert.equal((await run([...build, '--build-arg', 'TOKEN=planted-2'])).how, 'built');
    }
    assert.doesNotMatch(kept(), /planted/);
    await settle([...build, '--build-arg', 'A'], {});
  });

  it('of a base in a layout is built where another image is in it', async () => {
    const layout = path.join(workshop.folder, 'layout');
    const made = await workshop.strake(['build', '-o', `type=oci,dest=${layout},tar=false`, 'context']);
    assert.equal(made.status, 0, made.stderr);
    write('Dockerfile', 'FROM base\nCOPY src/one /two\n');
    const based = ['build', '-t', 'based', '--build-context', `base=oci-layout://${layout}`, 'context'];
    const old = Date.now() / 1000 - 60;
    const age = (): void => {
      for (const file of ['index.json', '.', 'blobs/sha256', ...blobs()]) utimesSync(path.join(layout, file), old, old);
    };
    const blobs = (): string[] => readdirSync(path.join(layout, 'blobs/sha256')).map((name) => `blobs/sha256/${name}`);
    age();
    await settle(based);
    const index = readFileSync(path.join(layout, 'index.json'), 'utf8');
    writeFileSync(path.join(layout, 'index.json'), `${index} `);
    assert.equal((await run(based)).how, 'built');
    age();
    await settle(based);
    const [blob = ''] = blobs().filter((name) => index.includes(path.basename(name)));
    rmSync(path.join(layout, blob));
    const broken = await workshop.strake(based);
    assert.match(broken.stderr, /is missing/);
  });

  it('that asks a server is built', async () => {
    const server = createServer((_, response) => response.end('content'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
      write('Dockerfile', `FROM busybox\nADD ${url} /file\n`);
      for (let turn = 0; turn < 3; turn++) assert.equal((await run(build)).how, 'built');
    } finally {
      server.close();
    }
  });

  it('with flags that have it do more is built', async () => {
    const iid = path.join(workshop.folder, 'iid');
    await settle();
    for (let turn = 0; turn < 2; turn++) {
      rmSync(iid, { force: true });
      assert.equal((await run([...build, '--iidfile', iid])).how, 'built');
      assert.ok(existsSync(iid));
    }
  });

  it('comes to what a build comes to, with random builds and random edits', async () => {
    let scenes = 0;
    let answers = 0;
    await fc.assert(
      fc.asyncProperty(
        randomBuild,
        fc.array(fc.oneof(randomEdit, unseenEdit), { minLength: 2, maxLength: 5 }),
        async (of, changes) => {
          const scene = new RandomScene(path.join(workshop.folder, `scene${scenes++}`), of);
          const command = (): string[] => [
            ...['build', '-q', '-t', 'random', '-f', scene.dockerfile],
            ...Object.entries(scene.buildArgs).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
            scene.context,
          ];
          try {
            for (const change of [undefined, ...changes]) {
              if (change?.kind === 'surroundings') continue;
              if (change !== undefined) {
                if (
                  [
                    'touch',
                    'unseen',
                    'moved',
                    'unused argument',
                    'label',
                    'comment',
                    'spelling',
                    'unreachable stage',
                  ].includes(change.kind)
                )
                  scene.editUnseen(change as Parameters<RandomScene['editUnseen']>[0]);
                else scene.edit(change as Parameters<RandomScene['edit']>[0]);
              }
              for (let turn = 0; turn < 3; turn++) {
                const outcome = await workshop.strake(command(), traced({}));
                const plain = await workshop.strake(command(), { env: { STRAKE_REPEAT: 'off' } });
                assert.equal(outcome.status, plain.status, scene.text);
                if (plain.status !== 0) break;
                assert.equal(outcome.stdout, plain.stdout, scene.text);
                if (readFileSync(how, 'utf8') === 'answered') answers++;
              }
            }
          } finally {
            scene.close();
          }
        },
      ),
      { numRuns: RUNS, endOnFailure: true },
    );
    assert.ok(answers > 0, 'some were answered');
  });
});
