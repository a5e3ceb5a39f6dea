import assert from 'node:assert/strict';

import type { BuildOptions, Plan } from '../src/index.js';
import { processesWith, Shop } from './library-support.js';

describe('library: engine.plan()', function () {
  this.timeout(60_000);
  let shop: Shop;
  beforeEach(() => (shop = new Shop()));
  afterEach(() => shop.close());

  const LINES = [
    'FROM busybox AS make',
    'COPY src /src',
    'RUN wc -l < /src/a > /lines',
    'FROM busybox',
    'COPY --from=make /lines /',
    'COPY readme /',
    'RUN cat /lines /readme > /all',
  ];
  const options = (files: Readonly<Record<string, string>>, more: Partial<BuildOptions> = {}): BuildOptions => ({
    dockerfile: LINES.join('\n'),
    context: { 'src/a': 'one\n', readme: 'read me\n', ...files },
    buildContexts: shop.buildContexts,
    tags: ['planned'],
    ...more,
  });
  /** State of each step, by the line that it stands in. */
  const states = ({ steps }: Plan): Record<number, string> =>
    Object.fromEntries(steps.map(({ location, state }) => [location?.line ?? 0, state]));
  const why = ({ steps }: Plan, line: number): string[] =>
    steps.filter((step) => step.location?.line === line).flatMap(({ reasons }) => reasons.map(({ text }) => text));

  it('tells what would run before anything has, and runs nothing', async () => {
    const plan = await shop.engine.plan(options({}));
    assert.deepEqual(states(plan), {
      ...{ 1: 'cached', 2: 'run', 3: 'run', 4: 'cached' },
      ...{ 5: 'depends', 6: 'depends', 7: 'depends' },
    });
    assert.deepEqual(why(plan, 5), ['depends on what [make 2/3] RUN wc -l < /src/a > /lines makes']);
    assert.deepEqual(processesWith(shop.store), []);
    assert.deepEqual(await shop.engine.images(), []);
    const [, copy, run] = plan.steps.filter(({ stage }) => stage === 'make');
    assert.deepEqual(run?.inputs, [copy?.id]);
    assert.deepEqual(plan.warnings, []);
  });

  it('foresees with the key of each step what the build then does, after whatever change', async () => {
    await shop.engine.build(options({})).result;
    const changes: [string, BuildOptions, Readonly<Record<number, string>>][] = [
      ['nothing', options({}), { 1: 'cached', 2: 'cached', 3: 'cached', 5: 'cached', 6: 'cached', 7: 'cached' }],
      ['the readme', options({ readme: 'new' }), { 2: 'cached', 3: 'cached', 5: 'cached', 6: 'run', 7: 'run' }],
      ['the source', options({ 'src/a': 'two\n' }), { 2: 'run', 3: 'run', 5: 'depends', 6: 'depends', 7: 'depends' }],
      ['the number of lines', options({ 'src/a': '1\n2\n' }), { 2: 'run', 3: 'run', 5: 'depends' }],
      ['a file that no step takes', options({ other: '' }), { 2: 'cached', 3: 'cached', 7: 'cached' }],
      [
        'a stage not cached',
        options({}, { noCacheFilter: ['make'] }),
        { 2: 'run', 3: 'run', 5: 'depends', 7: 'depends' },
      ],
      ['no cache', options({}, { noCache: true }), { 2: 'run', 3: 'run', 5: 'run', 6: 'run', 7: 'run' }],
    ];
    for (const [what, change, expected] of changes) {
      const plan = await shop.engine.plan(change);
      const found = states(plan);
      for (const [line, state] of Object.entries(expected))
        assert.equal(found[Number(line)], state, `${what}: ${line}`);
      const { steps } = await shop.engine.build(change).result;
      for (const step of steps) {
        const planned = plan.steps.find(({ id }) => id === step.id);
        if (planned?.key !== undefined) assert.equal(planned.key, step.key, `${what}: ${step.name}`);
        if (planned?.state === 'run') assert.equal(step.cached, false, `${what}: ${step.name}`);
        if (planned?.state === 'cached' && !step.name.includes('oci-layout'))
          assert.ok(step.cached, `${what}: ${step.name}`);
      }
    }
  });

  it('says why', async () => {
    await shop.engine.build(options({})).result;
    const plan = await shop.engine.plan(options({ readme: 'new' }));
    assert.deepEqual(why(plan, 6), ['readme changed (content, 8 → 3 bytes)']);
    assert.deepEqual(why(plan, 5), []);
    const again = await shop.engine.plan(options({ readme: 'new' }));
    assert.deepEqual(
      why(again, 6),
      ['readme changed (content, 8 → 3 bytes)'],
      'a plan is no build that later ones are compared with',
    );
  });

  it('asks no other machine for what an ADD downloads, and fails for what a build would fail for', async () => {
    const dockerfile = 'FROM busybox as x\nADD http://127.0.0.1:9/file /\nRUN true';
    const plan = await shop.engine.plan({ dockerfile, buildContexts: shop.buildContexts });
    assert.deepEqual(states(plan), { 1: 'cached', 2: 'depends', 3: 'depends' });
    assert.deepEqual(why(plan, 2), ['depends on what is downloaded']);
    assert.deepEqual(
      plan.warnings.map(({ rule, location }) => [rule, location?.line]),
      [['FromAsCasing', 1]],
    );
    await assert.rejects(shop.engine.plan({ dockerfile: 'FROM busybox\nCOPY --from=no a b\nRUNN x' }), {
      name: 'StrakeError',
    });
    await assert.rejects(shop.engine.plan({}), { code: 'ARGUMENT_INVALID' });
  });
});
