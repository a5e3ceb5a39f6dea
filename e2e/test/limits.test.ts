import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { Workshop } from './support/strake.js';

/** Folders in which this machine's cgroups of version 1 would be made by us. */
function leftCgroups(): string[] {
  const found: string[] = [];
  for (const line of readFileSync('/proc/self/cgroup', 'utf8').split('\n')) {
    const [, controllers = '', path = ''] = line.split(':');
    const folder = `/sys/fs/cgroup/${controllers}${path}`;
    if (existsSync(folder)) found.push(...readdirSync(folder).filter((name) => name.startsWith('strake-step-')));
  }
  return found;
}

describe('limits', function () {
  this.timeout(120_000);
  let workshop: Workshop;
  beforeEach(() => {
    workshop = new Workshop();
  });
  afterEach(() => workshop.close());

  /** Whether the last build was told that cgroups are not to be had here. */
  const unlimited = (stderr: string): boolean => stderr.includes('steps are not limited');

  it('of memory stop the step that needs more, and only that', async function () {
    const hungry = 'RUN head -c 200000000 /dev/zero | tail -c 150000000 > /dev/null';
    const outcome = await workshop.build(['FROM busybox', 'RUN echo fine', hungry], ['--memory', '96m']);
    if (unlimited(outcome.stderr)) this.skip();
    assert.notEqual(outcome.status, 0);
    assert.match(outcome.stderr, /more memory than --memory allows/);
    assert.match(outcome.stderr, /Dockerfile:3/);
    assert.equal((await workshop.build(['FROM busybox', 'RUN echo fine'], ['--memory', '96m'])).status, 0);
    assert.deepEqual(leftCgroups(), []);
  });

  it('of processes hold for a step', async function () {
    const many = 'RUN for i in $(seq 1 300); do sleep 30 & done 2>/dev/null; true';
    const outcome = await workshop.build(['FROM busybox', many, 'RUN false'], ['--pids-limit', '60']);
    if (unlimited(outcome.stderr)) this.skip();
    assert.notEqual(outcome.status, 0);
    assert.match(outcome.stderr, /can't fork|--pids-limit/);
    assert.deepEqual(leftCgroups(), []);
  });

  it('are no part of the cache key', async () => {
    const lines = ['FROM busybox', 'RUN echo fine > /f'];
    const { stderr } = await workshop.build(lines, ['--cpus', '1.5', '--progress', 'plain']);
    assert.doesNotMatch(stderr, /CACHED/);
    assert.match((await workshop.build(lines, ['--progress', 'plain'])).stderr, /CACHED/);
  });

  it('of time stop a step, and nothing is left of it', async () => {
    const { status, stderr, took } = await workshop.build(
      ['FROM busybox', 'RUN echo done > /f', 'RUN sleep 300'],
      ['--step-timeout', '2s', '--progress', 'plain'],
    );
    assert.notEqual(status, 0);
    assert.match(stderr, /the step did not end within 2 s/);
    assert.match(stderr, /Dockerfile:3/);
    assert.ok(took < 60_000);
    const doctor = await workshop.strake(['doctor']);
    assert.doesNotMatch(doctor.stdout, /sleep 300/);
  });

  it('of time stop the whole build; what had finished is cached', async () => {
    const lines = ['FROM busybox', 'RUN echo done > /f', 'RUN sleep 300'];
    const { status, stderr } = await workshop.build(lines, ['--timeout', '5s', '--progress', 'plain']);
    assert.notEqual(status, 0);
    assert.match(stderr, /the build did not end within 5 s/);
    assert.match((await workshop.build(lines.slice(0, 2), ['--progress', 'plain'])).stderr, /CACHED/);
  });
});
