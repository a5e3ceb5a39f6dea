import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Workshop } from './support/strake.js';

// What BuildKit's keys are made of was looked at.
describe('what does not count for a step', function () {
  this.timeout(120_000);
  let workshop: Workshop;
  let made = 0;

  before(() => {
    workshop = new Workshop();
    workshop.write('one', 'content\n');
    workshop.write('two', 'content\n');
    workshop.write('other', 'other content\n');
  });
  after(() => workshop.close());

  /** What a step came to that comes to something else each time it runs. */
  const outcome = async (lines: readonly string[]): Promise<string> => {
    const folder = path.join(workshop.folder, `made-${++made}`);
    const { status, stderr } = await workshop.build(lines, ['-o', folder]);
    assert.equal(status, 0, stderr);
    return readFileSync(path.join(folder, 'made'), 'utf8');
  };
  const run = (flags: string): string => `RUN ${flags} head -c 32 /dev/urandom | od > /made`;

  it('the name of a file that is mounted', async () => {
    const mounted = (source: string): Promise<string> =>
      outcome(['FROM busybox', run(`--mount=source=${source},target=/m`)]);
    const first = await mounted('one');
    assert.equal(await mounted('two'), first);
    assert.notEqual(await mounted('other'), first);
    const staged = (name: string): Promise<string> =>
      outcome([
        'FROM busybox AS a',
        'COPY one two other /x/',
        'FROM busybox',
        run(`--mount=from=a,source=/x/${name},target=/m`),
      ]);
    const second = await staged('one');
    assert.equal(await staged('two'), second);
    assert.notEqual(await staged('other'), second);
  });

  it('how an octal mode is written', async () => {
    const copied = (mode: string): Promise<string> =>
      outcome(['FROM busybox', `COPY --chmod=${mode} one /x`, run('true;')]);
    const first = await copied('640');
    assert.equal(await copied('0640'), first);
    assert.notEqual(await copied('600'), first);
  });
});
