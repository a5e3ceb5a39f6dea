import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import zlib from 'node:zlib';
import { pack } from 'tar-stream';

import { openContext, openTree, type OpenContextOptions, type OpenedContext } from '../src/source/context.js';
import type { SourceTree } from '../src/tree/source-tree.js';
import { gitBackend } from './support/git-server.js';
import { createFixture, createServer, git, type Fixture } from './support/source-fixture.js';

/** All paths of a tree. */
function paths(tree: SourceTree, folder = ''): string[] {
  return tree.list(folder).flatMap((name) => {
    const path = folder === '' ? name : `${folder}/${name}`;
    return [path, ...paths(tree, path)];
  });
}

async function tarOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const packed = pack();
  for (const [name, content] of Object.entries(files)) packed.entry({ name }, content);
  packed.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of packed as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('contexts', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await createFixture();
  });
  afterEach(() => fixture.remove());

  const open = (spec: string, more: Partial<OpenContextOptions> = {}): Promise<OpenedContext> =>
    openContext({ spec, services: fixture.services, signal: fixture.signal, buildArgs: new Map(), ...more });
  const stdin = (bytes: Uint8Array | string): { stdin: NodeJS.ReadableStream } => ({
    stdin: Readable.from([bytes], { objectMode: false }),
  });
  const visible = async (context: OpenedContext): Promise<string[]> => paths(await context.tree());

  describe('that are folders', () => {
    it('have a Dockerfile, or a dockerfile', async () => {
      const upper = fixture.write({ Dockerfile: 'FROM a', dockerfile: 'FROM b', f: '' });
      assert.deepEqual((await open(upper)).dockerfile, { text: 'FROM a', name: 'Dockerfile', ignore: undefined });
      const lower = fixture.write({ dockerfile: 'FROM b' }, 'lower');
      assert.equal((await open(lower)).dockerfile.text, 'FROM b');
      assert.equal((await open(lower, { file: join(lower, 'Dockerfile') })).dockerfile.text, 'FROM b');
    });

    it('have their digests and attributes remembered for the next build', async () => {
      const root = fixture.write({ Dockerfile: 'FROM a', f: 'content', g: 'x'.repeat(5 << 20) });
      const old = new Date(Date.now() - 60_000);
      const asked: string[] = [];
      const services = { ...fixture.services, xattrs: (path: string) => void asked.push(path) };
      const digests = async (): Promise<ReadonlyMap<string, string>> => {
        const tree = await (await open(root, { services })).tree();
        const entries = [...tree.children('')];
        await tree.learn(entries);
        const found = new Map(entries.map((entry) => [entry.path, tree.digest(entry) ?? '']));
        await fixture.cleanUp();
        return found;
      };
      // Changed so shortly before, a file's times prove nothing.
      await new Promise((resolve) =>
        setTimeout(resolve, Math.max(0, fs.statSync(join(root, 'g')).ctimeMs + 50 - Date.now())),
      );
      const first = await digests();
      assert.equal(first.size, 3);
      assert.equal(asked.length, 4);
      assert.deepEqual(await digests(), first);
      assert.equal(asked.length, 4);
      fs.writeFileSync(join(root, 'f'), 'CONTENT');
      fs.utimesSync(join(root, 'f'), old, old);
      assert.notEqual((await digests()).get('f'), first.get('f'));
    });

    it('may be named by a link', async () => {
      const root = fixture.write({ Dockerfile: 'FROM a', 'd/f': '' });
      const alias = join(fixture.folder, 'alias');
      fs.symlinkSync(root, alias);
      const context = await open(alias);
      assert.equal(context.root, root);
      assert.deepEqual(await visible(context), ['Dockerfile', 'd', 'd/f']);
      assert.equal((await open(alias, { file: join(alias, 'Dockerfile') })).dockerfile.name, 'Dockerfile');
    });

    it('that are missing are named', async () => {
      await assert.rejects(open('/no/such-context'), { code: 'CONTEXT_NOT_FOUND', message: /such-context/ });
      const root = fixture.write({ f: '' });
      await assert.rejects(open(join(root, 'f')), { code: 'CONTEXT_NOT_FOUND', message: /not a folder/ });
      await assert.rejects(openTree('/no/absent', fixture.services, fixture.signal), { code: 'CONTEXT_NOT_FOUND' });
    });

    it('without a Dockerfile say what is there', async () => {
      const root = fixture.write({ Containerfile: '', 'Dockerfile.dockerignore': '' });
      await assert.rejects(open(root), { code: 'DOCKERFILE_NOT_FOUND', hint: /Containerfile/ });
      await assert.rejects(open(root, { file: join(root, 'no/File') }), { code: 'DOCKERFILE_NOT_FOUND' });
      await assert.rejects(open(root, { file: join(root, 'File') }), { code: 'DOCKERFILE_NOT_FOUND', message: /File/ });
      await assert.rejects(open(root, { file: root }), { code: 'DOCKERFILE_INVALID', message: /folder/ });
    });

    it('may have their Dockerfile elsewhere', async () => {
      const root = fixture.write({ f: '' });
      const file = join(fixture.write({ Recipe: 'FROM a', 'Recipe.dockerignore': 'f' }, 'docker'), 'Recipe');
      const context = await open(root, { file });
      assert.deepEqual([context.dockerfile.text, context.dockerfile.name], ['FROM a', 'Recipe']);
      assert.deepEqual(await visible(context), []);
      assert.deepEqual(await context.ignorePatterns(), ['f']);
      fs.symlinkSync(file, join(fixture.folder, 'Link'));
      assert.equal((await open(root, { file: join(fixture.folder, 'Link') })).dockerfile.text, 'FROM a');
    });

    it('may have it in a subfolder or behind a link inside', async () => {
      const root = fixture.write({ 'docker/real': 'FROM a', 'docker/Dockerfile.dockerignore': 'docker', f: '' });
      fs.symlinkSync('../docker/real', join(root, 'docker/Dockerfile'));
      const context = await open(root, { file: join(root, 'docker/Dockerfile') });
      assert.deepEqual([context.dockerfile.text, context.dockerfile.name], ['FROM a', 'docker/Dockerfile']);
      assert.deepEqual(await visible(context), ['f']);
    });

    it('do not give away a file outside as their Dockerfile (CVE-2026-44517)', async () => {
      const root = fixture.write({ f: '' });
      fixture.write({ secret: 'CANARY' }, '.');
      for (const target of [join(fixture.folder, 'secret'), '../secret', 'Dockerfile']) {
        fs.rmSync(join(root, 'Dockerfile'), { force: true });
        fs.symlinkSync(target, join(root, 'Dockerfile'));
        for (const file of [undefined, join(root, 'Dockerfile')]) {
          await assert.rejects(open(root, { file }), (error: Error) => !error.message.includes('CANARY'));
        }
      }
      fs.rmSync(join(root, 'Dockerfile'));
      fixture.write({ Dockerfile: 'FROM a' });
      fs.symlinkSync('../secret', join(root, '.dockerignore'));
      await assert.rejects(open(root), { code: 'CONTEXT_UNREADABLE', message: /ignore file/ });
    });

    it('with a special file for a Dockerfile do not hang', async () => {
      const root = fixture.write({ f: '' });
      fs.mkdirSync(join(root, 'Dockerfile'));
      await assert.rejects(open(root), { code: 'DOCKERFILE_INVALID' });
      await assert.rejects(open(root, { file: '/dev/zero' }), { code: 'DOCKERFILE_INVALID', message: /special/ });
      const server = net.createServer().listen(join(root, 'socket'));
      await once(server, 'listening');
      await assert.rejects(open(root, { file: join(root, 'socket') }), {
        code: 'DOCKERFILE_INVALID',
        message: /special file \(socket\)/,
      });
      server.close();
    });

    it('refuse a Dockerfile that is no text, and keep bytes that are no UTF-8', async () => {
      const refused = (content: Uint8Array): Promise<void> =>
        assert.rejects(open(fixture.write({ Dockerfile: content })), { code: 'DOCKERFILE_INVALID' });
      await refused(Buffer.from('FROM a\nRUN \0'));
      await refused(Buffer.from('\ufeffFROM a', 'utf16le'));
      const root = fixture.write({ Dockerfile: Buffer.from('RUN \xff', 'latin1') });
      assert.equal((await open(root)).dockerfile.text, 'RUN \udcff');
      await assert.rejects(open(fixture.write({ Dockerfile: Buffer.alloc(17 << 20, 'a') })), { code: 'TOO_LARGE' });
    });

    it('hide what their ignore file says', async () => {
      const root = fixture.write({
        Dockerfile: '',
        '.dockerignore': 'Dockerfile\n.dockerignore\ndocs\n!docs/keep\n',
        a: '',
        'docs/keep': '',
        'docs/x': '',
      });
      const context = await open(root);
      assert.deepEqual(await visible(context), ['a', 'docs', 'docs/keep']);
      assert.equal(await context.tree(), await context.tree());
      fixture.write({ 'Dockerfile.dockerignore': '' });
      assert.equal((await visible(await open(root))).length, 7);
      fixture.write({ 'Dockerfile.dockerignore': 'a\n!' });
      await assert.rejects(async () => (await open(root)).tree(), {
        code: 'PATTERN_INVALID',
        message: /dockerignore.*"!"/,
      });
      assert.deepEqual(paths(await openTree(root, fixture.services, fixture.signal)).slice(0, 2), [
        'Dockerfile.dockerignore',
        'a',
      ]);
    });

    it('may have their Dockerfile on stdin or on the web', async () => {
      const root = fixture.write({ f: '', '.dockerignore': 'f', 'Dockerfile.dockerignore': 'x' });
      const context = await open(root, { file: '-', ...stdin('FROM a') });
      assert.deepEqual([context.dockerfile.text, context.dockerfile.name], ['FROM a', 'Dockerfile']);
      assert.deepEqual(await visible(context), ['.dockerignore', 'Dockerfile.dockerignore']);
      const server = await createServer((_request, response) => response.end('FROM web'));
      const web = await open(root, { file: `${server.url}/some.Dockerfile` });
      assert.deepEqual([web.dockerfile.text, web.dockerfile.name], ['FROM web', 'some.Dockerfile']);
      await server.close();
    });
  });

  describe('on stdin', () => {
    it('are a Dockerfile with nothing to copy', async () => {
      const context = await open('-', stdin('FROM a\n'));
      assert.deepEqual([context.kind, context.dockerfile.text], ['stdin', 'FROM a\n']);
      assert.deepEqual(await visible(context), []);
      await assert.rejects(open('-', { file: 'x', ...stdin('FROM a') }), { code: 'ARGUMENT_INVALID' });
      await assert.rejects(open('-', { file: '-', ...stdin('FROM a') }), { code: 'ARGUMENT_INVALID' });
      await assert.rejects(open('-'), { code: 'ARGUMENT_INVALID' });
    });

    it('are an archive in any compression', async () => {
      const tar = await tarOf({ Dockerfile: 'FROM a', 'docker/other': 'FROM b', '.dockerignore': 'docker', f: 'f' });
      for (const bytes of [tar, zlib.gzipSync(tar)]) {
        const context = await open('-', stdin(bytes));
        assert.equal(context.dockerfile.text, 'FROM a');
        assert.deepEqual(await visible(context), ['.dockerignore', 'Dockerfile', 'docker', 'docker/other', 'f']);
        assert.ok(context.epoch !== undefined && Math.abs(context.epoch - Date.now() / 1000) < 100);
      }
      const other = await open('-', { file: 'docker/other', ...stdin(tar) });
      assert.equal(other.dockerfile.text, 'FROM b');
      await assert.rejects(open('-', { file: '../x', ...stdin(tar) }), { code: 'DOCKERFILE_NOT_FOUND' });
      const root = other.root!;
      await fixture.cleanUp();
      assert.equal(fs.existsSync(root), false);
    });

    it('end with the build although nothing comes', async () => {
      const controller = new AbortController();
      const silent = new Readable({ read: () => controller.abort() });
      await assert.rejects(open('-', { stdin: silent, signal: controller.signal }), { code: 'CANCELLED' });
      assert.equal(silent.destroyed, true);
    });
  });

  describe('from elsewhere', () => {
    it('are an archive of the web', async () => {
      const tar = await tarOf({ Dockerfile: 'FROM a', '.dockerignore': 'f', f: 'f' });
      const server = await createServer((_request, response) => {
        response.setHeader('last-modified', 'Tue, 01 Jan 2019 00:00:00 GMT').end(zlib.gzipSync(tar));
      });
      const context = await open(`${server.url}/x.tar.gz`);
      assert.deepEqual([context.kind, context.epoch, context.dockerfile.text], ['http', 1546300800, 'FROM a']);
      assert.deepEqual(await visible(context), ['.dockerignore', 'Dockerfile', 'f']);
      const file = join(fixture.write({ Mine: 'FROM mine' }, 'here'), 'Mine');
      assert.equal((await open(`${server.url}/x.tar.gz`, { file })).dockerfile.text, 'FROM mine');
      // A named context is the file itself.
      const named = await openTree(`${server.url}/x.tar.gz`, fixture.services, fixture.signal);
      assert.deepEqual([paths(named), named.lookup('context')?.mtime], [['context'], 1546300800]);
      await server.close();
    });

    it('are a Dockerfile of the web', async () => {
      const server = await createServer((_request, response) => response.end('FROM a'));
      const context = await open(`${server.url}/x`);
      assert.deepEqual([context.dockerfile.text, await visible(context)], ['FROM a', ['context']]);
      await server.close();
    });

    it('are a Git repository', async () => {
      const work = fixture.write({ 'd/Dockerfile': 'FROM d', 'd/.dockerignore': 'f', 'd/f': '' }, 'work');
      fs.symlinkSync('/etc/passwd', join(work, 'd/Link'));
      git(work, 'init', '-q');
      git(work, 'add', '.');
      git(work, 'commit', '-qm', 'x');
      git(fixture.folder, 'clone', '-q', '--bare', work, join(fixture.folder, 'r/x.git'));
      const server = await createServer(gitBackend(join(fixture.folder, 'r')));
      const context = await open(`${server.url}/x.git#main:d`, { buildArgs: new Map([['SOURCE_DATE_EPOCH', '1']]) });
      assert.deepEqual([context.kind, context.epoch, context.dockerfile.text], ['git', 1600000000, 'FROM d']);
      assert.deepEqual(await visible(context), ['.dockerignore', 'Dockerfile', 'Link', 'f']);
      const tree = await context.tree();
      assert.deepEqual(
        [tree.lookup('f')?.mtime, tree.lookup('')?.mtime, tree.timedRoot],
        [1600000000, 1600000000, true],
      );
      const checkedOut = await open(`${server.url}/x.git?mtime=checkout#main:d`, {
        buildArgs: new Map([['SOURCE_DATE_EPOCH', '1']]),
      });
      const { timedRoot } = await checkedOut.tree();
      assert.deepEqual([(await checkedOut.tree()).lookup('f')?.mtime === 1600000000, timedRoot], [false, false]);
      await assert.rejects(open(`${server.url}/x.git#main:d`, { file: 'Link' }), { code: 'DOCKERFILE_NOT_FOUND' });
      const kept = await open(`${server.url}/x.git`, {
        file: 'd/Dockerfile',
        buildArgs: new Map([['BUILDKIT_CONTEXT_KEEP_GIT_DIR', '1']]),
      });
      assert.ok((await kept.tree()).lookup('.git/HEAD'));
      const named = await openTree(`${server.url}/x.git#:d`, fixture.services, fixture.signal);
      assert.deepEqual(paths(named), ['.dockerignore', 'Dockerfile', 'Link', 'f']);
      await server.close();
    });
  });
});
