import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { createEngine, isStrakeError, StrakeError, type Build, type BuildEvent } from '../src/index.js';
import { eventsOf, eventually, printed, processesWith, Shop } from './library-support.js';

describe('library: build()', function () {
  this.timeout(60_000);
  let shop: Shop;
  before(() => (shop = new Shop()));
  after(() => shop.close());

  const LINES = ['FROM busybox', 'COPY src /src', 'RUN echo working; cat /src/a.txt > /result', 'CMD cat /result'];

  it('makes an image of a Dockerfile and files that are on no disk', async () => {
    const before = readdirSync(shop.folder).sort();
    const build = shop.build(LINES, { context: { 'src/a.txt': 'one' }, tags: ['app'] });
    const events = await eventsOf(build);
    const result = await build.result;
    assert.equal(printed(events), 'working\n');
    assert.equal(await shop.run('app'), 'one');
    assert.deepEqual(result.names, ['docker.io/library/app:latest']);
    assert.equal(result.digest, (await shop.engine.inspect('app')).target.digest);
    assert.equal(result.size, (await shop.engine.inspect('app')).size);
    assert.deepEqual(result.config?.config?.Cmd, ['/bin/sh', '-c', 'cat /result']);
    const steps = result.steps.map(({ name, cached, location, stage }) => ({
      name,
      cached,
      line: location?.line,
      stage,
    }));
    assert.deepEqual(steps.slice(1), [
      { name: '[1/3] COPY src /src', cached: false, line: 2, stage: 'stage-0' },
      { name: '[2/3] RUN echo working; cat /src/a.txt > /result', cached: false, line: 3, stage: 'stage-0' },
    ]);
    assert.ok(result.timings.duration > 0 && result.timings.finished >= result.timings.started);
    const kinds = new Set(events.map(({ type }) => type));
    for (const type of ['step', 'step-started', 'step-output', 'step-finished', 'finished'] as const) {
      assert.ok(kinds.has(type), type);
    }
    assert.deepEqual(readdirSync(shop.folder).sort(), before.includes('store') ? before : [...before, 'store'].sort());
  });

  it('says why each step ran, and with which key those that did not are remembered', async () => {
    const again = shop.build(LINES, { context: { 'src/a.txt': 'two' }, tags: ['app'] });
    const [, copy, run] = (await again.result).steps;
    assert.deepEqual([copy?.cached, copy?.reasons.map(({ text }) => text)], [false, ['src/a.txt changed (content)']]);
    assert.match(run?.reasons.map(({ text }) => text).join() ?? '', /built on a step that changed/);
    const cached = shop.build(LINES, { context: { 'src/a.txt': 'two' }, tags: ['app'] });
    const events = await eventsOf(cached);
    const keys = events.flatMap((event) => (event.type === 'step-cached' ? [event.key] : []));
    assert.ok(run?.key !== undefined && keys.includes(run.key));
    assert.ok((await cached.result).steps.every((step) => step.cached && step.reasons.length === 0));
  });

  it('warns of a frontend that is not run', async () => {
    const warned = async (syntax: string, buildArgs = {}): Promise<readonly string[]> => {
      const events = await eventsOf(shop.build([`# syntax=${syntax}`, 'FROM busybox'], { buildArgs }));
      return events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
    };
    const own = [
      'docker/dockerfile:1',
      'docker/dockerfile:1.7-labs@sha256:00',
      'localhost:5000/mirror/docker/dockerfile',
    ];
    for (const syntax of [...own, 'docker/dockerfile-upstream:master'])
      assert.deepEqual(await warned(syntax), [], syntax);
    assert.match((await warned('example/nix2container:latest')).join(), /"example\/nix2container:latest".* is not run/);
    assert.match((await warned('docker/dockerfile', { BUILDKIT_SYNTAX: 'other' })).join(), /"other"/);
  });

  it('warns with the place that it warns of', async () => {
    const events = await eventsOf(shop.build(['FROM busybox as x', 'CMD true']));
    const warnings = events.filter((event) => event.type === 'warning');
    assert.deepEqual(
      warnings.map(({ rule, location }) => [rule, location?.file, location?.line, location?.column]),
      [
        ['FromAsCasing', 'Dockerfile', 1, 1],
        ['JSONArgsRecommended', 'Dockerfile', 2, 1],
      ],
    );
  });

  it('fails with an error that says what, where and how', async () => {
    const build = shop.build(['FROM busybox', '', 'RUN echo first; echo last words >&2; exit 3']);
    await assert.rejects(build.result, (error) => {
      assert.ok(error instanceof StrakeError && isStrakeError(error, 'STEP_FAILED'));
      assert.equal(error.exitCode, 3);
      assert.equal(error.step, '[1/2] RUN echo first; echo last words >&2; exit 3');
      // Two pipes have no common order.
      assert.deepEqual(error.outputTail?.split('\n').sort(), ['', 'first', 'last words']);
      assert.deepEqual([error.location?.file, error.location?.line, error.location?.column], ['Dockerfile', 3, 1]);
      return true;
    });
    const last = (await eventsOf(build)).at(-1);
    assert.ok(last?.type === 'finished' && isStrakeError(last.error, 'STEP_FAILED'));
  });

  for (const [what, options, code] of [
    ['no context at all', {}, 'ARGUMENT_INVALID'],
    ['standard input', { context: '-' }, 'ARGUMENT_INVALID'],
    ['a folder that is not there', { context: '/no/such/folder' }, 'CONTEXT_NOT_FOUND'],
    ['a path where a text belongs', { dockerfile: 'docker/Dockerfile' }, 'ARGUMENT_INVALID'],
    ['two Dockerfiles', { context: {}, dockerfile: 'FROM a', file: 'b' }, 'ARGUMENT_INVALID'],
    ['a map without a Dockerfile', { context: { a: '' } }, 'DOCKERFILE_NOT_FOUND'],
    ['a path that leads outside', { context: { '../a': '' }, dockerfile: 'FROM scratch' }, 'ARGUMENT_INVALID'],
    ['a secret of nothing', { dockerfile: 'FROM scratch', secrets: [{ id: 'a' }] }, 'ARGUMENT_INVALID'],
    ['an archive that goes nowhere', { dockerfile: 'FROM scratch', outputs: [{ type: 'oci' }] }, 'ARGUMENT_INVALID'],
    ['a tag that is none', { dockerfile: 'FROM scratch', tags: ['A B'] }, 'REFERENCE_INVALID'],
  ] as const) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(shop.engine.build(options).result, { name: 'StrakeError', code });
    });
  }

  it('takes a folder, secrets, arguments and outputs as the command does', async () => {
    const context = path.join(shop.folder, 'context');
    mkdirSync(context);
    writeFileSync(
      path.join(context, 'Dockerfile'),
      'FROM busybox AS a\nARG WHO\nRUN --mount=type=secret,id=s echo $WHO $(cat /run/secrets/s) > /out\nFROM scratch\nCOPY --from=a /out /',
    );
    const dest = path.join(shop.folder, 'exported');
    const { digest, names } = await shop.engine.build({
      context,
      buildContexts: shop.buildContexts,
      buildArgs: { WHO: 'me' },
      secrets: [{ id: 's', value: 'secret' }],
      outputs: [{ type: 'local', dest }],
    }).result;
    assert.deepEqual([digest, names], [undefined, []]);
    assert.equal(readFileSync(path.join(dest, 'out'), 'utf8'), 'me secret\n');
  });

  describe('when its signal aborts', () => {
    it('leaves no process and no file, and the engine goes on', async () => {
      const marker = `sleep 7${process.pid}1`;
      await shop.build(['FROM busybox', 'RUN true']).result;
      const before = shop.leftOver();
      const controller = new AbortController();
      const build = shop.build(['FROM busybox', `RUN echo up; ${marker} & ${marker}`], { signal: controller.signal });
      for await (const event of build.events) if (event.type === 'step-output') controller.abort();
      await assert.rejects(build.result, { code: 'CANCELLED' });
      await eventually(() => processesWith(marker).length === 0);
      assert.deepEqual(shop.leftOver(), before);
      assert.equal(printed(await eventsOf(shop.build(['FROM busybox', 'RUN echo still here']))), 'still here\n');
    });

    it('rejects with the reason that was given, at once where it has aborted before', async () => {
      const reason = new TypeError('mine');
      await assert.rejects(shop.build(['FROM busybox'], { signal: AbortSignal.abort(reason) }).result, reason);
    });
  });

  it('shares steps with other builds of the engine: those that are identical run once', async () => {
    const lines = ['FROM busybox', 'RUN echo one run of $$; sleep 0.2; date +%N > /x', 'RUN cat /x'];
    const builds = Array.from({ length: 5 }, () => shop.build(lines));
    const events: BuildEvent[] = (await Promise.all(builds.map(eventsOf))).flat();
    const digests = new Set((await Promise.all(builds.map(({ result }) => result))).map(({ digest }) => digest));
    assert.equal(digests.size, 1);
    assert.equal(printed(events).match(/one run/g)?.length, 1);
    assert.equal(events.filter(({ type }) => type === 'step-output').length, 2);
  });

  it('shares a step whose build is aborted: another one runs it', async () => {
    const lines = ['FROM busybox', 'RUN echo begun; sleep 0.3; echo done'];
    const controller = new AbortController();
    const first = shop.build(lines, { signal: controller.signal });
    let second: Build | undefined;
    for await (const event of first.events) {
      if (event.type !== 'step-output' || second) continue;
      second = shop.build(lines);
      controller.abort();
    }
    await assert.rejects(first.result, { code: 'CANCELLED' });
    assert.ok(second);
    assert.match(printed(await eventsOf(second)), /begun\ndone/);
  });
});

describe('library: engine.close()', function () {
  this.timeout(60_000);

  it('ends what runs, and nothing runs any more', async () => {
    const shop = new Shop();
    try {
      const marker = `sleep 7${process.pid}2`;
      const builds = [1, 2].map((n) => shop.build(['FROM busybox', `RUN echo up ${n}; ${marker}`]));
      const [first] = builds;
      for await (const event of first!.events) if (event.type === 'step-output') break;
      await shop.engine.close();
      for (const { result } of builds) await assert.rejects(result, { code: 'CANCELLED' });
      assert.deepEqual(processesWith(shop.store), []);
      await eventually(() => processesWith(marker).length === 0);
      const judge = createEngine({ root: shop.store });
      assert.deepEqual((await judge.doctor()).leftovers, []);
      await judge.close();
      await assert.rejects(shop.build(['FROM busybox']).result, { code: 'ENGINE_CLOSED' });
      await assert.rejects(shop.engine.images(), { code: 'ENGINE_CLOSED' });
      await shop.engine.close();
    } finally {
      await shop.close();
    }
  });
});
