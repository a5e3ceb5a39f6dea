import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { openStore, type Store } from '@strake/store';

import { createBuildMemory, keptBy } from '../../src/build-memory.js';
import { createEngine } from '../../src/engine.js';
import type { Engine } from '../../src/types.js';

const DOCKERFILE = `FROM scratch AS other
COPY shared /shared
FROM scratch
COPY --from=other /shared /shared
COPY base /app
COPY --chown=12:34 --chmod=640 src /app/src
COPY src/one /one
WORKDIR /app/work
COPY extra/*.txt /extra/
`;

describe('watch: files ahead of the image', function () {
  this.timeout(60_000);
  let folder: string;
  let engine: Engine;
  let store: Store;
  const memory = createBuildMemory();
  const at = (path: string): string => join(folder, 'context', path);
  const write = (path: string, text: string): void => {
    fs.mkdirSync(dirname(at(path)), { recursive: true });
    fs.writeFileSync(at(path), text);
  };
  const build = (): Promise<unknown> => engine.build({ context: join(folder, 'context'), tags: ['ahead'], memory });

  before(async () => {
    folder = fs.mkdtempSync(join(tmpdir(), 'strake-ahead-'));
    write('Dockerfile', DOCKERFILE);
    for (const path of ['shared/x', 'base/src/c', 'base/b', 'src/a', 'src/b', 'src/c', 'src/one', 'extra/t.txt']) {
      write(path, path);
    }
    engine = await createEngine({ root: join(folder, 'store') });
    store = await openStore({ root: join(folder, 'store') });
    await build();
  });
  after(async () => {
    await store.close();
    await engine.close();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  /** What is foreseen for PATH, as it is now, and found in the image that is then built: paths with facts, `-` where nothing is. */
  async function foreseen(path: string): Promise<string[] | undefined> {
    memory.changed([at(path)]);
    const changes = await keptBy(memory)?.ahead([at(path)], store);
    await build();
    const { layers } = await engine.inspect('ahead');
    const view = await store.layers.view(layers.map(({ diffId }) => diffId));
    const shown = [];
    for (const change of changes ?? []) {
      const where = change.kind === 'remove' ? change.path : change.facts.path;
      const entry = view.lookup(where);
      if (change.kind === 'remove') {
        assert.equal(entry, undefined);
        shown.push(`${where} -`);
        continue;
      }
      assert.ok(entry);
      const { type, mode, uid, gid, size, mtime } = change.facts;
      const is = {
        type: entry.type,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        size: entry.size,
        mtime: entry.mtime,
      };
      assert.deepEqual({ type, mode, uid, gid, size, mtime }, is);
      assert.deepEqual(Buffer.from(change.content), await view.read(entry, 1 << 20));
      shown.push(`${where} ${mode.toString(8)} ${uid}:${gid}`);
    }
    return changes && shown;
  }

  it('a saved file is where each COPY puts it, with mode and owner', async () => {
    write('src/a', 'saved');
    assert.deepEqual(await foreseen('src/a'), ['app/src/a 640 12:34']);
    write('src/one', 'saved');
    assert.deepEqual(await foreseen('src/one'), ['app/src/one 640 12:34', 'one 644 0:0']);
    fs.chmodSync(at('src/one'), 0o755);
    assert.deepEqual(await foreseen('src/one'), ['app/src/one 640 12:34', 'one 755 0:0']);
    write('base/b', 'saved');
    assert.deepEqual(await foreseen('base/b'), ['app/b 644 0:0']);
  });

  it('files come and go', async () => {
    write('src/new', 'new');
    assert.deepEqual(await foreseen('src/new'), ['app/src/new 640 12:34']);
    fs.rmSync(at('src/new'));
    assert.deepEqual(await foreseen('src/new'), ['app/src/new -']);
  });

  it('nothing is said where it is not plain', async () => {
    for (const [path, why] of [
      ['base/src/c', 'a later COPY covers it'],
      ['shared/x', 'it comes by way of a stage'],
      ['extra/t.txt', 'a wildcard chooses it'],
      ['src/deep/n', 'its folder is new, too'],
    ] as const) {
      write(path, 'saved');
      assert.equal(await foreseen(path), undefined, why);
    }
    fs.rmSync(at('src/c'));
    assert.equal(await foreseen('src/c'), undefined, 'what lies below it appears');
    fs.rmSync(at('src/b'));
    fs.symlinkSync('a', at('src/b'));
    assert.equal(await foreseen('src/b'), undefined, 'it is a link');
    write('Dockerfile', `${DOCKERFILE}# other\n`);
    assert.equal(await foreseen('Dockerfile'), undefined, 'everything may be otherwise');
  });
});
