import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import path from 'node:path';
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
    assert.match(await build(lines()), /s {2}\[3\/3\] RUN echo one {2}← no earlier build/);
    assert.match(await build(lines()), / cached {2}\[2\/3\] COPY[^←]*\n +cached {2}\[3\/3\] RUN echo one\n/);

    workshop.write('a.txt', 'changed');
    chmodSync(path.join(workshop.context, 'b.txt'), 0o755);
    workshop.write('new.txt', '');
    const changed = await build(lines());
    assert.match(
      changed,
      /COPY .*← a\.txt changed \(content, 1 → 7 bytes\); b\.txt changed \(mode 644 → 755\); new\.txt is new/,
    );
    assert.match(changed, /RUN echo one {2}← built on a step that changed: \[2\/3\] COPY/);

    assert.match(await build(lines('echo two')), /RUN echo two {2}← the instruction changed: -one \+two/);
    assert.match(await build(lines('echo two', '2')), /RUN echo two {2}← ARG or ENV VALUE: "1" → "2"/);
    assert.match(
      await build(lines('echo two', '2'), '--build-arg', 'COLOUR=red'),
      /RUN echo two {2}← ARG or ENV COLOUR="red" is new/,
    );
    const secret = await build(lines('echo two', '2'), '--build-arg', 'COLOUR=red', '--build-arg', 'API_TOKEN=hush');
    assert.match(secret, /ARG or ENV API_TOKEN: \(hidden\) → \(hidden\)/);
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
    const { steps } = JSON.parse(stdout) as { steps: { name: string; cached: boolean; reasons: string[] }[] };
    assert.deepEqual(
      steps.map(({ cached }) => cached),
      [false, false, false],
    );
    const unknown = await workshop.strake(['explain', 'nothing']);
    assert.equal(unknown.status, 1);
    assert.match(unknown.stderr, /no build of "nothing" is remembered/);
  });
});
