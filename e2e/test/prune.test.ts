import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { Workshop, type Outcome } from './support/strake.js';

interface Item {
  readonly id: string;
  readonly type: string;
  readonly description: string;
  readonly size: number;
  readonly shared: boolean;
}

interface Usage {
  readonly images: readonly { readonly name: string; readonly pulled: boolean }[];
  readonly cache: readonly Item[];
  readonly cacheSize: number;
  readonly garbage: { readonly count: number };
}

interface Pruned {
  readonly removed: readonly Item[];
  readonly freed: number;
  readonly deferred: boolean;
}

function ok(outcome: Outcome): Outcome {
  assert.equal(outcome.status, 0, outcome.stderr);
  return outcome;
}

describe('strake prune and strake df', function () {
  this.timeout(120_000);
  let workshop: Workshop;
  beforeEach(() => {
    workshop = new Workshop();
  });
  afterEach(() => workshop.close());

  const usage = async (): Promise<Usage> => JSON.parse(ok(await workshop.strake(['df', '--json'])).stdout) as Usage;
  const prune = async (...argv: string[]): Promise<Pruned> =>
    JSON.parse(ok(await workshop.strake(['prune', '-f', '--json', ...argv])).stdout) as Pruned;
  const blobs = (): string[] => readdirSync(path.join(workshop.store, 'blobs/sha256'));
  const stepsRun = async (lines: readonly string[], tag: string): Promise<number> => {
    const { stderr } = ok(await workshop.build(lines, ['-t', tag]));
    const [, cached, all] = /(\d+) of (\d+) steps cached/.exec(stderr) ?? [];
    return Number(all) - Number(cached);
  };
  const step = (name: string): string => `RUN head -c 300000 /dev/urandom > /${name}`;

  it('takes the cache that no named image holds, and leaves that of named images', async () => {
    const kept = ['FROM busybox', step('kept'), 'CMD ["sh", "-c", "wc -c < /kept"]'];
    ok(await workshop.build(kept, ['-t', 'kept']));
    ok(await workshop.build(['FROM busybox', step('lost')]));
    const before = await usage();
    assert.ok(before.cache.some(({ description, shared }) => description.includes('/lost') && !shared));
    assert.ok(before.cache.some(({ description, shared }) => description.includes('/kept') && shared));
    assert.ok(before.cacheSize >= 300_000);

    const { removed, freed, deferred } = await prune();
    assert.equal(deferred, false);
    assert.ok(freed >= 300_000 && freed < 900_000, String(freed));
    assert.ok(removed.some(({ description }) => description.includes('/lost')));
    assert.ok(!removed.some(({ description }) => description.includes('/kept')));
    const after = await usage();
    assert.equal(after.cacheSize, 0);
    assert.equal(after.garbage.count, 0);
    assert.equal(await stepsRun(kept, 'kept'), 0);
    assert.equal(ok(await workshop.strake(['run', 'kept'])).stdout, '300000\n');
  });

  it('--all takes the cache of named images too; the images still run', async () => {
    const lines = ['FROM busybox', step('file'), 'CMD ["sh", "-c", "wc -c < /file"]'];
    ok(await workshop.build(lines, ['-t', 'app']));
    await prune('--all');
    assert.deepEqual((await usage()).cache, []);
    assert.equal(ok(await workshop.strake(['run', 'app'])).stdout, '300000\n');
    assert.ok((await stepsRun(lines, 'app')) > 0);
  });

  it('after rm nothing of an image is left', async () => {
    ok(await workshop.build(['FROM busybox', step('file')], ['-t', 'app']));
    ok(await workshop.strake(['rm', 'app']));
    await prune('--all');
    assert.deepEqual(blobs(), []);
    for (const folder of ['layers', 'tmp', 'leases']) {
      assert.deepEqual(readdirSync(path.join(workshop.store, folder)), [], folder);
    }
    assert.deepEqual(
      readdirSync(path.join(workshop.store, 'snapshots')).filter((name) => name !== 'empty'),
      [],
    );
    assert.equal((await workshop.strake(['doctor'])).stdout.includes('left behind'), false);
  });

  it('--keep-storage keeps what was used last', async () => {
    for (const name of ['one', 'two', 'three']) ok(await workshop.build(['FROM busybox AS base', step(name)]));
    // A hit counts as a use, also of the steps that it stands on.
    ok(await workshop.build(['FROM busybox AS base', step('one')]));
    const { removed } = await prune('--keep-storage', String((await usage()).cacheSize - 100_000));
    const names = removed.map(({ description }) => description).join();
    assert.match(names, /\/two/);
    assert.doesNotMatch(names, /\/one|\/three/);
  });

  it('filters', async () => {
    ok(await workshop.build(['FROM busybox', 'RUN --mount=type=cache,target=/c echo x > /c/f', 'COPY . /']));
    assert.deepEqual((await prune('--filter', 'until=1h')).removed, []);
    const { removed } = await prune('--filter', 'type=exec.cachemount');
    assert.deepEqual(
      removed.map(({ type }) => type),
      ['exec.cachemount'],
    );
    assert.deepEqual(readdirSync(path.join(workshop.store, 'mounts')), []);
    const wrong = await workshop.strake(['prune', '-f', '--filter', 'colour=red']);
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /unknown filter "colour=red"/);
  });

  it('asks first', async () => {
    const { status, stderr } = await workshop.strake(['prune']);
    assert.equal(status, 2);
    assert.match(stderr, /--force/);
  });

  it('does no harm to a running build, whose end gives the space back', async () => {
    ok(await workshop.build(['FROM busybox', step('lost')]));
    const waiting =
      'RUN --mount=type=cache,target=/c echo begun; while ! test -e /c/go; do sleep 0.05; done; cat /one | wc -c';
    const lines = ['FROM busybox', step('one'), waiting, 'CMD ["sh", "-c", "wc -c < /one"]'];
    let pruned: Promise<Pruned> | undefined;
    let released: Promise<Outcome> | undefined;
    const outcome = await workshop.build(lines, ['-t', 'app', '--progress', 'plain'], {
      onOutput: (text) => {
        if (pruned || !/ begun$/m.test(text)) return undefined;
        pruned = prune('--all');
        released = pruned.then(() =>
          workshop.strake(
            ['build', '--build-context', `busybox=oci-layout://${workshop.busybox}`, '-f', '-', workshop.context],
            { input: 'FROM busybox\nRUN --mount=type=cache,target=/c touch /c/go\n' },
          ),
        );
        return undefined;
      },
    });
    ok(outcome);
    assert.ok(pruned && released);
    ok(await released);
    const { deferred, freed } = await pruned;
    assert.equal(deferred, true);
    assert.ok(freed >= 300_000);
    assert.equal(ok(await workshop.strake(['run', 'app'])).stdout, '300000\n');
    // Whichever build ended last has swept.
    assert.equal((await usage()).garbage.count, 0);
    assert.ok(!existsSync(path.join(workshop.store, 'collect-pending')));
  });

  it('builds and prunes at once', async () => {
    const builds = Array.from({ length: 3 }, (_, i) =>
      workshop.strake(
        [
          'build',
          '-t',
          `app:${i}`,
          '--build-context',
          `busybox=oci-layout://${workshop.busybox}`,
          '-f',
          '-',
          workshop.context,
        ],
        { input: `FROM busybox\nRUN echo a > /a\nRUN echo ${i} > /b\nRUN sleep 0.${i}\nCMD ["cat", "/a", "/b"]\n` },
      ),
    );
    const prunes = Array.from({ length: 4 }, () => workshop.strake(['prune', '-a', '-f']));
    for (const outcome of await Promise.all([...builds, ...prunes])) ok(outcome);
    for (let i = 0; i < 3; i++) assert.equal(ok(await workshop.strake(['run', `app:${i}`])).stdout, `a\n${i}\n`);
  });

  it('a build collects by itself what is beyond the limits', async () => {
    const env = { STRAKE_GC_RESERVED: '1000000', STRAKE_GC_MAX_USED: '1000000', STRAKE_GC_MIN_FREE: '0' };
    const big = (name: string): string => `RUN head -c 9000000 /dev/urandom > /${name}`;
    ok(await workshop.build(['FROM busybox', big('one')], [], { env: { ...env, STRAKE_GC: 'off' } }));
    assert.ok((await usage()).cacheSize >= 9_000_000);
    ok(await workshop.build(['FROM busybox', step('two')], ['-t', 'two'], { env }));
    const { cache, cacheSize } = await usage();
    assert.ok(cacheSize <= 1_000_000, String(cacheSize));
    assert.ok(!cache.some(({ description }) => description.includes('/one')));
    assert.ok(cache.some(({ description }) => description.includes('/two')));
  });

  it('builds that follow one another collect again where they fill a disk that is full', async () => {
    const env = { STRAKE_GC_RESERVED: '20000000', STRAKE_GC_MIN_FREE: '900000000000000' };
    const blobs = path.join(workshop.store, 'blobs/sha256');
    const size = (): number => readdirSync(blobs).reduce((sum, name) => sum + statSync(path.join(blobs, name)).size, 0);
    // What other programs free on this disk meanwhile may hide for a turn or two that it fills up: 30 MB a turn.
    for (let turn = 1; turn <= 12 && (turn <= 5 || size() >= 100_000_000); turn++) {
      workshop.write('big', randomBytes(15_000_000).toString('hex'));
      ok(await workshop.build(['FROM busybox', 'COPY big /'], ['-t', 'app'], { env }));
    }
    assert.ok(size() < 100_000_000, String(size()));
  });

  it('df tells what is kept and why', async () => {
    ok(await workshop.build(['FROM busybox', step('file')], ['-t', 'app']));
    const { stdout } = ok(await workshop.strake(['df', '-v']));
    assert.match(stdout, /^images +1 +\d[\d.]*[kM]B +named: until strake rm$/m);
    assert.match(stdout, /^app:latest .*built or tagged here$/m);
    assert.match(stdout, /regular .*named images hold it too.*RUN head/);
  });
});
