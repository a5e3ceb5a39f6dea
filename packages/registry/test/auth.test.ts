import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { endpointOf } from '../src/endpoint.js';
import { followRedirect } from '../src/redirect.js';
import { DEFAULT_RETRY } from '../src/retry.js';
import { parseScopes } from '../src/scope.js';
import { checkRealm, fetchToken } from '../src/token.js';
import { DEFAULT_TIMEOUTS, Transport } from '../src/transport.js';
import { descriptorOf, noise, rejectsWith, stream, testClient, withRegistry } from './support.js';

const login = { username: 'me', password: 'hunter2-secret' };
const bytes = noise(200_000);
const blob = descriptorOf(bytes);

describe('basic authentication', () => {
  it('sends name and password where they are wanted', async () => {
    await withRegistry({ auth: { type: 'basic', ...login }, client: { login } }, async ({ registry, client, ref }) => {
      registry.contents.addImage('a', 'v1');
      await client.manifest(ref('a:v1'));
      assert.equal(await client.pushBlob(ref('a'), blob, stream(bytes)), 'uploaded');
      await client.ping(registry.host);
      assert.equal(registry.requests[0]?.headers.authorization, undefined);
    });
  });

  it('tells missing from wrong credentials, and shows neither', async () => {
    await withRegistry({ auth: { type: 'basic', ...login } }, async ({ registry, client, ref }) => {
      const error = await rejectsWith(client.manifest(ref('a:v1')), 'REGISTRY_UNAUTHORIZED');
      assert.match(error.message, /\(401 Unauthorized\)/);
      assert.match(error.hint ?? '', new RegExp(`strake login ${registry.host}`));
      const wrong = testClient({ login: { ...login, password: 'wrong-secret' } });
      const refused = await rejectsWith(wrong.manifest(ref('a:v1')), 'REGISTRY_UNAUTHORIZED');
      assert.match(refused.message, /refused the credentials.*\(401 Unauthorized\)/);
      assert.doesNotMatch(refused.message, /wrong-secret/);
      await rejectsWith(wrong.ping(registry.host), 'REGISTRY_UNAUTHORIZED');
      await wrong.close();
    });
  });
});

describe('bearer authentication', () => {
  it('gets anonymous tokens, one for many requests', async () => {
    await withRegistry({ auth: { type: 'bearer', anonymousPull: true } }, async ({ registry, client, ref }) => {
      const { manifest, layers } = registry.contents.addImage('a', 'v1');
      await Promise.all(Array.from({ length: 10 }, () => client.manifest(ref('a:v1'))));
      assert.deepEqual(await client.resolve(ref('a:v1')), manifest);
      assert.ok(await client.hasBlob(ref('a'), layers[0]?.digest ?? 'sha256:'));
      const asked = registry.guard.asked.map(({ scopes, service, authorization }) => [scopes, service, authorization]);
      assert.deepEqual(asked, [[['repository:a:pull'], 'test registry', undefined]]);
    });
  });

  it('asks for push first, and for the source of a mount', async () => {
    const auth = { type: 'bearer', ...login, field: 'access_token' } as const;
    await withRegistry({ auth, client: { login } }, async ({ registry, client, ref }) => {
      registry.contents.addBlob('from', bytes);
      assert.equal(await client.pushBlob(ref('to'), blob, stream(bytes), { mountFrom: ['from'] }), 'mounted');
      assert.deepEqual(
        registry.guard.asked.map(({ scopes }) => scopes),
        [['repository:to:pull,push'], ['repository:to:pull,push', 'repository:from:pull']],
      );
      // The wider token also serves what needs less.
      await client.hasBlob(ref('from'), blob.digest);
      assert.equal(registry.guard.asked.length, 2);
    });
  });

  it('uses identity tokens, and the refresh token that it is given', async () => {
    const auth = { type: 'bearer', identityToken: 'identity-1', newRefreshToken: 'identity-2' } as const;
    const client = { login: { identityToken: 'identity-1' } };
    await withRegistry({ auth, client }, async ({ registry, client, ref }) => {
      registry.contents.addImage('a', 'v1');
      await client.manifest(ref('a:v1'));
      await client.pushBlob(ref('a'), blob, stream(bytes));
      const forms = registry.guard.asked.map(({ method, form }) => [
        method,
        form?.get('grant_type'),
        form?.get('refresh_token'),
      ]);
      assert.deepEqual(forms, [
        ['POST', 'refresh_token', 'identity-1'],
        ['POST', 'refresh_token', 'identity-2'],
      ]);
    });
  });

  it('falls back to GET where the token service knows no POST', async () => {
    const auth = { type: 'bearer', ...login } as const;
    await withRegistry(
      { auth, client: { login: { ...login, identityToken: 'i' } } },
      async ({ registry, client, ref }) => {
        registry.contents.addImage('a', 'v1');
        registry.intercept((request, response) => {
          if (request.method === 'POST') response.writeHead(404).end();
          return request.method === 'POST';
        });
        await client.manifest(ref('a:v1'));
        assert.deepEqual(
          registry.guard.asked.map(({ method }) => method),
          ['GET'],
        );
      },
    );
  });

  it('survives tokens that end in the middle of a build, streams included', async () => {
    await withRegistry({ auth: { type: 'bearer', ...login }, client: { login } }, async ({ registry, client, ref }) => {
      registry.contents.addImage('a', 'v1');
      await client.manifest(ref('a:v1'));
      registry.guard.revoke();
      await client.manifest(ref('a:v1'));
      let patches = 0;
      let puts = 0;
      registry.intercept((request) => {
        if (request.method === 'PATCH' && patches++ === 0) registry.guard.revoke();
        if (request.method === 'PUT' && puts++ === 0) registry.guard.revoke();
        return false;
      });
      assert.equal(await client.pushBlob(ref('a'), blob, stream(bytes)), 'uploaded');
      assert.deepEqual([patches, puts], [2, 2]);
    });
  });

  it('tries only once more', async () => {
    await withRegistry({ auth: { type: 'bearer', ...login }, client: { login } }, async ({ registry, client, ref }) => {
      registry.intercept((request) => {
        if (request.url !== '/token') registry.guard.revoke();
        return false;
      });
      await rejectsWith(client.manifest(ref('a:v1')), 'REGISTRY_UNAUTHORIZED');
      assert.equal(registry.requests.filter(({ path }) => path.includes('manifests')).length, 2);
    });
  });

  it('tells denied from not logged in', async () => {
    const auth = { type: 'bearer', ...login, anonymousPull: true } as const;
    await withRegistry({ auth, client: { login } }, async ({ registry, client, ref }) => {
      registry.intercept((request, response) => {
        if (request.method !== 'POST') return false;
        response.writeHead(403).end('{"errors":[{"code":"DENIED","message":"requested access is denied"}]}');
        return true;
      });
      await rejectsWith(client.pushBlob(ref('a'), blob, stream(bytes)), 'REGISTRY_DENIED');
    });
    await withRegistry({ auth }, async ({ client, ref }) => {
      await rejectsWith(client.pushBlob(ref('a'), blob, stream(bytes)), 'REGISTRY_UNAUTHORIZED');
    });
  });

  it('refuses token services that send nonsense', async () => {
    for (const body of [
      '',
      '[]',
      'null',
      '{"token":1}',
      '{"token":""}',
      '{"token":"a\\r\\nb: c"}',
      `{"token":"${'x'.repeat(70_000)}"}`,
    ]) {
      await withRegistry(
        { auth: { type: 'bearer', ...login }, client: { login } },
        async ({ registry, client, ref }) => {
          registry.intercept((request, response) => {
            const token = request.url?.startsWith('/token') ?? false;
            if (token) response.writeHead(200).end(body);
            return token;
          });
          await rejectsWith(client.manifest(ref('a:v1')), 'REGISTRY_ERROR');
        },
      );
    }
  });
});

describe('realms', () => {
  it('are https, or at the registry itself', () => {
    const ok = (base: string, realm: string): string => checkRealm('r', new URL(base), realm).href;
    ok('https://r.example', 'https://auth.example/token');
    ok('https://r.example', 'https://r.example/token');
    ok('http://10.0.0.5:5000', 'http://10.0.0.5:5001/token');
    ok('https://10.0.0.5', 'https://10.0.0.5/token');
    ok('http://localhost:5000', 'http://127.0.0.1:5001/token');
    for (const [base, realm] of [
      ['https://r.example', 'http://auth.example/token'],
      ['https://r.example', 'http://r.example/token'],
      ['http://r.example', 'http://auth.example/token'],
      ['http://127.0.0.1:5000', 'http://127.0.0.2:5001/token'],
      ['http://localhost:5000', 'http://other.localhost:5001/token'],
      ['https://r.example', 'https://169.254.169.254/latest'],
      ['https://r.example', 'https://10.0.0.1/'],
      ['https://r.example', 'https://localhost/'],
      ['https://r.example', 'https://0x7f000001/'],
      ['https://r.example', 'https://[::ffff:192.168.0.1]/'],
      ['https://r.example', 'file:///etc/passwd'],
      ['https://r.example', 'https://user:pw@auth.example/'],
      ['https://r.example', 'not an address'],
      ['https://r.example', ''],
    ] as const) {
      assert.throws(() => ok(base, realm), { code: 'REGISTRY_ERROR' }, `${base} ${realm}`);
    }
  });

  it('on a foreign unencrypted host get nothing', async () => {
    const auth = { type: 'bearer', ...login, realm: 'http://auth.example/token' } as const;
    await withRegistry({ auth, client: { login } }, async ({ client, ref }) => {
      const error = await rejectsWith(client.manifest(ref('a:v1')), 'REGISTRY_ERROR');
      assert.match(error.message, /not encrypted/);
    });
  });

  it('are not followed to where they redirect, where that is no place for a realm', async () => {
    await withRegistry({ auth: { type: 'bearer', ...login }, client: { login } }, async ({ registry, client, ref }) => {
      registry.intercept((request, response) => {
        const token = request.url?.startsWith('/token') ?? false;
        if (token) response.writeHead(302, { location: 'http://evil.example/token?x=secret' }).end();
        return token;
      });
      const error = await rejectsWith(client.manifest(ref('a:v1')), 'REGISTRY_ERROR');
      assert.doesNotMatch(error.message, /secret/);
    });
  });
});

describe('redirects', () => {
  it('of a token service to another origin carry no password', async () => {
    const seen: (string | undefined)[] = [];
    const transport = new Transport({
      connections: 1,
      timeouts: DEFAULT_TIMEOUTS,
      userAgent: 'test',
      proxies: { choose: () => undefined },
    });
    const elsewhere = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.end('{"token":"t"}');
    });
    const service = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(302, { location: `${at(elsewhere)}/token` }).end();
    });
    const at = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const server of [elsewhere, service]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    try {
      const { value } = await fetchToken(transport, DEFAULT_RETRY, {
        registry: 'r',
        base: new URL(at(service)),
        insecure: false,
        realm: `${at(service)}/token`,
        service: undefined,
        scopes: parseScopes('repository:a:pull'),
        credentials: { username: 'me', password: 'sesame' },
      });
      assert.equal(value, 't');
      assert.deepEqual(seen, [`Basic ${Buffer.from('me:sesame').toString('base64')}`, undefined]);
    } finally {
      await transport.close();
      service.close();
      elsewhere.close();
    }
  });

  it('to this machine from outside, and to what is not encrypted, are refused', () => {
    const endpoint = endpointOf('registry.example');
    const from = new URL('https://registry.example/v2/a/blobs/x');
    const follow = (to: string, immutable = false): string =>
      followRedirect(endpoint, from, new URL(to), immutable).href;
    for (const to of ['https://127.0.0.1/x', 'https://[::1]/x', 'https://localhost/x', 'http://169.254.169.254/x'])
      assert.throws(() => follow(to, true), { code: 'REGISTRY_ERROR', message: /this machine/ }, to);
    for (const to of ['https://[::ffff:127.0.0.1]/x', 'https://2130706433/x', 'https://0/x', 'https://[fe80::1]/x'])
      assert.throws(() => follow(to, true), { code: 'REGISTRY_ERROR', message: /this machine/ }, to);
    assert.throws(() => follow('http://cdn.example/x'), { code: 'REGISTRY_ERROR', message: /not encrypted/ });
    assert.equal(follow('http://cdn.example/x', true), 'http://cdn.example/x');
    assert.equal(follow('http://registry.example/y'), 'https://registry.example/y');
  });

  it('to another host carry no Authorization, not even on the way back', async () => {
    await withRegistry({}, async (foreign) => {
      await withRegistry(
        { auth: { type: 'basic', ...login }, client: { login } },
        async ({ registry, client, ref }) => {
          const { manifest } = registry.contents.addImage('a', 'v1');
          const layer = registry.contents.addBlob('a', 'moved');
          foreign.registry.intercept((request, response) => {
            if (request.url?.startsWith('/back'))
              response.writeHead(302, { location: `http://${registry.host}/v2/a/manifests/v1` }).end();
            else response.writeHead(200).end('moved');
            return true;
          });
          registry.intercept((request, response) => {
            const url = request.url ?? '';
            if (url.includes('/blobs/'))
              response.writeHead(307, { location: `http://${foreign.registry.host}/signed?sig=s3cret` }).end();
            else if (url.endsWith('/v2'))
              response.writeHead(302, { location: `http://${foreign.registry.host}/back` }).end();
            else return false;
            return true;
          });
          let text = '';
          for await (const chunk of client.blob(ref('a'), layer)) text += Buffer.from(chunk).toString();
          assert.equal(text, 'moved');
          assert.deepEqual((await client.manifest(ref('a:v1'))).descriptor, manifest);
          await rejectsWith(client.manifest(ref('a:v2')), 'REGISTRY_UNAUTHORIZED');
          for (const { headers } of foreign.registry.requests) assert.equal(headers.authorization, undefined);
          assert.equal(registry.requests.at(-1)?.headers.authorization, undefined);
        },
      );
    });
  });

  it('to a host that wants a token get an anonymous one there', async () => {
    await withRegistry({ auth: { type: 'bearer', anonymousPull: true } }, async (foreign) => {
      await withRegistry(
        { auth: { type: 'basic', ...login }, client: { login } },
        async ({ registry, client, ref }) => {
          const { manifest } = foreign.registry.contents.addImage('x/a', 'v1');
          registry.intercept((request, response) => {
            if (!request.url?.includes('/manifests/')) return false;
            response.writeHead(302, { location: `http://${foreign.registry.host}/v2/x/a/manifests/v1` }).end();
            return true;
          });
          assert.deepEqual((await client.manifest(ref('a:v1'))).descriptor, manifest);
          assert.deepEqual(
            foreign.registry.guard.asked.map(({ authorization }) => authorization),
            [undefined],
          );
        },
      );
    });
  });

  it('are refused in circles, to no address, and to other schemes', async () => {
    for (const location of ['/v2/a/manifests/v1', 'http://', 'file:///etc/passwd', 'javascript:1']) {
      await withRegistry({}, async ({ registry, client, ref }) => {
        registry.intercept((request, response) => {
          if (!request.url?.includes('/manifests/')) return false;
          response.writeHead(302, { location }).end();
          return true;
        });
        await rejectsWith(client.manifest(ref('a:v1')), 'REGISTRY_ERROR');
        assert.ok(registry.requests.length < 10);
      });
    }
  });

  it('of uploads keep the credentials at home', async () => {
    await withRegistry({}, async (foreign) => {
      await withRegistry(
        { auth: { type: 'basic', ...login }, client: { login } },
        async ({ registry, client, ref }) => {
          registry.intercept((request, response) => {
            if (request.method !== 'POST') return false;
            response.writeHead(202, { location: `http://${foreign.registry.host}/upload?sig=x%2By` }).end();
            return true;
          });
          foreign.registry.intercept((request, response) => {
            request.resume().once('end', () => response.writeHead(request.method === 'PUT' ? 201 : 202).end());
            return true;
          });
          assert.equal(await client.pushBlob(ref('a'), blob, stream(bytes)), 'uploaded');
          assert.equal(foreign.registry.requests.length, 2);
          assert.equal(foreign.registry.requests[1]?.path, `/upload?sig=x%2By&digest=sha256%3A${blob.digest.slice(7)}`);
          for (const { headers } of foreign.registry.requests) assert.equal(headers.authorization, undefined);
        },
      );
    });
  });
});

describe('secrets', () => {
  it('that a registry repeats do not reach a message', async () => {
    await withRegistry({ auth: { type: 'bearer', ...login }, client: { login } }, async ({ registry, client, ref }) => {
      registry.intercept((request, response) => {
        if (!request.url?.includes('/manifests/')) return false;
        if (!request.headers.authorization) return false;
        const message = `you sent ${request.headers.authorization} for ${login.password}, see https://x/y?sig=abcdef`;
        response.writeHead(400).end(JSON.stringify({ errors: [{ code: 'BAD', message }] }));
        return true;
      });
      const { message } = await rejectsWith(client.manifest(ref('a:v1')), 'REGISTRY_ERROR');
      assert.match(message, /BAD you sent/);
      assert.doesNotMatch(message, /hunter2|abcdef|Bearer [0-9a-f]{8}/);
    });
  });
});
