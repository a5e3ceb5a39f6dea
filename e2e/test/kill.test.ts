import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { gone, mountsWith, processesWith } from './support/processes.js';
import { Workshop, type Outcome } from './support/strake.js';

const ROUNDS = 20;
/** Of the random numbers: the same moments each time. */
const SEED = 20_250_824;

/** Numbers from 0 to 1 (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Names of the steps of a plain log that ended like this. */
function steps(log: string, end: 'DONE' | 'CACHED'): string[] {
  const names = new Map<string, string>();
  const found: string[] = [];
  for (const line of log.split('\n')) {
    const [, id, name] = /^#(\d+) (\[\d+\/\d+\] .*)$/.exec(line) ?? [];
    if (id !== undefined && name !== undefined) names.set(id, name);
    const [, ended, how] = /^#(\d+) (DONE|CACHED)\b/.exec(line) ?? [];
    const step = ended === undefined ? undefined : names.get(ended);
    if (how === end && step !== undefined) found.push(step);
  }
  return found;
}

describe('a build that is killed', function () {
  this.timeout(300_000);
  const next = random(SEED);
  /** In the command lines of the steps, so that a step's processes can be told from all others. */
  const marker = `kill-${process.pid}-${SEED}`;
  let workshop: Workshop;

  const lines = [
    'FROM busybox',
    'ARG ROUND',
    `RUN : ${marker}; echo $ROUND > /one; head -c 3000000 /dev/urandom > /big`,
    'COPY a.txt b.txt /files/',
    `RUN : ${marker}; mkdir -p /two/deep/er; rm /big; for i in $(seq 200); do echo $i > /two/$i; done`,
    'WORKDIR /three',
    `RUN : ${marker}; echo $ROUND > /three/x; (sleep 600; : ${marker}) & echo started`,
    'COPY . /all/',
    `RUN : ${marker}; cat /one /three/x /all/b.txt > /result`,
    'CMD ["cat", "/result"]',
  ];
  const build = async (round: number, onStart?: (child: { kill(): void }) => void): Promise<Outcome> =>
    workshop.build(lines, ['-t', 'killed', '--build-arg', `ROUND=${round}`], onStart ? { onStart } : {});

  const nothingRemains = async (when: string): Promise<void> => {
    assert.deepEqual(await gone(() => processesWith(workshop.store)), [], `processes of strake ${when}`);
    assert.deepEqual(await gone(() => processesWith(marker)), [], `processes of steps ${when}`);
    assert.deepEqual(await gone(() => mountsWith(workshop.store)), [], `mounts ${when}`);
  };

  before(() => {
    workshop = new Workshop();
    workshop.write('a.txt', 'a\n');
    workshop.write('b.txt', 'b\n');
  });
  after(() => workshop.close());

  it(`leaves a sound store, ${ROUNDS} times in a row`, async () => {
    const { took, status, stderr } = await build(-1);
    assert.equal(status, 0, stderr);
    let finished = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const delay = next() * took * 1.05;
      const when = `in round ${round}, killed after ${Math.round(delay)} of ${took} ms`;
      let ended = false;
      const killed = build(round, (child) => {
        void pause(delay).then(() => (ended ? undefined : child.kill()));
      });
      const log = (await killed.finally(() => (ended = true))).stderr;
      await nothingRemains(when);
      const done = steps(log, 'DONE');
      finished += done.length;

      const images = await workshop.strake(['images', '--format', 'json']);
      assert.equal(images.status, 0, `${images.stderr} ${when}`);
      assert.equal((JSON.parse(images.stdout) as unknown[]).length, 1);
      const after = await build(round);
      assert.equal(after.status, 0, `${after.stderr} ${when}`);
      const cached = steps(after.stderr, 'CACHED');
      const repeated = done.filter((step) => !cached.includes(step));
      assert.deepEqual(repeated, [], `steps that had finished run again ${when}\n${log}\n${after.stderr}`);
      if (round % 5 !== 0) continue;
      const run = await workshop.strake(['run', 'killed']);
      assert.equal(run.stdout, `${round}\n${round}\nb\n`, `${run.stderr} ${when}`);
      const doctor = await workshop.strake(['doctor', '--fix']);
      assert.equal(doctor.status, 0, `${doctor.stderr} ${when}`);
      assert.doesNotMatch((await workshop.strake(['doctor'])).stdout, /left behind/, when);
    }
    assert.ok(finished > 0, 'no build came far enough to have finished a step');
    assert.equal((await workshop.strake(['doctor', '--fix'])).status, 0);
    assert.doesNotMatch((await workshop.strake(['doctor'])).stdout, /left behind/);
    await nothingRemains('in the end');
  });

  it('leaves nothing where it ended by itself', async () => {
    const again = ['FROM busybox', 'RUN echo the same > /layer', 'RUN true'];
    for (let i = 0; i < 2; i++) assert.equal((await workshop.build(again, ['--no-cache'])).status, 0);
    assert.doesNotMatch((await workshop.strake(['doctor'])).stdout, /left behind/);
    assert.deepEqual(readdirSync(path.join(workshop.store, 'leases')), []);
    assert.deepEqual(readdirSync(path.join(workshop.store, 'tmp')), []);
  });

  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`ends at once with ${status} on ${signal} and leaves nothing`, async () => {
      let at = 0;
      const stubborn = `trap '' INT TERM; echo up; while :; do sleep 600; : ${marker}; done`;
      const outcome = await workshop.build(['FROM busybox', `RUN ${stubborn}`], [], {
        onOutput: (text) => {
          if (at > 0 || !/ up$/m.test(text)) return undefined;
          at = Date.now();
          return signal;
        },
      });
      const lasted = Date.now() - at;
      assert.equal(outcome.status, status, outcome.stderr);
      assert.ok(lasted < 3000, `it took ${lasted} ms`);
      await nothingRemains(`after ${signal}`);
      assert.doesNotMatch((await workshop.strake(['doctor'])).stdout, /left behind/);
    });
  }
});
