import assert from 'node:assert/strict';
import fs from 'node:fs';

import type { WatchFolder } from '../../src/watch/folder-watcher.js';
import { WatchTest } from './support.js';

describe('watch: what is watched', () => {
  let test: WatchTest;
  beforeEach(() => {
    test = new WatchTest();
    test.write({ Dockerfile: 'FROM scratch\nCOPY . /app\n', 'src/a': 'a' });
  });
  afterEach(() => test.remove());

  /** fs.watch, with what it was asked for. */
  function spy(): { watch: WatchFolder; folders: string[] } {
    const folders: string[] = [];
    const watch: WatchFolder = (folder, ...rest) => {
      folders.push(folder.slice(test.context.length + 1));
      return fs.watch(folder, ...rest);
    };
    return { watch, folders };
  }

  it('ignored folders are not walked (compose#13750)', async () => {
    test.write({ '.dockerignore': 'node_modules\n', 'node_modules/a/b/c': 'x', 'src/deep/d': 'd' });
    const { watch, folders } = spy();
    await test.start({}, { watch });
    assert.deepEqual(folders.sort(), ['', 'src', 'src/deep']);
    test.write({ 'node_modules/a/new': 'x', 'node_modules/z': 'z' });
    assert.deepEqual((await test.sentinel()).paths, ['src/sentinel']);
  });

  it('ignore rules are those of the build (compose#12236)', async () => {
    test.write({ '.dockerignore': '**/*.log\n!keep.log\ntmp/\n!tmp/in\n', 'tmp/in': '1', 'tmp/out': '2' });
    await test.start();
    test.write({ 'src/x.log': 'x', 'tmp/out': 'other' });
    assert.deepEqual((await test.sentinel()).paths, ['src/sentinel']);
    test.write({ 'keep.log': 'kept' });
    assert.deepEqual((await test.built()).paths, ['keep.log']);
    test.write({ 'tmp/in': 'again' });
    assert.deepEqual((await test.built()).paths, ['tmp/in']);
  });

  it('what an exception brings back in an ignored folder is seen when it appears', async () => {
    test.write({ '.dockerignore': 'out\n!out/public\n', 'out/private': 'x' });
    await test.start();
    test.write({ 'out/public': 'y' });
    await test.built();
    assert.equal((await test.files())['app/out/public'], 'y');
  });

  it('files of unreachable stages are not watched', async () => {
    test.write({
      Dockerfile: 'FROM scratch AS never\nCOPY never /\nFROM scratch\nCOPY src /src\n',
      'never/file': 'x',
    });
    const { watch, folders } = spy();
    await test.start({}, { watch });
    assert.ok(!folders.includes('never'));
    test.write({ 'never/file': 'y' });
    assert.deepEqual((await test.sentinel()).paths, ['src/sentinel']);
  });

  it('named contexts, a Dockerfile elsewhere, secrets', async () => {
    const other = `${test.folder}/other`;
    fs.mkdirSync(other);
    fs.writeFileSync(`${other}/lib`, '1');
    fs.writeFileSync(`${test.folder}/token`, 's');
    fs.writeFileSync(`${test.folder}/My.Dockerfile`, 'FROM scratch\nCOPY --from=lib lib /\nCOPY src /src\n');
    await test.start({
      build: {
        context: test.context,
        tags: ['watched'],
        file: `${test.folder}/My.Dockerfile`,
        buildContexts: { lib: other },
        secrets: [{ id: 'token', file: `${test.folder}/token` }],
      },
    });
    fs.writeFileSync(`${other}/lib`, '2');
    await test.built();
    assert.equal((await test.files())['lib'], '2');
    fs.writeFileSync(`${test.folder}/token`, 't');
    assert.deepEqual((await test.built()).unchanged, true);
    fs.appendFileSync(`${test.folder}/My.Dockerfile`, 'COPY src/a /z\n');
    await test.built();
    assert.equal((await test.files())['z'], 'a');
  });

  it('dangling images do not pile up (compose#11073)', async () => {
    await test.start();
    for (let i = 0; i < 5; i++) await test.sentinel();
    assert.equal((await test.engine.images()).length, 1);
    await test.engine.prune({ all: true });
    const { garbage } = await test.engine.diskUsage();
    assert.equal(garbage.count, 0);
  });

  it("where inotify's limit is too small it says so, and looks itself", async () => {
    test.write({ 'src/deep/d': 'd' });
    let left = 1;
    const watch: WatchFolder = (folder, ...rest) => {
      if (left-- <= 0) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
      return fs.watch(folder, ...rest);
    };
    await test.start({}, { watch, sweepAfter: 1, poll: 1 });
    const told = test.events.find((event) => event.type === 'polling');
    assert.match(told?.hint ?? '', /max_user_watches/);
    assert.equal(told?.folders, 2);
    test.write({ 'src/deep/d': 'found by looking' });
    await test.built();
    assert.equal((await test.files())['app/src/deep/d'], 'found by looking');
  });

  it('an event that never came does not leave the image wrong', async () => {
    const watch: WatchFolder = (folder, ...rest) =>
      fs.watch(folder, rest[0], (event, name) => {
        if (name?.toString() !== 'a') rest[1](event, name);
      });
    await test.start({}, { watch, sweepAfter: 1 });
    test.write({ 'src/a': 'nobody told', 'src/b': 'this was told' });
    await test.next('built');
    while ((await test.files())['app/src/a'] !== 'nobody told') await test.next('built');
  });

  it("more events than the kernel's queue holds: everything is looked at again", async () => {
    test.write(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`src/f${i}`, 'x'])));
    let deaf = false;
    const watch: WatchFolder = (folder, ...rest) =>
      fs.watch(folder, rest[0], (event, name) => {
        if (!deaf || name?.toString() !== 'a') rest[1](event, name);
      });
    await test.start({}, { watch, queue: 200, sweepAfter: 60_000 });
    deaf = true;
    test.write({ 'src/a': 'lost in the crowd' });
    test.write(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`src/f${i}`, 'y'])));
    await test.built();
    assert.equal((await test.files())['app/src/a'], 'lost in the crowd');
  });
}).timeout(120_000);
