import { hostPlatform } from '@strake/core';
import { parseDockerfile } from '@strake/parser';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { pack } from 'tar-stream';

import { sourceDateEpoch, type SourceDate } from '../src/source/source-date-epoch.js';
import { gitBackend } from './support/git-server.js';
import { createFixture, createServer, git, type Fixture } from './support/source-fixture.js';

describe('SOURCE_DATE_EPOCH', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await createFixture();
  });
  afterEach(() => fixture.remove());

  const find = (
    text: string,
    given?: string,
    more: { contextEpoch?: number; contexts?: Record<string, string> } = {},
  ): Promise<SourceDate> =>
    sourceDateEpoch(
      {
        dockerfile: parseDockerfile(text, { file: 'Dockerfile' }),
        buildArgs: new Map(given === undefined ? [] : [['SOURCE_DATE_EPOCH', given]]),
        target: undefined,
        platform: hostPlatform(),
        hostPlatform: hostPlatform(),
        contextEpoch: more.contextEpoch,
        namedContext: (name) => more.contexts?.[name],
        signal: fixture.signal,
      },
      fixture.services,
    );
  const epoch = async (...all: Parameters<typeof find>): Promise<number | undefined> => (await find(...all)).epoch;

  it('is a build argument, else a global ARG', async () => {
    assert.equal(await epoch('FROM scratch'), undefined);
    assert.equal(await epoch('FROM scratch', '12'), 12);
    assert.equal(await epoch('FROM scratch', '-12'), -12);
    assert.equal(await epoch('FROM scratch', ''), undefined);
    assert.equal(await epoch('ARG A=1\nARG SOURCE_DATE_EPOCH=${A}3\nFROM scratch'), 13);
    assert.equal(await epoch('ARG SOURCE_DATE_EPOCH=1\nFROM scratch', '2'), 2);
    assert.equal(await epoch('ARG SOURCE_DATE_EPOCH\nFROM scratch'), undefined);
    assert.equal(await epoch('FROM scratch\nARG SOURCE_DATE_EPOCH=1'), undefined);
  });

  it("may be the context's, and is nothing where that has no time", async () => {
    const dated = await find('FROM scratch', 'context', { contextEpoch: 7 });
    assert.deepEqual([dated.epoch, dated.buildArgs.get('SOURCE_DATE_EPOCH'), dated.globalArg], [7, '7', undefined]);
    for (const given of ['context', '']) {
      const folder = await find('FROM scratch', given);
      assert.deepEqual([folder.epoch, folder.buildArgs.size, folder.globalArg], [undefined, 0, '']);
    }
    const own = await find('ARG SOURCE_DATE_EPOCH=context\nFROM scratch', undefined, { contextEpoch: 7 });
    assert.deepEqual([own.epoch, own.buildArgs.size, own.globalArg], [7, 0, '7']);
  });

  it("may be a download's: that of a stage with one ADD, or of a named context", async () => {
    const server = await createServer((request, response) => {
      if (request.url === '/dated') response.setHeader('last-modified', 'Tue, 01 Jan 2019 00:00:00 GMT').end('x');
      else if (request.url === '/plain') response.end('x');
      else {
        const tar = pack();
        tar.entry({ name: 'a', mtime: new Date(5000) }, 'a');
        tar.entry({ name: 'b', mtime: new Date(9000) }, 'b');
        tar.finalize();
        tar.pipe(response);
      }
    });
    const stage = (path: string): string =>
      `ARG BASE=scratch\nFROM $BASE AS When\nARG P=${path}\nADD ${server.url}/$P /x\nFROM scratch`;
    assert.equal(await epoch(stage('dated'), 'WHEN'), 1546300800);
    assert.equal(await epoch(stage('archive.tar'), 'when'), 9);
    assert.equal(await epoch(stage('plain'), 'when'), undefined);
    assert.equal(await epoch('FROM scratch', 'src', { contexts: { src: `${server.url}/archive.tar` } }), 9);
    assert.equal(await epoch('FROM scratch', 'src', { contexts: { src: fixture.folder } }), undefined);
    assert.equal(await epoch('FROM scratch', 'src', { contexts: { src: 'docker-image://a' } }), undefined);
    await assert.rejects(
      epoch(`FROM scratch AS w\nADD --checksum=sha256:${'0'.repeat(64)} ${server.url}/dated /\nFROM scratch`, 'w'),
      { code: 'CHECKSUM_MISMATCH' },
    );
    await server.close();
  });

  it("may be a commit's", async () => {
    const work = fixture.write({ f: '' }, 'work');
    git(work, 'init', '-q');
    git(work, 'add', '.');
    git(work, 'commit', '-qm', 'x');
    git(fixture.folder, 'clone', '-q', '--bare', work, join(fixture.folder, 'r/x.git'));
    const server = await createServer(gitBackend(join(fixture.folder, 'r')));
    assert.equal(await epoch(`FROM scratch AS w\nADD ${server.url}/x.git#main /\nFROM scratch`, 'w'), 1600000000);
    await server.close();
  });

  it('is refused where it names nothing, or a stage with more than one remote ADD', async () => {
    const refused: [string, RegExp][] = [
      ['FROM scratch', /invalid SOURCE_DATE_EPOCH: w/],
      ['FROM busybox AS w\nADD http://localhost/ /', /must use FROM scratch/],
      ['FROM scratch AS w', /exactly one remote ADD/],
      ['FROM scratch AS w\nADD http://localhost/a /\nADD http://localhost/b /', /exactly one remote ADD/],
      ['FROM scratch AS w\nADD http://localhost/a http://localhost/b /', /exactly one remote ADD/],
      ['FROM scratch AS w\nADD file /', /neither an http/],
      ['FROM scratch AS w\nADD <<X /\nX', /exactly one remote ADD/],
      ['FROM scratch AS w\nADD http://localhost/a /\nRUN a', /not RUN/],
    ];
    for (const [text, message] of refused) await assert.rejects(epoch(text, 'w'), { message });
    await assert.rejects(epoch('FROM scratch\nFROM busybox AS w', 'w'), (error: unknown) => {
      assert.equal((error as { location?: { line: number } }).location?.line, 2);
      return true;
    });
  });
});
