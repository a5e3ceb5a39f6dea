import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isStrakeError, MediaType } from '@strake/core';
import { chooseChallenge, parseChallenges } from '../src/challenge.js';
import { endpointOf, mirrorEndpoint, repositoryAt } from '../src/endpoint.js';
import { hostnameOf, isLocalOnly, isLoopback, isPrivateAddress } from '../src/hosts.js';
import { checkManifest } from '../src/manifest-check.js';
import { proxyFromEnvironment } from '../src/proxy.js';
import { redact } from '../src/redact.js';
import { backoff, retryAfter } from '../src/retry.js';
import { coversScopes, formatScopes, mergeScopes, parseScopes, repositoryScope } from '../src/scope.js';

describe('WWW-Authenticate', () => {
  const read = (text: string) => parseChallenges(text).map((c) => [c.scheme, Object.fromEntries(c.parameters)]);

  it('reads challenges', () => {
    assert.deepEqual(read('Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"'), [
      ['bearer', { realm: 'https://a/t', service: 's', scope: 'repository:x:pull,push' }],
    ]);
    assert.deepEqual(read('Basic realm="a \\"b\\"", Bearer realm=https://c/d , service=x'), [
      ['basic', { realm: 'a "b"' }],
      ['bearer', { realm: 'https://c/d', service: 'x' }],
    ]);
    assert.deepEqual(read('Negotiate abc==, Basic'), [
      ['negotiate', {}],
      ['basic', {}],
    ]);
    assert.deepEqual(read('Basic realm="1", realm="2"'), [['basic', { realm: '1' }]]);
  });

  it('prefers Bearer with a realm, then Basic', () => {
    assert.equal(chooseChallenge(parseChallenges('Basic realm="x", Bearer realm="https://y"'))?.scheme, 'bearer');
    assert.equal(chooseChallenge(parseChallenges('Bearer service="x", Basic realm="y"'))?.scheme, 'basic');
    assert.equal(chooseChallenge(parseChallenges('Negotiate, NTLM')), undefined);
  });

  it('survives anything', () => {
    for (const text of [
      '',
      ',',
      '=',
      '"',
      'Bearer realm="',
      'Bearer realm="\\',
      'a'.repeat(100_000),
      'a=",'.repeat(9000),
    ]) {
      parseChallenges(text);
    }
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => Array.isArray(parseChallenges(text))));
    fc.assert(
      fc.property(fc.array(fc.constantFrom('Bearer', ' ', '=', '"', ',', '\\', 'realm', 'x')), (words) =>
        Array.isArray(parseChallenges(words.join(''))),
      ),
    );
  });
});

describe('scopes', () => {
  it('are merged with push first', () => {
    const merged = mergeScopes(
      repositoryScope('from'),
      repositoryScope('to', true),
      parseScopes('repository:from:delete'),
    );
    assert.deepEqual(formatScopes(merged), ['repository:to:pull,push', 'repository:from:pull,delete']);
  });

  it('are read from challenges without harm', () => {
    assert.deepEqual(formatScopes(parseScopes('repository:h:5000/a/b:pull registry:catalog:* junk a:b')), [
      'repository:h:5000/a/b:pull',
      'registry:catalog:*',
    ]);
    assert.ok(parseScopes('repository:a:pull '.repeat(1000)).size <= 32);
    fc.assert(fc.property(fc.string(), (text) => parseScopes(text).size <= 32));
  });

  it('cover what is in them', () => {
    assert.ok(coversScopes(repositoryScope('a', true), repositoryScope('a')));
    assert.ok(!coversScopes(repositoryScope('a'), repositoryScope('a', true)));
    assert.ok(!coversScopes(repositoryScope('a', true), repositoryScope('b')));
    assert.ok(coversScopes(parseScopes('repository:a:*'), repositoryScope('a', true)));
  });
});

describe('hosts', () => {
  it('tells loopback, private and local addresses', () => {
    for (const name of [
      'localhost',
      'LOCALHOST',
      'a.localhost',
      '127.0.0.1',
      '127.9.9.9',
      '::1',
      '[::1]',
      'localhost.',
    ]) {
      assert.ok(isLoopback(name), name);
    }
    for (const name of ['128.0.0.1', 'localhost.example', '::2', 'example.com', '127.0.0.1.example']) {
      assert.ok(!isLoopback(name), name);
    }
    for (const name of [
      '10.1.2.3',
      '172.31.0.1',
      '192.168.1.1',
      '169.254.169.254',
      '[fd00::1]',
      '[fe80::1]',
      '100.64.0.1',
      '[::ffff:10.0.0.1]',
    ]) {
      assert.ok(isPrivateAddress(name), name);
    }
    for (const name of ['8.8.8.8', '172.32.0.1', '[2001:db8::1]', 'internal.corp'])
      assert.ok(!isPrivateAddress(name), name);
    assert.ok(isLocalOnly('169.254.169.254'));
    assert.ok(!isLocalOnly('10.0.0.1'));
  });

  it('takes ports off', () => {
    assert.equal(hostnameOf('a.b:5000'), 'a.b');
    assert.equal(hostnameOf('[::1]:5000'), '::1');
    assert.equal(hostnameOf('[::1]'), '::1');
    assert.equal(hostnameOf('localhost'), 'localhost');
  });
});

describe('endpoints', () => {
  it('knows Docker Hub', () => {
    for (const name of ['docker.io', 'index.docker.io', 'registry-1.docker.io']) {
      const { registry, host, schemes } = endpointOf(name);
      assert.deepEqual([registry, host, schemes], ['docker.io', 'registry-1.docker.io', ['https']]);
    }
  });

  it('allows plain http on loopback and where declared only', () => {
    assert.deepEqual(endpointOf('localhost:5000').schemes, ['http', 'https']);
    assert.deepEqual(endpointOf('[::1]:5000').schemes, ['http', 'https']);
    assert.deepEqual(endpointOf('reg.example:5000').schemes, ['https']);
    assert.deepEqual(endpointOf('reg.example:5000', ['reg.example:5000']).schemes, ['https', 'http']);
    assert.deepEqual(endpointOf('reg.example:5000', ['reg.example']).insecure, true);
    assert.deepEqual(endpointOf('localhost:5000').insecure, false);
  });

  it('reads mirrors', () => {
    const mirror = mirrorEndpoint('mirror.example/proxy.docker.io/', 'docker.io');
    assert.deepEqual([mirror.host, mirror.prefix, mirror.schemes], ['mirror.example', 'proxy.docker.io/', ['https']]);
    assert.deepEqual(mirrorEndpoint('http://m.example:5000', 'docker.io').schemes, ['http']);
    assert.equal(mirrorEndpoint('https://m.example/v2/x', 'docker.io').prefix, 'x/');
    for (const bad of ['', 'https://', 'https://u:p@h', 'a b'])
      assert.throws(() => mirrorEndpoint(bad, 'docker.io'), bad);
  });

  it('refuses repositories that lead elsewhere', () => {
    const endpoint = endpointOf('localhost:5000');
    for (const repository of ['../x', 'a/../b', 'a?x=y', 'a#b', 'A', 'a//b', '', 'a/./b', 'a%2f']) {
      assert.throws(() => repositoryAt(endpoint, { repository }), { code: 'REGISTRY_ERROR' }, repository);
    }
    for (const repository of ['a', 'a/b_c/d__e', 'a-b.c/d--e', 'library/node']) {
      assert.equal(repositoryAt(endpoint, { repository }), repository);
    }
  });
});

describe('proxies', () => {
  const choose = (env: NodeJS.ProcessEnv, url: string) => proxyFromEnvironment(env).choose(new URL(url))?.href;

  it('are chosen by scheme, never for loopback', () => {
    const env = { HTTP_PROXY: 'http://p:1', HTTPS_PROXY: 'http://q:2' };
    assert.equal(choose(env, 'http://a.b/'), 'http://p:1/');
    assert.equal(choose(env, 'https://a.b/'), 'http://q:2/');
    assert.equal(choose({ ...env, https_proxy: 'http://small:3' }, 'https://a.b/'), 'http://small:3/');
    assert.equal(choose({ HTTPS_PROXY: 'bare:8080' }, 'https://a.b/'), 'http://bare:8080/');
    for (const host of ['localhost:5000', '127.0.0.1', '[::1]:1'])
      assert.equal(choose(env, `http://${host}/`), undefined);
    assert.equal(choose({ ...env, REQUEST_METHOD: 'GET' }, 'http://a.b/'), undefined);
  });

  it('are left out for NO_PROXY', () => {
    const direct = (list: string, url: string) =>
      choose({ HTTPS_PROXY: 'http://p', NO_PROXY: list }, url) === undefined;
    assert.ok(direct('*', 'https://a.b/'));
    assert.ok(direct('x, b.c', 'https://a.b.c/'));
    assert.ok(direct('.b.c', 'https://a.b.c/'));
    assert.ok(direct('*.b.c', 'https://a.b.c/'));
    assert.ok(direct('a.b:443', 'https://a.b/'));
    assert.ok(direct('10.0.0.0/8', 'https://10.1.2.3/'));
    assert.ok(direct('fd00::1', 'https://[fd00::1]/'));
    assert.ok(!direct('b.c', 'https://ab.c/'));
    assert.ok(!direct('a.b:444', 'https://a.b/'));
    assert.ok(!direct('10.0.0.0/8', 'https://11.1.2.3/'));
    assert.ok(!direct('', 'https://a.b/'));
    fc.assert(fc.property(fc.string(), (list) => typeof direct(list, 'https://a.b/') === 'boolean'));
  });

  it('says which variable is wrong, and not what is in it', () => {
    assert.throws(
      () => choose({ HTTPS_PROXY: 'socks9://user:secret@x' }, 'https://a.b/'),
      (error: Error) => /HTTPS_PROXY/.test(error.message) && !/secret/.test(error.message),
    );
  });
});

describe('redaction', () => {
  it('removes what must not be shown', () => {
    const text = redact(
      'Bearer abcdefghijkl at https://me:pw@h/x?sig=zzz&a=b and "hunter2" \u001b[31m\nBasic dXNlcjpwYXNz',
      ['hunter2'],
    );
    for (const secret of ['abcdefghijkl', 'pw@', 'sig', 'hunter2', 'dXNlcjpwYXNz', '\u001b', '\n']) {
      assert.ok(!text.includes(secret), `${secret} in ${text}`);
    }
    assert.ok(redact('x'.repeat(100_000)).length < 600);
  });
});

describe('retries', () => {
  it('reads Retry-After', () => {
    assert.equal(retryAfter('3'), 3000);
    assert.equal(retryAfter('Thu, 01 Jan 1970 00:00:05 GMT', 2000), 3000);
    assert.equal(retryAfter('Thu, 01 Jan 1970 00:00:05 GMT', 9000), 0);
    for (const odd of [undefined, '', 'soon', '-1', '99999999999999999999']) assert.ok((retryAfter(odd) ?? 0) >= 0);
  });

  it('waits three times as long each time', () => {
    const policy = { attempts: 3, delay: 1000, longestWait: 1 };
    assert.ok(Math.abs(backoff(policy, 1) - 1000) <= 50);
    assert.ok(Math.abs(backoff(policy, 2) - 3000) <= 150);
  });
});

describe('manifests from hostile registries', () => {
  it('are not nested for the stack, nor both of a kind (CVE-2021-41190)', () => {
    const reference = { registry: 'localhost:1', repository: 'a', tag: 'v1' };
    const refused = (text: string, message: RegExp): void =>
      assert.throws(() => checkManifest(reference, Buffer.from(text), MediaType.ociIndex), {
        code: 'MANIFEST_INVALID',
        message,
      });
    refused(`{"schemaVersion":2,"manifests":[],"x":${'['.repeat(1e5)}${']'.repeat(1e5)}}`, /nested too deep/);
    refused('{"schemaVersion":2,"manifests":[],"layers":[]}', /both a manifest and an index/);
  });

  it('are taken or refused, whatever they are', () => {
    const reference = { registry: 'localhost:1', repository: 'a', tag: 'v1' };
    const keys = fc.constantFrom('schemaVersion', 'mediaType', 'config', 'layers', 'manifests', 'subject');
    const values = fc.oneof(fc.jsonValue(), fc.constantFrom(2, MediaType.ociManifest, MediaType.ociIndex));
    fc.assert(
      fc.property(
        fc.dictionary(keys, values),
        fc.constantFrom(...Object.values(MediaType), 'x', undefined),
        (body, type) => {
          try {
            checkManifest(reference, Buffer.from(JSON.stringify(body)), type);
          } catch (error) {
            assert.ok(isStrakeError(error, 'MANIFEST_INVALID'));
          }
        },
      ),
    );
  });
});
