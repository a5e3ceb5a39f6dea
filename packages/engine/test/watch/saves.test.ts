import assert from 'node:assert/strict';
import fs from 'node:fs';

import { WatchTest } from './support.js';

const DOCKERFILE = 'FROM scratch\nCOPY package.json /app/\nCOPY src /app/src\n';

describe('watch: saves', () => {
  let test: WatchTest;
  beforeEach(() => {
    test = new WatchTest();
    test.write({ Dockerfile: DOCKERFILE, 'package.json': '{}', 'src/a': 'a', 'src/b': 'b', 'src/sub/c': 'c' });
  });
  afterEach(() => test.remove());

  /** The image holds what a fresh build would. */
  async function same(): Promise<void> {
    assert.deepEqual(await test.files(), await test.fresh());
  }

  it('a save is built once, from the step that it concerns', async () => {
    await test.start();
    test.write({ 'src/a': 'new' });
    const { paths, first, ran, unchanged } = await test.built();
    assert.deepEqual([paths, ran, unchanged], [['src/a'], 1, false]);
    assert.match(first?.name ?? '', /COPY src/);
    assert.equal((await test.files())['app/src/a'], 'new');
    await same();
  });

  it('several restarts for one save (compose#12087): a burst of writes is one result', async () => {
    await test.start({ debounce: 100 });
    for (let i = 0; i < 20; i++) {
      test.write({ 'src/a': `half ${i}` });
      fs.chmodSync(test.at('src/a'), i % 2 ? 0o600 : 0o644);
      await new Promise((resolve) => setImmediate(resolve));
    }
    test.write({ 'src/a': 'whole' });
    await test.built();
    const { paths } = await test.sentinel();
    assert.deepEqual(paths, ['src/sentinel']);
    assert.equal((await test.files())['app/src/a'], 'whole');
  });

  it('a rebuild on access time: reading and touching a file changes nothing', async () => {
    await test.start();
    fs.readFileSync(test.at('src/a'));
    fs.readdirSync(test.at('src'));
    assert.deepEqual((await test.sentinel()).paths, ['src/sentinel']);
    fs.utimesSync(test.at('src/a'), 1, 1);
    const touched = await test.built();
    assert.deepEqual([touched.ran, touched.unchanged], [0, true]);
  });

  it('changes lost while a rebuild runs (compose#11062): the result holds them', async () => {
    await test.start();
    let once = true;
    test.on((event) => {
      if (event.type !== 'build-event' || event.event.type !== 'step-started' || !once) return;
      once = false;
      test.write({ 'src/b': 'saved meanwhile' });
    });
    test.write({ 'src/a': 'first' });
    const { paths } = await test.built();
    assert.deepEqual([...paths].sort(), ['src/a', 'src/b']);
    const files = await test.files();
    assert.deepEqual([files['app/src/a'], files['app/src/b']], ['first', 'saved meanwhile']);
  });

  it('changes made while watch was off (compose#12254) are picked up at the start', async () => {
    await test.start();
    await test.stop();
    test.write({ 'src/a': 'changed at night' });
    const again = new WatchTest();
    try {
      fs.cpSync(test.context, again.context, { recursive: true });
      fs.cpSync(test.store, again.store, { recursive: true });
      await again.start();
      assert.equal((await again.files())['app/src/a'], 'changed at night');
    } finally {
      await again.remove();
    }
  });

  it('what changes between the first build and the first watch is seen', async () => {
    test.on((event) => {
      if (event.type === 'built' && event.paths.length === 0) test.write({ 'src/a': 'in the gap' });
    });
    await test.start();
    if ((await test.files())['app/src/a'] !== 'in the gap') await test.built();
    assert.equal((await test.files())['app/src/a'], 'in the gap');
  });

  it('an edit of the Dockerfile itself, and of the ignore file', async () => {
    await test.start();
    test.write({ Dockerfile: `${DOCKERFILE}COPY extra /extra\n`, extra: 'x' });
    assert.deepEqual((await test.built()).paths, ['Dockerfile']);
    test.write({ extra: 'y' });
    assert.deepEqual((await test.built()).paths, ['extra']);
    test.write({ '.dockerignore': 'src/b\n' });
    await test.built();
    assert.equal((await test.files())['app/src/b'], undefined);
    test.write({ 'src/b': 'nobody sees it' });
    assert.deepEqual((await test.sentinel('src/a')).paths, ['src/a']);
    fs.rmSync(test.at('.dockerignore'));
    await test.built();
    assert.equal((await test.files())['app/src/b'], 'nobody sees it');
    await same();
  });

  it('a failed build is told, and the next save tries again', async () => {
    await test.start();
    fs.renameSync(test.at('package.json'), test.at('package.bak'));
    const { error } = await test.next('failed');
    assert.match(String(error), /package\.json/);
    await test.next('watching');
    test.write({ 'src/a': 'still broken' });
    await test.next('failed');
    await test.next('watching');
    fs.renameSync(test.at('package.bak'), test.at('package.json'));
    await test.built();
    assert.equal((await test.files())['app/src/a'], 'still broken');
  });

  it('a first build that fails is no end', async () => {
    test.write({ Dockerfile: 'FROM scratch\nCOPY missing/file /\n' });
    await test.start();
    test.write({ 'missing/file': 'there now' });
    await test.built();
    assert.equal((await test.files())['file'], 'there now');
  });

  it('editors: rename over the file, delete and create, backup and write', async () => {
    await test.start();
    const file = test.at('src/a');
    test.write({ 'src/.a.tmp': 'renamed' });
    fs.renameSync(test.at('src/.a.tmp'), file);
    await test.built();
    assert.equal((await test.files())['app/src/a'], 'renamed');
    fs.rmSync(file);
    fs.writeFileSync(file, 'deleted and made again');
    await test.built();
    assert.equal((await test.files())['app/src/a'], 'deleted and made again');
    fs.renameSync(file, `${file}~`);
    fs.writeFileSync(file, 'after a backup');
    fs.rmSync(`${file}~`);
    await test.built();
    assert.equal((await test.files())['app/src/a'], 'after a backup');
    await same();
  });

  it('folders renamed, removed and made anew', async () => {
    await test.start();
    fs.renameSync(test.at('src/sub'), test.at('src/other'));
    await test.built();
    test.write({ 'src/other/c': 'changed below the new name' });
    await test.built();
    assert.equal((await test.files())['app/src/other/c'], 'changed below the new name');
    fs.rmSync(test.at('src/other'), { recursive: true });
    await test.built();
    test.write({ 'src/other/deep/d': 'd' });
    await test.built();
    test.write({ 'src/other/deep/d': 'e' });
    await test.built();
    await same();
  });

  it('files that vanish between event and read', async () => {
    await test.start();
    for (let i = 0; i < 50; i++) {
      test.write({ [`src/t${i}`]: 'x' });
      if (i % 2) fs.rmSync(test.at(`src/t${i}`));
      await new Promise((resolve) => setImmediate(resolve));
      if (i % 3) fs.rmSync(test.at(`src/t${i}`), { force: true });
    }
    await test.sentinel();
    while (JSON.stringify(await test.files()) !== JSON.stringify(await test.fresh())) await test.built();
  });

  it('the target of a link that is copied', async () => {
    test.write({ Dockerfile: 'FROM scratch\nCOPY link /file\n', 'real/one': '1', 'real/two': '2' });
    fs.symlinkSync('real/one', test.at('link'));
    await test.start();
    test.write({ 'real/one': 'changed' });
    await test.built();
    assert.equal((await test.files())['file'], 'changed');
    fs.rmSync(test.at('link'));
    fs.symlinkSync('real/two', test.at('link'));
    await test.built();
    assert.equal((await test.files())['file'], '2');
  });

  it('a git checkout of 5,000 files is one rebuild', async () => {
    test.write(Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`src/d${i % 50}/f${i}`, 'before'])));
    await test.start();
    for (let i = 0; i < 5000; i++) {
      const file = test.at(`src/d${i % 50}/f${i}`);
      fs.rmSync(file);
      fs.writeFileSync(file, `after ${i}`);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const { paths, ran } = await test.built();
    assert.deepEqual([ran, paths.filter((path) => /\/f\d+$/.test(path)).length], [1, 5000]);
    assert.equal((await test.files())['app/src/d9/f4959'], 'after 4959');
  });
}).timeout(120_000);
