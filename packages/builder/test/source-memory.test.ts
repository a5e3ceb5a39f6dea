import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { pack } from 'tar-stream';

import { openContext, openTree, type ContextSource, type OpenContextOptions } from '../src/source/context.js';
import type { FileMap } from '../src/tree/memory-tree.js';
import type { SourceTree } from '../src/tree/source-tree.js';
import { createFixture, type Fixture } from './support/source-fixture.js';

type Opened = Awaited<ReturnType<typeof openContext>>;

const LONG_PATH = 'x/'.repeat(2100);

/** All of a tree but times: path, type, mode, content. */
async function described(tree: SourceTree, folder = ''): Promise<string[]> {
  const lines: string[] = [];
  for (const name of tree.list(folder)) {
    const path = folder === '' ? name : `${folder}/${name}`;
    const entry = tree.lookup(path)!;
    await tree.learn([entry]);
    const digest = entry.type === 'file' ? tree.digest(entry)!.slice(7, 19) : (entry.link ?? '');
    lines.push(`${path} ${entry.type} ${entry.mode.toString(8)} ${entry.size} ${digest}`);
    if (entry.type === 'directory') lines.push(...(await described(tree, path)));
  }
  return lines;
}

describe('contexts in memory', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await createFixture();
  });
  afterEach(() => fixture.remove());
  const open = (spec: ContextSource, more: Partial<OpenContextOptions> = {}): Promise<Opened> =>
    openContext({ spec, services: fixture.services, signal: fixture.signal, buildArgs: new Map(), ...more });

  it('hold files, links and folders, with modes', async () => {
    const context = await open({
      Dockerfile: 'FROM a',
      'src/deep/a.ts': 'text',
      './src//b': new Uint8Array([0, 255]),
      run: { content: '#!/bin/sh', mode: 0o755, mtime: new Date(1000) },
      link: { link: 'src/b' },
      'empty/': { directory: true, mode: 0o700 },
    });
    assert.deepEqual([context.kind, context.root, context.dockerfile.text], ['files', undefined, 'FROM a']);
    const tree = await context.tree();
    const shown = (await described(tree)).map((line) => line.split(' ').slice(0, 4).join(' '));
    assert.deepEqual(shown, [
      'Dockerfile file 644 6',
      'empty directory 700 0',
      'link symlink 777 0',
      'run file 755 9',
      'src directory 755 0',
      'src/b file 644 2',
      'src/deep directory 755 0',
      'src/deep/a.ts file 644 4',
    ]);
    assert.equal(tree.lookup('run')?.mtime, 1);
    assert.equal(tree.resolve('link'), 'src/b');
  });

  it('are what a folder with the same files is, ignore file included', async () => {
    const name = fc.constantFrom('a', 'b', 'c.md', 'd');
    const file = fc.tuple(fc.array(name, { minLength: 1, maxLength: 3 }), fc.string({ maxLength: 5 }));
    const pattern = fc.constantFrom('a', '**/b', '*.md', '!**/b', '!a/b', 'd/*', '*', '!c.md');
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(file, { maxLength: 8 }),
        fc.array(pattern, { maxLength: 3 }),
        async (files, patterns) => {
          const map: Record<string, string> = { Dockerfile: 'FROM a', '.dockerignore': patterns.join('\n') };
          for (const [parts, content] of files) {
            const path = parts.join('/');
            const clash = Object.keys(map).some((p) => p.startsWith(`${path}/`) || path.startsWith(`${p}/`));
            if (!clash) map[path] = content;
          }
          const folder = fixture.write(map, `round-${++round}`);
          const [memory, disk] = [await open(map), await open(folder)];
          assert.deepEqual(await described(await memory.tree()), await described(await disk.tree()));
          assert.deepEqual(await memory.ignorePatterns(), await disk.ignorePatterns());
        },
      ),
      { numRuns: 60 },
    );
  });

  it('can have their Dockerfile as a text, at a path, or with an ignore file of its own', async () => {
    const files: FileMap = { 'docker/app': 'FROM b', 'docker/app.dockerignore': 'x', x: '', y: '' };
    const text = await open(files, { dockerfile: 'FROM t\n' });
    assert.deepEqual([text.dockerfile.text, text.dockerfile.name], ['FROM t\n', 'Dockerfile']);
    const named = await open(files, { file: 'docker/app' });
    assert.equal(named.dockerfile.text, 'FROM b');
    assert.deepEqual((await named.tree()).list(''), ['docker', 'y']);
    await assert.rejects(open(files), { code: 'DOCKERFILE_NOT_FOUND' });
    await assert.rejects(open({}, { dockerfile: 'FROM a\0' }), { code: 'DOCKERFILE_INVALID' });
    const folder = fixture.write({ Dockerfile: 'FROM a', '.dockerignore': 'f', f: '' });
    assert.equal((await open(folder, { dockerfile: 'FROM t' })).dockerfile.text, 'FROM t');
  });

  for (const [what, files] of [
    ['a path that leads upwards', { 'a/../../b': '' }],
    ['the root as a file', { '/': 'x' }],
    ['no name', { '': 'x' }],
    ['a NUL byte', { 'a\0b': '' }],
    ['half a character', { 'a\ud800': '' }],
    ['a name that is too long', { ['x'.repeat(256)]: '' }],
    ['a path that is too long', { [LONG_PATH]: { directory: true } }],
    ['one path twice', { a: '1', './a': '2' }],
    ['a file that is a folder', { a: '', 'a/b': '' }],
    ['a link that is a folder', { a: { link: '/etc' }, 'a/passwd': '' }],
    ['a mode that is none', { a: { content: '', mode: 0o70000 } }],
    ['a time that is none', { a: { content: '', mtime: new Date(NaN) } }],
    ['a number', { a: 1 }],
    ['nothing', { a: undefined }],
    ['null', { a: null }],
    ['an empty object', { a: {} }],
  ] as const) {
    it(`refuse ${what}`, async () => {
      const spec = files as unknown as FileMap;
      await assert.rejects(open(spec, { dockerfile: 'FROM a' }), { name: 'StrakeError', code: 'ARGUMENT_INVALID' });
    });
  }

  it('keep what they were given, whatever happens to it later', async () => {
    const bytes = Buffer.from('before');
    const tree = await (await open({ a: bytes }, { dockerfile: 'FROM a' })).tree();
    const entry = tree.lookup('a')!;
    await tree.learn([entry]);
    bytes.write('after!');
    const source = tree.source(entry);
    assert.equal(source.kind === 'bytes' && Buffer.from(source.bytes).toString(), 'before');
  });

  it('can be named contexts', async () => {
    const tree = await openTree({ a: '1', b: '2', '.dockerignore': 'b' }, fixture.services, fixture.signal);
    assert.deepEqual(tree.list(''), ['.dockerignore', 'a']);
  });
});

describe('contexts from streams', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await createFixture();
  });
  afterEach(() => fixture.remove());
  const open = (spec: ContextSource, more: Partial<OpenContextOptions> = {}): Promise<Opened> =>
    openContext({ spec, services: fixture.services, signal: fixture.signal, buildArgs: new Map(), ...more });

  function tarOf(files: Readonly<Record<string, string>>): AsyncIterable<Uint8Array> {
    const packed = pack();
    for (const [name, content] of Object.entries(files)) packed.entry({ name }, content);
    packed.finalize();
    return packed as AsyncIterable<Uint8Array>;
  }

  it('are tars, by Node or by a generator; the Dockerfile may be a text', async () => {
    async function* generated(): AsyncGenerator<Uint8Array> {
      yield* tarOf({ a: '1' });
    }
    const context = await open(generated(), { dockerfile: 'FROM t' });
    assert.equal(context.dockerfile.text, 'FROM t');
    assert.deepEqual((await context.tree()).list(''), ['a']);
    const other = await open(Readable.from(tarOf({ Dockerfile: 'FROM x' })));
    assert.equal(other.dockerfile.text, 'FROM x');
    const named = await openTree(tarOf({ b: '' }), fixture.services, fixture.signal);
    assert.deepEqual(named.list(''), ['b']);
  });

  it('fail as contexts where they fail, give something else or end early', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10);
      await Promise.resolve();
      throw new Error('cut off');
    }
    const unreadable = { name: 'StrakeError', code: 'CONTEXT_UNREADABLE' };
    await assert.rejects(open(failing()), unreadable);
    await assert.rejects(open(Readable.from([{ a: 1 }]) as AsyncIterable<Uint8Array>), unreadable);
    const tar = tarOf({ f: 'x'.repeat(2000) });
    const first = await tar[Symbol.asyncIterator]().next();
    await assert.rejects(open(Readable.from([(first.value as Uint8Array).subarray(0, 600)])), unreadable);
    await assert.rejects(open(Readable.from(['text']), { dockerfile: 'FROM a' }), { code: 'ARGUMENT_INVALID' });
    await assert.rejects(openTree(Readable.from(['text']), fixture.services, fixture.signal), unreadable);
  });

  it('are let go of when the build is aborted, although nothing comes', async () => {
    const controller = new AbortController();
    const silent = new Readable({ read: () => controller.abort() });
    await assert.rejects(open(silent, { signal: controller.signal }), { code: 'CANCELLED' });
    assert.ok(silent.destroyed);
    let left = false;
    const iterator: AsyncIterableIterator<Uint8Array> = {
      [Symbol.asyncIterator]: () => iterator,
      next: () => new Promise(() => undefined),
      return: () => {
        left = true;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
    const second = new AbortController();
    const opening = open(iterator, { signal: second.signal });
    setImmediate(() => second.abort());
    await assert.rejects(opening, { code: 'CANCELLED' });
    assert.ok(left);
  });
});
