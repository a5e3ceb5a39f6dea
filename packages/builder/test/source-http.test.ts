import { digestOf } from '@strake/core';
import assert from 'node:assert/strict';
import net from 'node:net';
import zlib from 'node:zlib';

import { download } from '../src/source/http.js';
import { fileNameOf, isRemote, remoteSource } from '../src/source/remote.js';
import { createFixture, createServer, type Fixture, type TestServer } from './support/source-fixture.js';

describe('downloads', () => {
  let fixture: Fixture;
  let server: TestServer;
  const token = { value: undefined as string | undefined };

  beforeEach(async () => {
    token.value = undefined;
    fixture = await createFixture({
      secret: (id) =>
        Promise.resolve(id === 'HTTP_AUTH_TOKEN_127.0.0.1' && token.value ? Buffer.from(token.value) : undefined),
    });
    server = await createServer((_request, response) => response.end('content'));
  });
  afterEach(async () => {
    await server.close();
    await fixture.remove();
  });

  const fetch = (path = '/file', options = {}): ReturnType<typeof download> =>
    download(new URL(path, server.url), fixture.services, options);
  const stored = async (path?: string): Promise<string> => {
    const { blob } = await fetch(path);
    return (await fixture.store.blobs.read(blob, 1 << 20)).toString();
  };

  it('become one file with mode 0600 and the time of Last-Modified', async () => {
    server.answer = (_request, response) => {
      response.setHeader('last-modified', 'Tue, 01 Jan 2019 00:00:00 GMT');
      response.end('hello');
    };
    const source = await remoteSource(
      `${server.url}/a/b%20c.txt?x=1#f`,
      { unpack: true },
      fixture.services,
      fixture.signal,
    );
    assert.equal(source.name, 'b c.txt');
    assert.equal(source.unpack, true);
    const { mode, mtime, size, uid } = source.entry;
    assert.deepEqual({ mode, mtime, size, uid }, { mode: 0o600, mtime: 1546300800, size: 5, uid: 0 });
    assert.equal(server.requests[0]?.url, '/a/b%20c.txt?x=1');
    const bytes = [];
    for await (const chunk of source.tree.read(source.entry)) bytes.push(chunk);
    assert.equal(Buffer.concat(bytes).toString(), 'hello');
  });

  it('take the file name from the path', () => {
    const names = {
      '': '__unnamed__',
      '/': '__unnamed__',
      '/a/': 'a',
      '/..%2f': '__unnamed__',
      '/x%2fy': 'y',
      '/%00': '__unnamed__',
    };
    for (const [path, name] of Object.entries(names))
      assert.equal(fileNameOf(new URL(`http://host${path}`)), name, path);
    assert.equal(fileNameOf(new URL('http://host/%ff.txt')), '\udcff.txt');
  });

  it('ask again with the ETag, and reuse what is there', async () => {
    server.answer = (request, response) => {
      response.setHeader('etag', '"v1"');
      if (request.headers['if-none-match'] === '"v1"') response.statusCode = 304;
      response.end(response.statusCode === 304 ? undefined : 'one');
    };
    const first = await fetch();
    assert.equal((await fetch()).blob, first.blob);
    assert.equal(server.requests[1]?.headers['if-none-match'], '"v1"');
    server.answer = (_request, response) => response.setHeader('etag', '"v2"').end('two');
    assert.equal(await stored(), 'two');
  });

  it('trust an equal ETag although the server sends the body', async () => {
    server.answer = (_request, response) => response.setHeader('etag', 'W/"v1"').end('same');
    const first = await fetch();
    assert.equal((await fetch()).blob, first.blob);
  });

  it('use Last-Modified only where it proves something', async () => {
    let settled = false;
    const date = new Date(Date.now() - 3_600_000).toUTCString();
    server.answer = (_request, response) => {
      response.setHeader('last-modified', settled ? date : new Date().toUTCString()).end('x');
    };
    await fetch();
    settled = true;
    await fetch();
    assert.equal(server.requests[1]?.headers['if-modified-since'], undefined);
    server.answer = (request, response) => {
      response.statusCode = request.headers['if-modified-since'] === date ? 304 : 500;
      response.end();
    };
    assert.equal(await stored(), 'x');
  });

  it('with a checksum that was met before need no server', async () => {
    const checksum = digestOf('content');
    await fetch('/file', { checksum });
    server.requests.length = 0;
    assert.equal((await fetch('/file', { checksum })).blob, checksum);
    assert.equal(server.requests.length, 0);
  });

  it('with another checksum leave nothing behind', async () => {
    const bad = digestOf('content');
    await assert.rejects(fetch('/file', { checksum: digestOf('other') }), { code: 'CHECKSUM_MISMATCH' });
    assert.equal(await fixture.store.blobs.size(bad), undefined);
    server.answer = (_request, response) => response.end('other');
    assert.equal((await fetch('/file', { checksum: digestOf('other') })).size, 5);
  });

  it('with a checksum do not believe an ETag', async () => {
    server.answer = (_request, response) => response.setHeader('etag', '"v"').end('old');
    await fetch();
    server.answer = (_request, response) => response.setHeader('etag', '"v"').end('new');
    assert.equal((await fetch('/file', { checksum: digestOf('new') })).blob, digestOf('new'));
  });

  it('that end early are errors', async () => {
    server.answer = (_request, response) => {
      response.writeHead(200, { 'content-length': '5000' });
      response.write('short', () => response.destroy());
    };
    await assert.rejects(fetch(), { code: 'DOWNLOAD_FAILED' });
    server.answer = (_request, response) => {
      response.writeHead(200, { 'transfer-encoding': 'chunked' });
      response.write('short', () => response.destroy());
    };
    await assert.rejects(fetch(), { code: 'DOWNLOAD_FAILED' });
  });

  it('are decoded from gzip as a content encoding, and only then', async () => {
    const body = zlib.gzipSync('plain');
    server.answer = (_request, response) => response.setHeader('content-encoding', 'gzip').end(body);
    assert.equal(await stored(), 'plain');
    server.answer = (_request, response) => response.setHeader('content-encoding', 'gzip').end(body.subarray(0, 12));
    await assert.rejects(fetch('/cut'), { code: 'DOWNLOAD_FAILED' });
    server.answer = (_request, response) => response.end(body);
    assert.equal((await fetch('/raw')).size, body.length);
  });

  it('follow redirects, without end never', async () => {
    server.answer = (request, response) => {
      if (request.url === '/end') return response.end('here');
      return response.writeHead(302, { location: request.url === '/loop' ? '/loop' : '/end' }).end();
    };
    assert.equal(await stored('/start'), 'here');
    server.requests.length = 0;
    await assert.rejects(fetch('/loop'), { code: 'DOWNLOAD_FAILED', message: /redirects/ });
    assert.equal(server.requests.length, 11);
  });

  it('follow no redirect to what is not the web', async () => {
    for (const location of ['file:///etc/passwd', 'http://[', 'data:,x', '']) {
      server.answer = (_request, response) => response.writeHead(302, { location }).end();
      await assert.rejects(fetch(), { code: 'DOWNLOAD_FAILED' }, location);
    }
  });

  it('send secrets to the host they are for, and show no password', async () => {
    token.value = 'sesame';
    const other = await createServer((_request, response) => response.end('elsewhere'));
    server.answer = (_request, response) => response.writeHead(302, { location: other.url }).end();
    await fetch();
    assert.equal(server.requests[0]?.headers.authorization, 'Bearer sesame');
    assert.equal(other.requests[0]?.headers.authorization, undefined);
    await other.close();
    server.answer = (_request, response) => response.writeHead(403).end();
    const url = new URL(server.url);
    url.username = 'user';
    url.password = 'hunter2';
    token.value = undefined;
    await assert.rejects(download(url, fixture.services), (error: Error) => {
      assert.doesNotMatch(JSON.stringify(error) + error.message, /hunter2|user/);
      return true;
    });
    assert.equal(server.requests[1]?.headers.authorization, `Basic ${Buffer.from('user:hunter2').toString('base64')}`);
  });

  it('go through a proxy', async () => {
    server.answer = (request, response) => response.end(`${request.url} ${request.headers['proxy-authorization']}`);
    const proxy = new URL(server.url);
    proxy.username = 'p';
    const services = { ...fixture.services, proxyFor: () => proxy };
    const { blob } = await download(new URL('http://example.invalid/x'), services);
    const seen = (await fixture.store.blobs.read(blob, 1000)).toString();
    assert.equal(seen, `http://example.invalid/x Basic ${Buffer.from('p:').toString('base64')}`);
    server.answer = (_request, response) => response.end();
    await assert.rejects(download(new URL('https://example.invalid/x'), services), { code: 'DOWNLOAD_FAILED' });
  });

  it('end when nothing comes, and when the build is cancelled', async () => {
    server.answer = (_request, response) => void response.writeHead(200, { 'content-length': '10' }).write('x');
    const timeouts = { connect: 1000, stall: 50, slow: 60_000 };
    await assert.rejects(fetch('/stall', { timeouts }), { code: 'DOWNLOAD_FAILED', message: /nothing came/ });
    server.answer = () => undefined;
    await assert.rejects(fetch('/silent', { timeouts }), { code: 'DOWNLOAD_FAILED', message: /nothing came/ });
    const controller = new AbortController();
    server.answer = () => controller.abort();
    await assert.rejects(fetch('/abort', { signal: controller.signal }), { code: 'CANCELLED' });
    assert.deepEqual(
      fixture.leftovers().filter((name) => !/holder|lock|lease/.test(name)),
      [],
    );
  });

  it('end when next to nothing comes, in the head or in the body, and when answers only announce others', async () => {
    const timeouts = { connect: 1000, stall: 5000, slow: 200 };
    let drip: NodeJS.Timeout | undefined;
    const every = (write: () => void): void => {
      clearInterval(drip);
      drip = setInterval(write, 20);
    };
    server.answer = (_request, response) => {
      response.writeHead(200, { 'content-length': '100000' });
      every(() => void response.write('x'));
    };
    await assert.rejects(fetch('/drip', { timeouts }), {
      code: 'DOWNLOAD_FAILED',
      message: /less than 1024 bytes came/,
    });
    server.answer = (_request, response) => {
      response.socket?.write('HTTP/1.1 200 OK\r\nX-More: ');
      every(() => void response.socket?.write('x'));
    };
    await assert.rejects(fetch('/head', { timeouts }), { code: 'DOWNLOAD_FAILED', message: /no whole answer after/ });
    server.answer = (_request, response) =>
      every(() => void response.socket?.write('HTTP/1.1 103 Hints\r\n\r\n'.repeat(50)));
    await assert.rejects(fetch('/hints', { timeouts: { ...timeouts, slow: 10_000 } }), {
      code: 'DOWNLOAD_FAILED',
      message: /interim answers without end/,
    });
    clearInterval(drip);
  });

  it('say what is wrong with a server', async () => {
    server.answer = (_request, response) => response.writeHead(404).end('x');
    await assert.rejects(fetch(), { code: 'DOWNLOAD_FAILED', message: /answered 404/ });
    await assert.rejects(download(new URL('http://127.0.0.1:1/'), fixture.services), {
      code: 'DOWNLOAD_FAILED',
      message: /connection refused/,
    });
    const raw = net.createServer((socket) => socket.end('hello, no http here\r\n\r\n'));
    await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve));
    const { port } = raw.address() as net.AddressInfo;
    await assert.rejects(download(new URL(`http://127.0.0.1:${port}/`), fixture.services), { code: 'DOWNLOAD_FAILED' });
    raw.close();
    const { services, signal } = fixture;
    await assert.rejects(remoteSource('http://[', { unpack: false }, services, signal), { code: 'ARGUMENT_INVALID' });
    await assert.rejects(remoteSource(server.url, { unpack: false, checksum: 'sha1:00' }, services, signal), {
      code: 'INSTRUCTION_INVALID',
    });
  });

  it('are told from local paths', () => {
    const remote = [
      'http://h/f',
      'https://h/x.git',
      'git://h/x',
      'ssh://h/x',
      'git@h:x',
      'me@h.org:x#r:d',
      'https://h/x.git?bad=1',
    ];
    const local = [
      'f',
      './x.git',
      '../x',
      'github.com/a/b',
      'ftp://h/x',
      'HTTP://h/x',
      'a@b',
      'x:y',
      '',
      'file:///x',
      'h.org/x.git',
    ];
    for (const text of remote) assert.equal(isRemote(text), true, text);
    for (const text of local) assert.equal(isRemote(text), false, text);
  });
});
