import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';

import { createEngine } from '../../src/engine.js';
import type { Engine } from '../../src/types.js';
import type { WatchRun } from '../../src/watch/types.js';
import { WatchTest } from './support.js';

/** Says what it is when it starts and when it is stopped, and at each line of its fifo what its tree looks like. */
const PROGRAM = `
trap 'echo stopped; exit 0' TERM
echo "started $(cat /app/src/a)"
while :; do sleep 1 & wait $!; done
`;

function busyboxLayout(folder: string): string {
  let root = new URL('.', import.meta.url);
  while (!fs.existsSync(new URL('scripts/busybox-layout.mjs', root))) root = new URL('..', root);
  const layout = `${folder}/busybox`;
  execFileSync(process.execPath, [fileURLToPath(new URL('scripts/busybox-layout.mjs', root)), layout]);
  return `oci-layout://${layout}`;
}

describe('watch: the container', function () {
  this.timeout(120_000);
  let test: WatchTest;
  let build: { context: string; buildContexts: Record<string, string>; tags: string[] };
  const said: string[] = [];
  let heard: (() => void) | undefined;

  before(async function () {
    const probe = new WatchTest();
    try {
      probe.write({ Dockerfile: 'FROM busybox\nRUN true\n' });
      const buildContexts = { busybox: busyboxLayout(probe.folder) };
      await probe.start({ build: { context: probe.context, buildContexts, tags: ['probe'] } });
      if (probe.events.some(({ type }) => type === 'failed')) this.skip();
    } finally {
      await probe.remove();
    }
  });
  beforeEach(() => {
    said.length = 0;
    test = new WatchTest();
    build = { context: test.context, buildContexts: { busybox: busyboxLayout(test.folder) }, tags: ['watched'] };
    test.write({
      Dockerfile:
        'FROM busybox\nCOPY package.json /app/\nRUN cp /app/package.json /app/copy\nCOPY --chown=12:34 src /app/src\nCMD ["sh", "/app/src/run"]\n',
      'package.json': '{}',
      'src/a': 'one',
      'src/run': PROGRAM,
    });
    test.on((event) => {
      if (event.type !== 'output') return;
      said.push(...Buffer.from(event.data).toString().split('\n').filter(Boolean));
      heard?.();
    });
  });
  afterEach(() => test.remove());

  /** What was warned of, for failures. */
  const warned = (): string => test.events.flatMap((e) => (e.type === 'warning' ? [e.message] : [])).join('; ');
  const containerStates = (): string[] => test.events.flatMap((e) => (e.type === 'container' ? [e.state] : []));
  const run = (options: WatchRun = {}): Promise<void> => test.start({ build, run: options });
  async function saying(text: string): Promise<void> {
    while (!said.includes(text)) await new Promise<void>((resolve) => (heard = resolve));
  }

  it('a new image takes the place of the old one, which is stopped first', async () => {
    await run();
    await saying('started one');
    test.write({ 'src/a': 'two' });
    assert.deepEqual((await test.built()).actions, ['restarted']);
    await saying('started two');
    assert.deepEqual(said, ['started one', 'stopped', 'started two']);
    assert.deepEqual(containerStates(), ['started', 'restarted']);
  });

  it('nothing is said of how the old one ended, also where it had to be killed', async () => {
    test.write({ 'src/run': 'echo "started $(cat /app/src/a)"\nwhile :; do sleep 0.1; done\n' });
    await run();
    await saying('started one');
    test.write({ 'src/a': 'two' });
    assert.deepEqual((await test.built()).actions, ['restarted']);
    assert.deepEqual(containerStates(), ['started', 'restarted']);
  });

  it('after a failed build the old container goes on', async () => {
    await run();
    await saying('started one');
    fs.renameSync(test.at('package.json'), test.at('package.bak'));
    await test.next('failed');
    await test.next('watching');
    fs.renameSync(test.at('package.bak'), test.at('package.json'));
    assert.equal((await test.built()).unchanged, true);
    assert.deepEqual(said, ['started one']);
  });

  it('a program that does not catch the signal is not waited for; all ends within a second', async () => {
    test.write({ 'src/run': 'echo "started $(cat /app/src/a)"\nexec sleep 1000\n' });
    await run();
    await saying('started one');
    const begun = performance.now();
    await test.stop();
    assert.ok(performance.now() - begun < 1000, `${performance.now() - begun}`);
  });

  it('a program that does not end when it is told to is killed when the watch ends', async () => {
    test.write({ 'src/run': "trap 'echo no' TERM\necho started\nwhile :; do sleep 0.1; done\n" });
    await run();
    await saying('started');
    const begun = performance.now();
    await test.stop();
    assert.ok(performance.now() - begun < 2000, `${performance.now() - begun}`);
  });

  it('a file that only a COPY uses is put into the running container', async () => {
    await run({ sync: true, verify: true });
    await saying('started one');
    test.write({ 'src/a': 'two', 'src/deep/b': 'new' });
    fs.symlinkSync('a', test.at('src/link'));
    fs.chmodSync(test.at('src/a'), 0o751);
    const [action] = (await test.built()).actions;
    assert.match(action ?? '', /^synced \d paths, verified$/);
    fs.rmSync(test.at('src/deep'), { recursive: true });
    fs.rmSync(test.at('src/link'));
    assert.match((await test.built()).actions[0] ?? '', /verified/, warned());
    assert.deepEqual(said, ['started one']);
  });

  it('a saved file is in the container before its image is, also where that cannot be built; the next image is right', async () => {
    const look = (file: string): string => `read -r n < ${file}; [ "$n" = "$o" ] || echo "$n"; o=$n; sleep 0.05`;
    test.write({ 'src/run': `while :; do ${look('/app/src/a')}; done\n`, 'src/a': 'one\n' });
    await run({ sync: true, verify: true });
    await saying('one');
    fs.renameSync(test.at('package.json'), test.at('package.bak'));
    await test.next('failed');
    await test.next('watching');
    test.write({ 'src/a': 'two\n' });
    await test.next('failed');
    await saying('two');
    await test.next('watching');
    test.write({ 'src/a': 'one\n' });
    await test.next('failed');
    await test.next('watching');
    // The image is what it was, and yet the container has to be told.
    fs.renameSync(test.at('package.bak'), test.at('package.json'));
    assert.deepEqual((await test.built()).actions, ['synced 1 path, verified'], warned());
    while (said.length < 3) await new Promise<void>((resolve) => (heard = resolve));
    assert.deepEqual(said, ['one', 'two', 'one']);
  });

  it('a save while a build runs is in the container before that build has ended', async () => {
    const look = (file: string): string => `read -r n < ${file}; [ "$n" = "$o" ] || echo "$n"; o=$n; sleep 0.05`;
    test.write({ 'src/run': `while :; do ${look('/app/src/a')}; done\n`, 'src/a': 'one\n' });
    const own = await createEngine({ root: test.store });
    let held: Promise<void> | undefined;
    let release = (): void => undefined;
    const engine: Engine = { ...own, build: (options) => own.build(options).finally(() => held) };
    try {
      await test.start({ engine, build, run: { sync: true, verify: true } });
      await saying('one');
      held = new Promise((resolve) => (release = resolve));
      test.write({ 'package.json': '{"other": 1}' });
      await test.next('building');
      test.write({ 'src/a': 'two\n' });
      await saying('two');
      release();
      assert.deepEqual((await test.built()).actions, ['restarted']);
    } finally {
      release();
      await test.stop();
      await own.close();
    }
  });

  it('one save replaces a file once: whoever listens in the container starts once', async () => {
    const look = 'i=$(stat -c %i /app/src/a); [ "$i" = "$o" ] || echo "file $i"; o=$i';
    test.write({ 'src/run': `while :; do ${look}; [ ! -e /app/src/end ] || echo end; sleep 0.01; done\n` });
    await run({ sync: true });
    const files = (): number => said.filter((line) => line.startsWith('file ')).length;
    while (files() < 1) await new Promise<void>((resolve) => (heard = resolve));
    for (const text of ['two', 'three']) {
      test.write({ 'src/a': text });
      assert.deepEqual((await test.built()).actions, ['synced 1 path'], warned());
    }
    test.write({ 'src/end': '' });
    await saying('end');
    assert.equal(files(), 3);
  });

  it('a file that a RUN consumes: the build starts there, and a new container', async () => {
    await run({ sync: true });
    await saying('started one');
    test.write({ 'package.json': '{ "name": "other" }' });
    const { first, ran, actions } = await test.built();
    assert.match(first?.name ?? '', /COPY package.json/);
    assert.deepEqual([ran, actions], [3, ['restarted']]);
    // Back again: all is cached, and yet what the RUN made differs.
    test.write({ 'package.json': '{}' });
    assert.deepEqual((await test.built()).actions, ['restarted']);
  });

  it('deletes on a container that has ended (compose#13057): a new one is started', async () => {
    test.write({ 'src/run': 'echo "started $(cat /app/src/a)"\n' });
    await run({ sync: true });
    await test.next('container').catch(() => undefined);
    await saying('started one');
    while (!test.events.some((event) => event.type === 'container' && event.state === 'exited')) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    test.write({ 'src/a': 'two' });
    await test.built();
    await saying('started two');
    fs.rmSync(test.at('src/a'));
    const { actions } = await test.built();
    assert.deepEqual(actions, ['restarted']);
  });

  it('a non-root USER (compose#11304) does not matter', async () => {
    fs.appendFileSync(test.at('Dockerfile'), 'USER 1000:1000\n');
    await run({ sync: true, verify: true });
    await saying('started one');
    test.write({ 'src/a': 'two', 'src/new': 'x' });
    assert.match((await test.built()).actions[0] ?? '', /verified/);
  });

  it('what is no longer used can be collected while the container runs', async () => {
    await run({ sync: true, verify: true });
    await saying('started one');
    for (const text of ['two', 'three', 'four']) {
      test.write({ 'src/a': text });
      await test.built();
      assert.equal((await test.engine.prune({ all: true })).deferred, false);
      assert.equal((await test.engine.diskUsage()).garbage.count, 0);
    }
    // The layers that it was started on are there, though no image has them any more.
    test.write({ 'src/run': `${PROGRAM}# changed` });
    assert.match((await test.built()).actions[0] ?? '', /verified/, warned());
    assert.deepEqual(said, ['started one']);
  });

  it('a link that the container made leads nowhere', async () => {
    const outside = `${test.folder}/outside`;
    fs.mkdirSync(outside);
    fs.writeFileSync(`${outside}/a`, 'untouched');
    test.write({
      'src/run': `rm -rf /app/src/sub; ln -s ${outside} /app/src/sub; echo linked; exec sleep 1000\n`,
      'src/sub/a': 'one',
    });
    await run({ sync: true });
    await saying('linked');
    test.write({ 'src/sub/a': 'two' });
    const { actions } = await test.built();
    assert.deepEqual(actions, ['restarted']);
    assert.equal(fs.readFileSync(`${outside}/a`, 'utf8'), 'untouched');
  });

  it('random edits: the synchronised container equals the image', async () => {
    test.write({ 'src/d1/x': '1', 'src/d2/y': '2' });
    await run({ sync: true, verify: true });
    await saying('started one');
    let seed = 7;
    const random = (n: number): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) % n;
    for (let turn = 0; turn < 25; turn++) {
      for (let edits = 1 + random(4); edits > 0; edits--) edit(random);
      test.write({ 'src/turn': `${turn}` });
      const { actions } = await test.built();
      assert.match(actions[0] ?? '', /^synced \d+ paths?, verified$/, `turn ${turn}: ${warned()}`);
    }
    assert.deepEqual(said, ['started one']);
  });

  function edit(random: (n: number) => number): void {
    const path = test.at(`src/d${random(4)}/${['x', 'y', 'z'][random(3)] ?? ''}`);
    const folder = path.slice(0, path.lastIndexOf('/'));
    switch (random(8)) {
      case 0:
        fs.rmSync(folder, { recursive: true, force: true });
        return;
      case 1:
        fs.rmSync(path, { recursive: true, force: true });
        return;
      case 2:
        fs.rmSync(path, { recursive: true, force: true });
        fs.mkdirSync(path, { recursive: true });
        fs.writeFileSync(`${path}/inner`, `${random(100)}`);
        return;
      case 3:
        fs.rmSync(path, { recursive: true, force: true });
        fs.mkdirSync(folder, { recursive: true });
        fs.symlinkSync(`../d${random(4)}`, path);
        return;
      case 4:
        if (fs.lstatSync(path, { throwIfNoEntry: false })?.isFile()) fs.chmodSync(path, random(2) ? 0o600 : 0o755);
        return;
      case 5: {
        const to = test.at(`src/e${random(2)}`);
        fs.rmSync(to, { recursive: true, force: true });
        if (fs.existsSync(folder)) fs.renameSync(folder, to);
        return;
      }
      default:
        fs.rmSync(path, { recursive: true, force: true });
        fs.mkdirSync(folder, { recursive: true });
        fs.writeFileSync(path, 'x'.repeat(random(5000)));
    }
  }

  it('a shell line runs after each new image, and ends with the watch', async () => {
    const log = `${test.folder}/log`;
    await test.start({ build, exec: `echo "$STRAKE_IMAGE" >> ${log}` });
    await test.next('exec');
    test.write({ 'src/a': 'two' });
    await test.next('exec');
    assert.equal(fs.readFileSync(log, 'utf8'), 'docker.io/library/watched:latest\n'.repeat(2));
  });
});
