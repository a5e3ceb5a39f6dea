import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { parseReference } from '@strake/core';
import { startTestRegistry } from '../src/testing/index.js';
import { DEFAULT_TIMEOUTS, Transport } from '../src/transport.js';
import { TEST_CERTIFICATE, TEST_KEY } from './certificate.js';
import { rejectsWith, testClient, withRegistry } from './support.js';

const tls = { key: TEST_KEY, cert: TEST_CERTIFICATE };

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

describe('retries', () => {
  const failing = (status: number, times: number, headers: Record<string, string> = {}) => {
    let left = times;
    return (request: IncomingMessage, response: ServerResponse): boolean => {
      if (!request.url?.includes('/manifests/') || left-- <= 0) return false;
      response.writeHead(status, headers).end('{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}');
      return true;
    };
  };

  it('are made for what goes away', async () => {
    for (const status of [408, 429, 500, 502, 503, 504]) {
      await withRegistry({}, async ({ registry, client, ref }) => {
        const { manifest } = registry.contents.addImage('a', 'v1');
        registry.intercept(failing(status, 2));
        assert.deepEqual((await client.manifest(ref('a:v1'))).descriptor, manifest);
      });
    }
  });

  it('are not made for what does not, and end', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      registry.intercept((request, response) => {
        if (!request.url?.includes('/manifests/')) return false;
        response.writeHead(418).end('{"errors":[{"code":"TEAPOT"}]}');
        return true;
      });
      await rejectsWith(client.manifest(ref('a:v1')), 'REGISTRY_ERROR');
      assert.equal(registry.requests.length, 2);
    });
    await withRegistry({}, async ({ registry, client, ref }) => {
      registry.intercept(failing(429, 99));
      const error = await rejectsWith(client.manifest(ref('a:v1')), 'REGISTRY_RATE_LIMITED');
      assert.match(error.message, /slow down/);
      assert.match(error.hint ?? '', /strake login/);
      assert.equal(registry.requests.length, 4);
    });
  });

  it('do not wait for what a manifest of a petabyte says to be', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      registry.intercept((request, response) => {
        if (request.method !== 'GET' || !(request.url ?? '').includes('/manifests/')) return false;
        response.writeHead(200, { 'content-length': String(2 ** 50) }).write('{}');
        return true;
      });
      await rejectsWith(client.manifest(ref('a:v1')), 'MANIFEST_INVALID');
      assert.equal(registry.requests.filter(({ path }) => path.includes('/manifests/')).length, 1);
    });
  });

  it('wait as long as Retry-After says, unless that is too long', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      registry.contents.addImage('a', 'v1');
      registry.intercept(failing(429, 1, { 'retry-after': '1' }));
      const start = performance.now();
      await client.manifest(ref('a:v1'));
      assert.ok(performance.now() - start >= 990);
    });
    await withRegistry({}, async ({ registry, client, ref }) => {
      registry.intercept(failing(429, 99, { 'retry-after': '3600' }));
      const error = await rejectsWith(client.manifest(ref('a:v1')), 'REGISTRY_RATE_LIMITED');
      assert.match(error.hint ?? '', /3600 seconds/);
      assert.equal(registry.requests.length, 2);
    });
  });

  it('end with the signal', async () => {
    await withRegistry({ client: { retry: { delay: 1e6 } } }, async ({ registry, client, ref }) => {
      const stop = new AbortController();
      registry.intercept((request, response) => {
        if (!request.url?.includes('/manifests/')) return false;
        response.writeHead(503).end(() => setImmediate(() => stop.abort()));
        return true;
      });
      await rejectsWith(client.manifest(ref('a:v1'), { signal: stop.signal }), 'CANCELLED');
    });
  });
});

describe('unreachable registries', () => {
  const fails = async (
    host: string,
    pattern: RegExp,
    options: Parameters<typeof testClient>[0] = {},
  ): Promise<void> => {
    const client = testClient(options);
    try {
      const error = await rejectsWith(client.manifest(parseReference(`${host}/a:v1`)), 'REGISTRY_UNREACHABLE');
      assert.match(error.message, pattern);
      assert.ok(error.hint);
    } finally {
      await client.close();
    }
  };

  it('refuse connections', async () => {
    await fails('127.0.0.1:1', /connection refused/);
  });

  it('never answer', async () => {
    const server = createTcpServer(() => undefined);
    const port = await listen(server);
    await fails(`127.0.0.1:${port}`, /did not answer in time/, { timeouts: { headers: 50, connect: 50 } });
    server.close();
  });

  it('break every connection', async () => {
    const server = createTcpServer((socket) => socket.destroy());
    const port = await listen(server);
    await fails(`127.0.0.1:${port}`, /connection broke/);
    server.close();
  });

  it('do not speak HTTP', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('SSH-2.0-OpenSSH_9.2\r\n');
    });
    const port = await listen(server);
    await fails(`127.0.0.1:${port}`, /not HTTP/);
    server.close();
  });

  it('answer with a status that HTTP does not have', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end('HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n'));
    });
    const port = await listen(server);
    await fails(`127.0.0.1:${port}`, /not HTTP/);
    server.close();
  });

  it('send heads without end', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(`HTTP/1.1 200 OK\r\n${'x-y: zzzzzzzz\r\n'.repeat(50_000)}`);
    });
    const port = await listen(server);
    await fails(`127.0.0.1:${port}`, /./);
    server.close();
  });

  it('announce answers without end', async () => {
    for (const [many, timeouts] of [
      [200, {}],
      [1, { slow: 20 }],
    ] as const) {
      const server = createTcpServer((socket) => {
        socket.on('error', () => undefined);
        socket.on('data', function announce() {
          if (socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(many))) setImmediate(announce);
          else socket.once('drain', announce);
        });
      });
      const port = await listen(server);
      await fails(`127.0.0.1:${port}`, /interim answers without end/, { timeouts });
      server.close();
    }
  });

  it('send a byte at a time', async () => {
    const timeouts = { slow: 20 };
    for (const pattern of [/\/manifests\//, /\/blobs\//]) {
      await withRegistry({ client: { timeouts } }, async ({ registry, client, ref }) => {
        const { manifest } = registry.contents.addImage('a', 'v1');
        registry.intercept((request, response) => {
          if (!pattern.test(request.url ?? '')) return false;
          response.writeHead(200, { 'content-type': manifest.mediaType });
          const drip = setInterval(() => response.write('{'), 1);
          response.on('close', () => clearInterval(drip));
          return true;
        });
        const read = async (): Promise<void> => {
          await client.manifest(ref('a:v1'));
          const blob = { ...manifest, size: 100_000 };
          for await (const chunk of client.blob(ref('a:v1'), blob)) assert.ok(chunk);
        };
        const error = await rejectsWith(read(), 'REGISTRY_UNREACHABLE');
        assert.match(error.message, /less than 1024 bytes in 0.02 s/);
        assert.equal(registry.requests.filter(({ path }) => pattern.test(path)).length, 1);
      });
    }
  });
});

describe('TLS', () => {
  it('is found on loopback, and certificates are checked', async () => {
    const registry = await startTestRegistry({ tls });
    const { manifest } = registry.contents.addImage('a', 'v1');
    const reference = parseReference(`${registry.host}/a:v1`);
    const plain = testClient();
    const error = await rejectsWith(plain.manifest(reference), 'REGISTRY_UNREACHABLE');
    assert.match(error.message, /certificate is not trusted/);
    const trusting = testClient({ certificateAuthorities: [TEST_CERTIFICATE] });
    assert.deepEqual((await trusting.manifest(reference)).descriptor, manifest);
    const careless = testClient({ insecure: [registry.host] });
    assert.deepEqual((await careless.manifest(reference)).descriptor, manifest);
    await Promise.all([plain.close(), trusting.close(), careless.close()]);
    await registry.close();
  });
});

describe('proxies', () => {
  it('are used for hosts that are not loopback, plain and tunnelled', async () => {
    const origin = await startTestRegistry();
    const secure = await startTestRegistry({ tls });
    const seen: string[] = [];
    const proxy = createServer((request, response) => {
      seen.push(`${request.method ?? ''} ${request.url ?? ''} ${request.headers['proxy-authorization'] ?? ''}`);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"tags":["through the proxy"]}');
    });
    proxy.on('connect', (request, socket) => {
      seen.push(`CONNECT ${request.url ?? ''}`);
      const upstream = connect(Number(secure.host.split(':')[1]), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        socket.pipe(upstream).pipe(socket);
      });
      upstream.on('error', () => socket.destroy());
      socket.on('error', () => upstream.destroy());
    });
    const port = await listen(proxy);
    const address = `http://user:proxypw@127.0.0.1:${port}`;
    const env = { HTTP_PROXY: address, HTTPS_PROXY: address };
    const client = testClient({ env, insecure: ['reg.example', 'secure.example'] });
    const { manifest } = origin.contents.addImage('a', 'v1');
    secure.contents.addImage('a', 'v9');
    try {
      assert.deepEqual((await client.manifest(parseReference(`${origin.host}/a:v1`))).descriptor, manifest);
      assert.equal(seen.length, 0);
      assert.deepEqual(await client.tags(parseReference('secure.example/a')), ['v9']);
      assert.ok(seen.includes('CONNECT secure.example:443'), seen.join('\n'));
      const plain = testClient({ env, mirrors: { 'docker.io': ['http://reg.example'] } });
      await rejectsWith(plain.manifest(parseReference('reg.example/a:v1')), 'REGISTRY_UNREACHABLE');
      await plain.close();
    } finally {
      await client.close();
      proxy.closeAllConnections();
      proxy.close();
      await origin.close();
      await secure.close();
    }
  });

  it('that are not there are named, without their password', async () => {
    const client = testClient({ env: { HTTPS_PROXY: 'http://user:proxypw@127.0.0.1:1' } });
    const error = await rejectsWith(client.manifest(parseReference('reg.example/a:v1')), 'REGISTRY_UNREACHABLE');
    assert.match(error.message, /the proxy cannot be reached/);
    assert.doesNotMatch(JSON.stringify([error.message, error.hint]), /proxypw/);
    await client.close();
  });
});

describe('warnings', () => {
  it('of a registry are told once', async () => {
    const told: string[] = [];
    const onWarning = (registry: string, message: string): void => void told.push(`${registry} ${message}`);
    await withRegistry({ client: { onWarning } }, async ({ registry, client, ref }) => {
      registry.contents.addImage('a', 'v1');
      registry.intercept((_request, response) => {
        response.setHeader('warning', '299 - "this tag goes away", 110 - "other"');
        return false;
      });
      await client.manifest(ref('a:v1'));
      await client.manifest(ref('a:v1'));
      assert.deepEqual(told, [`${registry.host} this tag goes away`]);
    });
  });
});

describe('a body that is given up', () => {
  it('ends nothing but itself, whoever listens', async () => {
    const server = createServer((_request, response) => void response.writeHead(200, { 'content-length': '9' }).end());
    const transport = new Transport({
      connections: 1,
      timeouts: DEFAULT_TIMEOUTS,
      userAgent: 'test',
      proxies: { choose: () => undefined },
    });
    const uncaught: unknown[] = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    try {
      const url = new URL(`http://127.0.0.1:${await listen(server)}/`);
      const { body } = await transport.request({ method: 'HEAD', url });
      await new Promise<void>((resolve) => {
        process.on('uncaughtException', (error) => {
          uncaught.push(error);
          resolve();
        });
        // Not `once`: that would listen for errors, too.
        body.on('close', resolve);
        body.destroy();
      });
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(uncaught, []);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const other of others) process.on('uncaughtException', other);
      await transport.close();
      server.close();
    }
  });
});
