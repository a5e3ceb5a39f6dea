import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { BuildExplanation, StepReason } from 'strake';
import { ServedFiles } from './support/served-files.js';
import { Workshop } from './support/strake.js';

describe('strake build --explain', function () {
  this.timeout(120_000);
  let workshop: Workshop;
  before(() => {
    workshop = new Workshop();
  });
  after(() => workshop.close());

  const build = async (lines: readonly string[], ...argv: string[]): Promise<string> => {
    const { status, stderr } = await workshop.build(lines, ['--explain', '-q', '-t', 'app', ...argv]);
    assert.equal(status, 0, stderr);
    return stderr;
  };
  const lines = (run = 'echo one', value = '1'): string[] => [
    'FROM busybox',
    'ARG API_TOKEN=x',
    'ARG COLOUR',
    `ENV VALUE=${value}`,
    'COPY . /src/',
    `RUN ${run}`,
  ];

  it('tells of each step what changed', async () => {
    workshop.write('a.txt', 'a');
    workshop.write('b.txt', 'b');
    workshop.write('c.txt', 'c');
    assert.match(await build(lines()), /s {2}\[2\/3\] RUN echo one {2}← no earlier build/);
    assert.match(await build(lines()), / cached {2}\[1\/3\] COPY[^←]*\n +cached {2}\[2\/3\] RUN echo one\n/);

    workshop.write('a.txt', 'changed');
    chmodSync(path.join(workshop.context, 'b.txt'), 0o755);
    workshop.write('new.txt', '');
    const changed = await build(lines());
    assert.match(
      changed,
      /COPY .*← a\.txt changed \(content, 1 → 7 bytes\); b\.txt changed \(mode 644 → 755\); new\.txt is new/,
    );
    assert.match(changed, /RUN echo one {2}← built on a step that changed: \[1\/3\] COPY/);

    assert.match(await build(lines('echo two')), /RUN echo two {2}← the instruction changed: -one \+two/);
    assert.match(await build(lines('echo two', '2')), /RUN echo two {2}← ENV VALUE: "1" → "2"/);
    assert.match(
      await build(lines('echo two', '2'), '--build-arg', 'COLOUR=red'),
      /RUN echo two {2}← ARG COLOUR="red" is new/,
    );
    const secret = await build(lines('echo two', '2'), '--build-arg', 'COLOUR=red', '--build-arg', 'API_TOKEN=hush');
    assert.match(secret, /ARG API_TOKEN: \(hidden\) → \(hidden\)/);
    assert.doesNotMatch(secret, /hush/);
    assert.match(await build(lines('echo two', '2'), '--no-cache'), /RUN echo two {2}← --no-cache/);
  });

  it('tells of a collected record', async () => {
    assert.equal((await workshop.strake(['prune', '-af'])).status, 0);
    assert.match(await build(lines('echo two', '2')), /COPY .*← its record was collected/);
  });

  it('strake explain tells of the last build, and of an image', async () => {
    const last = await workshop.strake(['explain']);
    assert.match(last.stdout, /COPY .*← its record was collected/);
    const { stdout } = await workshop.strake(['explain', 'app', '--json']);
    const { steps } = JSON.parse(stdout) as BuildExplanation;
    assert.deepEqual(
      steps.map(({ cached, reasons }) => [cached, reasons.map(({ kind }) => kind).join()]),
      [
        [false, ''],
        [false, 'record-collected'],
        // The build before had a result of its own, made with --no-cache.
        [false, 'parent'],
      ],
    );
    const unknown = await workshop.strake(['explain', 'nothing']);
    assert.equal(unknown.status, 1);
    assert.match(unknown.stderr, /no build of "nothing" is remembered/);
  });

  it('tells of a build that fails; the next one is compared with what succeeded', async () => {
    await build(lines('echo two', '2'));
    const failing = [...lines('exit 3', '2'), 'RUN never'];
    const { status, stderr } = await workshop.build(failing, ['--explain', '-q']);
    assert.equal(status, 1);
    assert.match(stderr, /cached {2}\[1\/4\] COPY/);
    assert.match(stderr, /FAILED {2}\[2\/4\] RUN exit 3 {2}← the instruction changed: /);
    assert.doesNotMatch(stderr, /\[3\/4\]/);
    assert.ok(stderr.indexOf('FAILED') < stderr.indexOf('error: '), stderr);

    const { steps } = JSON.parse((await workshop.strake(['explain', '--json'])).stdout) as BuildExplanation;
    assert.deepEqual(
      steps.map(({ failed, cached }) => (failed ? 'failed' : cached ? 'cached' : 'ran')),
      ['cached', 'cached', 'failed'],
    );
    assert.match(await build(lines('true', '2')), /RUN true {2}← the instruction changed: -echo two \+true/);
  });

  describe('of what it reads', () => {
    /** The reasons of the step whose name holds TEXT, after a build of LINES. */
    const reasons = async (
      text: string,
      built: readonly string[],
      ...argv: string[]
    ): Promise<readonly StepReason[]> => {
      await build(built, ...argv);
      const { stdout } = await workshop.strake(['explain', '--json']);
      const { steps } = JSON.parse(stdout) as BuildExplanation;
      const step = steps.find(({ name }) => name.includes(text));
      assert.ok(step && !step.cached, `${text} was to run`);
      return step.reasons;
    };
    const told = (found: readonly StepReason[]): string => found.map(({ text }) => text).join('; ');

    it('names files of bind mounts, of stages and of parts of stages', async () => {
      workshop.write('config/one', '1');
      const mounted = (text: string): string[] => [
        'FROM busybox AS made',
        `RUN mkdir /out && echo ${text} > /out/made && echo same > /out/same`,
        'FROM busybox',
        'RUN --mount=type=bind,source=config,target=/c cat /c/*',
        'RUN --mount=type=bind,from=made,source=/out,target=/m cat /m/*',
        'COPY --from=made /out /copied',
      ];
      await build(mounted('one'), '-t', 'mounts');
      workshop.write('config/one', 'other');
      assert.equal(told(await reasons('source=config', mounted('one'))), 'config/one changed (content, 1 → 5 bytes)');
      const found = await reasons('COPY --from', mounted('more'));
      assert.match(told(found), /^out\/made changed \(content, 4 → 5 bytes\); built on a step that changed: /);
      const { stdout } = await workshop.strake(['explain', '--json']);
      const { steps } = JSON.parse(stdout) as BuildExplanation;
      const mount = steps.find(({ name }) => name.includes('from=made,source'));
      assert.match(told(mount?.reasons ?? []), /^out\/made changed \(content, 4 → 5 bytes\)/);
    });

    it('names downloads by their address, without what may be a credential in it', async () => {
      const folder = path.join(workshop.folder, 'served');
      mkdirSync(folder);
      writeFileSync(path.join(folder, 'file'), 'one');
      const served = await ServedFiles.start(folder);
      try {
        const lines = ['FROM busybox', `ADD ${served.url}/file?token=hush /file`];
        await build(lines);
        writeFileSync(path.join(folder, 'file'), 'changed');
        assert.equal(told(await reasons('ADD', lines)), `${served.url}/file changed (content, 3 → 7 bytes)`);
      } finally {
        await served.close();
      }
    });

    it('names variables that an instruction other than RUN is made with', async () => {
      workshop.write('v1/file', '1');
      workshop.write('v2/file', '2');
      const lines = ['FROM busybox', 'ARG VERSION=v1', 'COPY $VERSION /data/', 'ENV DIR=/one', 'WORKDIR $DIR'];
      await build(lines);
      const copied = await reasons('COPY', lines, '--build-arg', 'VERSION=v2');
      assert.match(told(copied), /^ARG VERSION: "v1" → "v2"; /);
      const moved = [...lines.slice(0, 3), 'ENV DIR=/two', 'WORKDIR $DIR'];
      assert.equal(told(await reasons('WORKDIR', moved, '--build-arg', 'VERSION=v2')), 'ENV DIR: "/one" → "/two"');
    });

    it('no value of a secret is in a note, wherever it was used', async () => {
      const lines = [
        'FROM busybox',
        'ARG DB_PASSWORD=nothing',
        'WORKDIR /$DB_PASSWORD',
        'RUN DB_PASSWORD=in-line true',
      ];
      await build(lines, '--build-arg', 'DB_PASSWORD=hunter22');
      await build(lines, '--build-arg', 'DB_PASSWORD=hunter33');
      const folder = path.join(workshop.store, 'builds');
      const notes = readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'utf8'));
      assert.doesNotMatch(notes.join(), /hunter|in-line/);
    });
  });

  it('compares with the build before of the same Dockerfile', async () => {
    const other = ['FROM busybox', 'RUN echo other'];
    const fromStdin = (lines: readonly string[], ...argv: string[]): Promise<string> =>
      workshop
        .strake(
          [
            'build',
            '--explain',
            '-q',
            '--build-context',
            `busybox=oci-layout://${workshop.busybox}`,
            '-f',
            '-',
            ...argv,
            '.',
          ],
          { input: lines.join('\n'), cwd: workshop.context },
        )
        .then(({ stderr }) => stderr);
    const stages = (text: string): string[] => ['FROM busybox AS a', `RUN echo ${text}`, 'RUN echo after'];
    assert.match(await fromStdin(stages('one'), '-t', 'from-stdin'), /no earlier build/);
    // Something else on standard input is no earlier build of this.
    assert.match(await fromStdin(other), /echo other {2}← no earlier build/);
    assert.match(
      await fromStdin(stages('two'), '-t', 'from-stdin'),
      /echo two {2}← the instruction changed: -one \+two/,
    );
    assert.match(await build(stages('three'), '--target', 'a'), /echo three {2}← no earlier build|-one \+three/);
    // A step that is put between others is new; the others are not.
    const longer = ['FROM busybox', 'RUN echo before', 'RUN echo other'];
    await build(other, '-t', 'longer');
    const text = await build(longer, '-t', 'longer');
    assert.match(text, /echo before {2}← the step is new/);
    assert.match(text, /echo other {2}← built on a step that changed: \[1\/3\] RUN echo before/);
  });
});
