import assert from 'node:assert/strict';
import { existsSync, watch } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Workshop, type Outcome } from './support/strake.js';

const ROUNDS = 8;

interface Usage {
  readonly garbage: { readonly count: number };
  readonly cache: readonly { readonly shared: boolean }[];
}

function ok(outcome: Outcome, when: string): Outcome {
  assert.equal(outcome.status, 0, `${outcome.stderr} ${when}`);
  return outcome;
}

describe('a prune that is killed', function () {
  this.timeout(300_000);
  let workshop: Workshop;
  before(() => {
    workshop = new Workshop();
    workshop.write('a.txt', 'a\n');
  });
  after(() => workshop.close());

  /** A build of steps that are found again if their cache is there, right or wrong. */
  const lines = (round: number): string[] => [
    'FROM busybox',
    `RUN echo ${round} > /one; head -c 400000 /dev/urandom > /big; sha256sum /big > /sum`,
    'COPY a.txt /files/',
    `RUN --mount=type=cache,target=/c echo ${round} > /c/x; cat /one /files/a.txt > /two`,
    'CMD ["sh", "-c", "cat /two; sha256sum -c -s /sum && echo whole"]',
  ];
  const right = (round: number): string => `${round}\na\nwhole\n`;

  it(`leaves a sound store, ${ROUNDS} times in a row`, async () => {
    ok(await workshop.build(lines(-1), ['-t', 'kept']), 'at first');
    const { took } = ok(await workshop.strake(['prune', '-af']), 'not killed');
    let early = 0;
    let late = 0;
    for (let round = 0; round < ROUNDS; round++) {
      ok(await workshop.build(lines(round)), `before round ${round}`);
      // Every other time in the thick of it: when it has begun to remove, and up to a moment later.
      const within = round % 2 === 1;
      const delay = within ? (round * 7) % 20 : took * (0.3 + (0.75 * round) / ROUNDS);
      const when = `in round ${round}, killed ${Math.round(delay)} ms after it began to ${within ? 'remove' : 'run'}`;
      const watcher = watch(workshop.store);
      const argv = [['-af'], ['-f'], ['-f', '--keep-storage', '500000'], ['-af', '--images']][round % 4] ?? [];
      let ended = false;
      const pruned = await workshop
        .strake(['prune', ...argv], {
          onStart: (child) => {
            const killLater = (): void => void pause(delay).then(() => (ended ? undefined : child.kill()));
            if (!within) killLater();
            else watcher.on('change', (_, name) => (name === 'collect-pending' ? killLater() : undefined));
          },
        })
        .finally(() => {
          ended = true;
          watcher.close();
        });
      if (pruned.status === undefined) early++;
      else late++;

      // What is named is whole, and a build makes what it should from whatever cache is left.
      assert.equal(ok(await workshop.strake(['run', 'kept']), when).stdout, right(-1), when);
      ok(await workshop.build(lines(round), ['-t', 'now']), when);
      assert.equal(ok(await workshop.strake(['run', 'now']), when).stdout, right(round), when);
      ok(await workshop.strake(['rm', 'now']), when);
      if (round % 4 !== 3) continue;
      ok(await workshop.strake(['doctor', '--fix']), when);
      assert.doesNotMatch(ok(await workshop.strake(['doctor']), when).stdout, /left behind/, when);
    }
    assert.ok(early > 0, `no prune was killed, ${late} ended before`);
    // The next one that is not killed finishes the work of all of them.
    ok(await workshop.strake(['prune', '-f']), 'at last');
    const usage = JSON.parse(ok(await workshop.strake(['df', '--json']), 'at last').stdout) as Usage;
    assert.equal(usage.garbage.count, 0);
    assert.ok(usage.cache.every(({ shared }) => shared));
    for (const left of ['collect-pending', 'collecting']) assert.ok(!existsSync(path.join(workshop.store, left)), left);
    assert.equal(ok(await workshop.strake(['run', 'kept']), 'at last').stdout, right(-1));
  });
});
