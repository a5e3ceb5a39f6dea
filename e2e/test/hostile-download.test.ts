import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

import { Workshop } from './support/strake.js';

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n';
/** Milliseconds: what an interruption may take, on a busy machine. */
const SOON = 10_000;

/** Sends without end what NEXT gives, every so many MILLISECONDS. */
function endless(socket: Socket, next: () => string | Uint8Array, milliseconds = 1): void {
  const timer = setInterval(() => void socket.write(next()), milliseconds);
  socket.on('close', () => clearInterval(timer));
}

const ANSWERS: Readonly<Record<string, (socket: Socket, name: string) => void>> = {
  drip: (socket) => {
    socket.write(`${HEAD}\r\n`);
    endless(socket, () => 'x', 100);
  },
  'drip-head': (socket) => {
    socket.write(`${HEAD}X-More: `);
    endless(socket, () => 'x', 100);
  },
  headers: (socket) => {
    socket.write(HEAD);
    endless(socket, () => `X-More: ${'x'.repeat(1000)}\r\n`);
  },
  hints: (socket) => endless(socket, () => 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(100)),
  redirect: (socket, name) => socket.end(`HTTP/1.1 302 Found\r\nLocation: /${name}\r\nContent-Length: 0\r\n\r\n`),
  short: (socket) => socket.end(`${HEAD}Content-Length: 100000\r\n\r\nshort`),
  long: (socket) => socket.end(`${HEAD}Content-Length: 5\r\n\r\nlong and longer`),
  chunks: (socket) => {
    socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
    endless(socket, () => `10000;${'x'.repeat(1000)}\r\n${'y'.repeat(0x10000)}\r\n`, 20);
  },
  silent: () => undefined,
};

describe('downloads from hostile servers', () => {
  let workshop: Workshop;
  let server: Server;
  const open = new Set<Socket>();
  let asked = (): void => undefined;
  before(async () => {
    workshop = new Workshop();
    server = createServer((socket) => {
      open.add(socket);
      socket.on('close', () => open.delete(socket)).on('error', () => socket.destroy());
      socket.once('data', (data) => {
        asked();
        const name = /^GET \/(\S*)/.exec(String(data))?.[1] ?? '';
        if (name === 'bomb') {
          const body = gzipSync(Buffer.alloc(300 << 20));
          socket.end(
            Buffer.concat([
              Buffer.from(`${HEAD}Content-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`),
              body,
            ]),
          );
        } else ANSWERS[name]?.(socket, name);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  after(() => {
    for (const socket of open) socket.destroy();
    server.close();
    workshop.close();
  });

  const lines = (name: string): string[] => {
    return ['FROM busybox', `ADD http://127.0.0.1:${(server.address() as AddressInfo).port}/${name} /x`];
  };
  const nothingLeft = (): void => {
    assert.deepEqual(readdirSync(path.join(workshop.store, 'tmp')), []);
    assert.equal(open.size, 0);
  };
  const closed = async (): Promise<void> => {
    for (const socket of [...open]) if (open.has(socket)) await new Promise((resolve) => socket.once('close', resolve));
  };

  for (const [name, message] of [
    ['headers', /HPE_HEADER_OVERFLOW/],
    ['hints', /the server sends interim answers without end/],
    ['redirect', /more than 10 redirects/],
    ['short', /ended after 5 of 100000 bytes|the connection broke/],
  ] as const) {
    it(`${name}: an error that names it`, async function () {
      this.timeout(60_000);
      const outcome = await workshop.build(lines(name), ['--timeout', '30s']);
      assert.equal(outcome.status, 1, outcome.stderr);
      assert.match(outcome.stderr, message);
      await closed();
      nothingLeft();
    });
  }

  for (const name of ['drip', 'drip-head', 'chunks', 'silent']) {
    it(`${name}: ends with --timeout`, async function () {
      this.timeout(60_000);
      const outcome = await workshop.build(lines(name), ['--timeout', '2s']);
      assert.equal(outcome.status, 1, outcome.stderr);
      assert.match(outcome.stderr, /did not end within 2 s/);
      assert.ok(outcome.took < 2000 + SOON, `${outcome.took} ms`);
      await closed();
      nothingLeft();
    });

    it(`${name}: ends soon when it is interrupted`, async function () {
      this.timeout(60_000);
      let sent = 0;
      const outcome = await workshop.build(lines(name), [], {
        onStart: (child) => {
          asked = () => {
            sent = Date.now();
            child.kill('SIGINT');
          };
        },
      });
      assert.equal(outcome.status, 130, outcome.stderr);
      assert.ok(Date.now() - sent < SOON, `${Date.now() - sent} ms`);
      asked = () => undefined;
      await closed();
      nothingLeft();
    });
  }

  it('a body that goes on behind its length: only what was stated', async () => {
    const outcome = await workshop.build([...lines('long'), 'RUN wc -c < /x'], ['--progress', 'plain']);
    assert.equal(outcome.status, 0, outcome.stderr);
    assert.match(outcome.stderr, / 5$/m);
  });

  it('an encoding that unpacks to a thousand times its size takes no room on the disk', async function () {
    this.timeout(60_000);
    const outcome = await workshop.build([...lines('bomb'), 'RUN wc -c < /x'], ['--progress', 'plain']);
    assert.equal(outcome.status, 0, outcome.stderr);
    assert.match(outcome.stderr, / 314572800$/m);
  });
});
