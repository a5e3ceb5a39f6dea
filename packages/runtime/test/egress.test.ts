import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';

import { createEgressProxy, type EgressProxy } from '../src/egress-proxy.js';
import { allowedBy, mayResolveTo, parseEgressRule } from '../src/egress-rules.js';

describe('an allowlist of hosts', () => {
  it('has names, ports, domains and addresses', () => {
    assert.deepEqual(parseEgressRule('Registry.Example.'), { host: 'registry.example', port: undefined });
    assert.deepEqual(parseEgressRule('a.example:8443'), { host: 'a.example', port: 8443 });
    assert.deepEqual(parseEgressRule('*.example'), { host: '*.example', port: undefined });
    assert.deepEqual(parseEgressRule('::1'), { host: '::1', port: undefined });
    assert.deepEqual(parseEgressRule('[::1]:80'), { host: '::1', port: 80 });
    for (const text of ['', '*', 'a b', 'a:0', 'a:70000', 'http://a', 'a/b', '*.*.a', '-', 'a:b:c', '[x]:1', 'a\r\nb'])
      assert.throws(() => parseEgressRule(text), { code: 'CONTAINER_SPEC_INVALID' }, JSON.stringify(text));
  });

  it('lets through what it names, and nothing that only looks like it', () => {
    const rules = ['registry.example', '*.cdn.example:8443', '192.0.2.1:1'].map(parseEgressRule);
    const reach = (host: string, port: number): boolean => allowedBy(rules, host, port) !== undefined;
    assert.deepEqual(
      [
        ...[reach('REGISTRY.example.', 443), reach('registry.example', 80), reach('a.b.cdn.example', 8443)],
        ...[reach('192.0.2.1', 1)],
      ],
      [true, true, true, true],
    );
    for (const [host, port] of [
      ['registry.example', 22],
      ['x.registry.example', 443],
      ['registry.example.evil', 443],
      ['cdn.example', 8443],
      ['evilcdn.example', 8443],
      ['a.cdn.example', 443],
      ['192.0.2.1', 443],
    ] as const)
      assert.equal(reach(host, port), false, host);
  });

  it('is not led to this machine or to a metadata service by a name server', () => {
    const rule = parseEgressRule('registry.example');
    for (const address of [
      '127.0.0.1',
      '127.9.9.9',
      '0.0.0.0',
      '169.254.169.254',
      '::1',
      '::',
      'fe80::1',
      '::ffff:127.0.0.1',
    ])
      assert.equal(mayResolveTo(rule, address), false, address);
    for (const address of ['10.1.2.3', '192.0.2.7', '2001:db8::1']) assert.equal(mayResolveTo(rule, address), true);
    assert.equal(mayResolveTo(parseEgressRule('localhost:80'), '127.0.0.1'), true);
    assert.equal(mayResolveTo(parseEgressRule('127.0.0.1:80'), '127.0.0.1'), true);
  });
});

describe("a step's proxy", () => {
  let origin: http.Server;
  let port: number;
  let proxies: { proxy: EgressProxy; listener: net.Server }[];

  const listen = async (server: net.Server): Promise<number> => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as net.AddressInfo).port;
  };
  const start = async (rules: string[], upstream?: URL): Promise<number> => {
    const listener = net.createServer();
    const at = await listen(listener);
    const proxy = createEgressProxy({ rules: rules.map(parseEgressRule), upstream });
    proxy.serve(listener);
    proxies.push({ proxy, listener });
    return at;
  };
  /** What comes back for TEXT, until the connection ends or WANTED was seen. */
  const say = async (at: number, text: string, wanted?: RegExp): Promise<string> => {
    const socket = net.connect(at, '127.0.0.1');
    socket.write(text);
    let said = '';
    for await (const data of socket) {
      said += String(data);
      if (wanted?.test(said)) break;
    }
    return said;
  };

  beforeEach(async () => {
    proxies = [];
    origin = http.createServer((request, response) => {
      response.end(
        `${request.method} ${request.url} ${request.headers.host} ${String(request.headers['proxy-connection'])}`,
      );
    });
    port = await listen(origin);
  });
  afterEach(() => {
    for (const { proxy } of proxies) proxy.close();
    origin.close();
    origin.closeAllConnections();
  });

  it('tunnels and forwards to what is allowed, and says what it was asked for', async () => {
    const at = await start([`127.0.0.1:${port}`]);
    const connect = `CONNECT 127.0.0.1:${port} HTTP/1.1\r\n\r\n`;
    const inner = `GET /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    assert.match(await say(at, connect + inner), /^HTTP\/1.1 200 [^]*GET \/in x undefined/);
    const plain = `GET http://127.0.0.1:${port}/a?b HTTP/1.1\r\nHost: evil\r\nProxy-Connection: x\r\nConnection: close\r\n\r\n`;
    assert.match(await say(at, plain), new RegExp(`^HTTP/1.1 200 [^]*GET /a\\?b 127.0.0.1:${port} undefined`));
    const other = `CONNECT evil.example:443 HTTP/1.1\r\n\r\n`;
    assert.match(await say(at, other), /^HTTP\/1.1 403 [^]*evil.example:443 is not among the hosts/);
    assert.match(
      await say(at, 'GET http://evil.example/ HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n'),
      /^HTTP\/1.1 403 /,
    );
    assert.deepEqual(proxies[0]?.proxy.contacts(), [
      { host: '127.0.0.1', port, allowed: true, count: 2 },
      { host: 'evil.example', port: 443, allowed: false, count: 1 },
      { host: 'evil.example', port: 80, allowed: false, count: 1 },
    ]);
  });

  it('refuses what is no request to a proxy', async () => {
    const at = await start([`127.0.0.1:${port}`]);
    for (const line of ['GET / HTTP/1.1', 'GET ftp://127.0.0.1/ HTTP/1.1', 'CONNECT a@b:1 HTTP/1.1'])
      assert.match(await say(at, `${line}\r\nHost: x\r\nConnection: close\r\n\r\n`), /^HTTP\/1.1 403 /, line);
    assert.match(await say(at, 'nonsense\r\n\r\n'), /^(HTTP\/1.1 400|$)/);
  });

  it('takes no more connections at a time than its process can hold, and again when they have gone', async function () {
    this.timeout(30_000);
    const at = await start([`127.0.0.1:${port}`]);
    const idle: net.Socket[] = [];
    let ended = 0;
    // In parts: the kernel's queue of connections that nobody has taken yet is short, and forgets those beyond it.
    for (let part = 0; part < 12; part++) {
      const some = Array.from({ length: 100 }, () =>
        net
          .connect(at, '127.0.0.1')
          .on('error', () => undefined)
          .resume(),
      );
      for (const socket of some) socket.once('close', () => ended++);
      await Promise.all(some.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
      idle.push(...some);
    }
    while (ended < 176) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(ended, 176);
    assert.equal(await say(at, 'GET http://x/ HTTP/1.1\r\n\r\n').catch(() => ''), '');
    for (const socket of idle) socket.destroy();
    const request = `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    let said = '';
    while (said === '') said = await say(at, request).catch(() => '');
    assert.match(said, /^HTTP\/1\.1 200 /);
  });

  it('outlives servers that answer nonsense, and hands on what is whole', async () => {
    let said = '';
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(said));
    });
    const odd = await listen(server);
    const at = await start([`127.0.0.1:${odd}`]);
    const ask = `GET http://127.0.0.1:${odd}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    for (const [answer, wanted] of [
      ['HTTP/1.1 000 None\r\nContent-Length: 0\r\n\r\n', /^HTTP\/1.1 502 /],
      ['HTTP/1.1 099 None\r\nContent-Length: 0\r\n\r\n', /^HTTP\/1.1 502 /],
      ['HTTP/1.1 101 Other\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nx', /^HTTP\/1.1 502 /],
      ['HTTP/1.1 200 OK\r\nX: \x1b[2J\r\n\r\n', /^HTTP\/1.1 502 /],
      ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay', /^HTTP\/1.1 200 [^]*\r\n\r\nok$/],
      ['HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n', /^HTTP\/1.1 999 /],
    ] as const) {
      said = answer;
      assert.match(await say(at, ask), wanted, answer);
    }
    server.close();
  });

  it("goes through the machine's own proxy", async () => {
    const first = await start([`127.0.0.1:${port}`]);
    const second = await start(
      ['127.0.0.1'].map((host) => `${host}:${port}`),
      new URL(`http://u:p@127.0.0.1:${first}`),
    );
    const connect = `CONNECT 127.0.0.1:${port} HTTP/1.1\r\n\r\n`;
    const inner = `GET /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    assert.match(await say(second, connect, /\r\n\r\n/), /^HTTP\/1.1 200 /);
    assert.match(await say(second, connect + inner), /GET \/in x/);
    const plain = `GET http://127.0.0.1:${port}/a HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n`;
    assert.match(await say(second, plain), /GET \/a/);
  });
});
