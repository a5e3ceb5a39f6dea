import assert from 'node:assert/strict';

import { Workshop } from './support/strake.js';

const WITHIN = 30_000;

/** Input that is meant to take a builder's time or memory: it ends soon, in an image or in an error that names it. */
describe('hostile input', () => {
  let workshop: Workshop;
  before(() => {
    workshop = new Workshop();
  });
  after(() => workshop.close());

  it('an environment of tens of thousands of variables', async function () {
    this.timeout(4 * WITHIN);
    const few = Array.from({ length: 20_000 }, (_, i) => `ENV V${i}=x`);
    const taken = await workshop.build(['FROM busybox', ...few, 'RUN echo $V19999']);
    assert.equal(taken.status, 0, taken.stderr);
    assert.ok(taken.took < WITHIN, `${taken.took} ms`);
    const many = Array.from(
      { length: 100 },
      (_, i) => `ENV ${Array.from({ length: 1000 }, (__, j) => `V${i}_${j}=`).join(' ')}`,
    );
    const refused = await workshop.build(['FROM busybox', ...many, 'RUN true']);
    assert.equal(refused.status, 1, refused.stderr);
    assert.match(refused.stderr, /environment has 10000\d variables, which is too many/);
    assert.ok(refused.took < WITHIN, `${refused.took} ms`);
    const long = Array.from({ length: 60 }, (_, i) => `ENV V${i}=${'x'.repeat(60_000)}`);
    const large = await workshop.build(['FROM busybox', ...long, 'RUN true']);
    assert.equal(large.status, 1, large.stderr);
    assert.match(large.stderr, /argument list too long/);
  });

  it('folders that are nested thousands deep, as WORKDIR and as a destination', async function () {
    this.timeout(4 * WITHIN);
    workshop.write('f', 'f');
    const deep = (depth: number): string => '/a'.repeat(depth);
    for (const line of [`WORKDIR ${deep(1800)}`, `COPY f ${deep(1800)}/`, `ADD f ${deep(1800)}/`]) {
      const made = await workshop.build(['FROM busybox', line]);
      assert.equal(made.status, 0, made.stderr);
      assert.ok(made.took < WITHIN, `${made.took} ms`);
    }
    for (const line of [`WORKDIR ${deep(30_000)}`, `COPY f ${deep(30_000)}/`, `COPY --link f ${deep(30_000)}/`]) {
      const refused = await workshop.build(['FROM busybox', line]);
      assert.equal(refused.status, 1, refused.stderr);
      assert.match(refused.stderr, /"\/?(a\/)+a?…" is too long: a path has 3800 bytes at most/);
      assert.ok(refused.took < WITHIN, `${refused.took} ms`);
    }
  });
});
