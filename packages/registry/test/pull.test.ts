import assert from 'node:assert/strict';
import { collect, digestOf, MediaType, type Digest, isStrakeError } from '@strake/core';
import { memoryBlob } from '../src/testing/index.js';
import { descriptorOf, noise, rejectsWith, testClient, withRegistry, written } from './support.js';

const digestTo = (char: string): Digest => `sha256:${char.repeat(64)}`;

describe('manifests', () => {
  it('are pulled by tag and by digest, and resolved', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const { manifest } = registry.contents.addImage('a/b', 'v1', 'latest');
      const byTag = await client.manifest(ref('a/b:v1'));
      assert.deepEqual(byTag.descriptor, manifest);
      assert.equal(digestOf(byTag.bytes), manifest.digest);
      assert.deepEqual((await client.manifest(ref(`a/b@${manifest.digest}`))).descriptor, manifest);
      assert.deepEqual((await client.manifest(ref('a/b'))).descriptor, manifest);
      assert.deepEqual(await client.resolve(ref('a/b:v1')), manifest);
      assert.deepEqual(registry.requests.at(-1)?.method, 'HEAD');
      assert.equal(await client.resolve(ref('a/b:v2')), undefined);
      assert.equal(await client.resolve(ref('none:v2')), undefined);
      await rejectsWith(client.manifest(ref('a/b:v2')), 'IMAGE_NOT_FOUND');
    });
  });

  it('need no Docker-Content-Digest', async () => {
    await withRegistry({ noDigestHeader: true }, async ({ registry, client, ref }) => {
      const { manifest } = registry.contents.addImage('a', 'v1');
      assert.deepEqual(await client.resolve(ref('a:v1')), manifest);
      assert.deepEqual((await client.manifest(ref('a:v1'))).descriptor, manifest);
      assert.equal(await client.resolve(ref('a:v2')), undefined);
    });
  });

  it('may have more than 4 MiB, but not without end', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const manifests = Array.from({ length: 100 }, (_, i) => ({
        ...descriptorOf(`${i}`, MediaType.ociManifest),
        annotations: { a: 'x'.repeat(50_000) },
      }));
      const big = registry.contents.addManifest('a', { schemaVersion: 2, manifests }, MediaType.ociIndex, 'big');
      assert.ok(big.size > 4 * 1024 * 1024);
      assert.deepEqual((await client.manifest(ref('a:big'))).descriptor, big);
      registry.contents.addManifest('a', 'x'.repeat(20 * 1024 * 1024), MediaType.ociIndex, 'huge');
      await rejectsWith(client.manifest(ref('a:huge')), 'MANIFEST_INVALID');
    });
  });

  it('are refused where they are not what was asked for', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const { manifest } = registry.contents.addImage('a', 'v1');
      const repository = registry.contents.repository('a');
      const expected = { digest: manifest.digest, size: manifest.size + 1 };
      await rejectsWith(client.manifest(ref('a:v1'), { expected }), 'DIGEST_MISMATCH');
      await rejectsWith(client.manifest(ref('a:v1'), { expected: { digest: digestTo('0') } }), 'IMAGE_NOT_FOUND');
      const stored = repository.manifests.get(manifest.digest);
      assert.ok(stored);
      repository.manifests.set(manifest.digest, { ...stored, bytes: Buffer.concat([stored.bytes, Buffer.from(' ')]) });
      await rejectsWith(client.manifest(ref(`a@${manifest.digest}`)), 'DIGEST_MISMATCH');
      // By tag: the registry's own header contradicts the body.
      await rejectsWith(client.manifest(ref('a:v1')), 'DIGEST_MISMATCH');
    });
  });

  it('are refused where they are malformed', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const config = descriptorOf('{}', MediaType.ociConfig);
      const cases: Record<string, [unknown, string]> = {
        'both-kinds': [{ schemaVersion: 2, config, layers: [], manifests: [] }, MediaType.ociManifest],
        'types-differ': [{ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] }, MediaType.ociManifest],
        'no-object': [[1], MediaType.ociManifest],
        'no-layers': [{ schemaVersion: 2, config }, MediaType.ociManifest],
        'no-config': [{ schemaVersion: 2, layers: [] }, MediaType.ociManifest],
        'path-digest': [
          { schemaVersion: 2, config: { ...config, digest: 'sha256:../../etc' }, layers: [] },
          MediaType.ociManifest,
        ],
        'negative-size': [{ schemaVersion: 2, config: { ...config, size: -1 }, layers: [] }, MediaType.ociManifest],
        'null-entry': [{ schemaVersion: 2, manifests: [null] }, MediaType.ociIndex],
        'schema-1': [{ schemaVersion: 1 }, 'application/vnd.docker.distribution.manifest.v1+prettyjws'],
        'other-type': [{ schemaVersion: 2, config, layers: [] }, 'text/html'],
        'not-json': ['<html>', MediaType.ociManifest],
      };
      for (const [tag, [body, type]] of Object.entries(cases)) {
        registry.contents.addManifest('a', typeof body === 'string' ? body : JSON.stringify(body), type, tag);
        await rejectsWith(client.manifest(ref(`a:${tag}`)), 'MANIFEST_INVALID');
      }
    });
  });

  it('are taken from static servers that know no types', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const config = descriptorOf('{}', MediaType.ociConfig);
      registry.contents.addManifest('a', { schemaVersion: 2, config, layers: [] }, 'text/plain; charset=utf-8', 'm');
      registry.contents.addManifest('a', { schemaVersion: 2, manifests: [] }, 'application/json', 'i');
      assert.equal((await client.manifest(ref('a:m'))).descriptor.mediaType, MediaType.ociManifest);
      assert.equal((await client.resolve(ref('a:i')))?.mediaType, MediaType.ociIndex);
    });
  });

  it('are asked for again where the connection breaks', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const { manifest } = registry.contents.addImage('a', 'v1');
      let broken = 0;
      registry.intercept(async (request, response) => {
        if (!request.url?.includes('/manifests/') || broken++ > 0) return false;
        response.writeHead(200, { 'content-type': MediaType.ociManifest, 'content-length': 1000 });
        await written(response, Buffer.from('{'));
        response.destroy();
        return true;
      });
      assert.deepEqual((await client.manifest(ref('a:v1'))).descriptor, manifest);
    });
  });
});

describe('blobs', () => {
  const bytes = noise(3_000_000);

  it('are pulled, with progress', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const blob = registry.contents.addBlob('a', bytes);
      let last = 0;
      const got = await collect(client.blob(ref('a'), blob, { onProgress: (n) => (last = n) }), 1e8);
      assert.ok(got.equals(bytes));
      assert.equal(last, bytes.length);
      assert.equal(await client.hasBlob(ref('a'), blob.digest), true);
      assert.equal(await client.hasBlob(ref('a'), digestTo('1')), false);
      await rejectsWith(collect(client.blob(ref('a'), { ...blob, digest: digestTo('1') }), 1e8), 'BLOB_NOT_FOUND');
      const nothing = registry.contents.addBlob('a', '');
      assert.equal((await collect(client.blob(ref('a'), nothing), 10)).length, 0);
    });
  });

  it('are resumed where the connection breaks, with and without range support', async () => {
    for (const ranges of [true, false]) {
      await withRegistry({}, async ({ registry, client, ref }) => {
        const blob = registry.contents.addBlob('a', bytes);
        const asked: (string | undefined)[] = [];
        registry.intercept(async (request, response) => {
          if (request.method !== 'GET' || !request.url?.includes('/blobs/')) return false;
          asked.push(request.headers.range);
          if (!ranges) delete request.headers.range;
          if (asked.length > 2) return false;
          const from = ranges ? Number(/\d+/.exec(request.headers.range ?? '0')?.[0]) : 0;
          response.writeHead(from > 0 ? 206 : 200, {
            'content-length': bytes.length - from,
            ...(from > 0 ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
          });
          await written(response, bytes.subarray(from, from + asked.length * 400_000));
          response.destroy();
          return true;
        });
        assert.ok((await collect(client.blob(ref('a'), blob), 1e8)).equals(bytes));
        assert.equal(asked.length, 3);
        assert.match(asked[2] ?? '', /^bytes=\d+-$/);
      });
    }
  });

  it('fail in the end where the connection always breaks', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const blob = registry.contents.addBlob('a', bytes);
      registry.intercept((request, response) => {
        if (!request.url?.includes('/blobs/')) return false;
        response.writeHead(200, { 'content-length': bytes.length });
        response.write(bytes.subarray(0, 10), () => response.destroy());
        return true;
      });
      const error = await rejectsWith(collect(client.blob(ref('a'), blob), 1e8), 'REGISTRY_UNREACHABLE');
      assert.match(error.message, /after \d+ of 3000000 bytes/);
    });
  });

  it('are refused where they are truncated, longer, or other bytes', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const blob = registry.contents.addBlob('a', bytes);
      const serve = async (content: Buffer): Promise<void> => {
        registry.contents.addVirtualBlob('a', blob.digest, memoryBlob(content));
        await rejectsWith(collect(client.blob(ref('a'), blob), 1e8), 'DIGEST_MISMATCH');
      };
      await serve(bytes.subarray(0, 1_000_000));
      await serve(Buffer.concat([bytes, Buffer.from('x')]));
      await serve(Buffer.from(bytes).fill(0, 2_999_990));
      // Without a length in the head, it is seen on the way.
      registry.intercept((request, response) => {
        if (!request.url?.includes('/blobs/')) return false;
        response.writeHead(200).end(Buffer.concat([bytes, bytes]));
        return true;
      });
      await rejectsWith(collect(client.blob(ref('a'), blob), 1e8), 'DIGEST_MISMATCH');
    });
  });

  it('that are said to be longer are refused at the first byte too many, and can be cancelled before it', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const blob = registry.contents.addBlob('a', bytes);
      registry.intercept((request, response) => {
        if (!request.url?.includes('/blobs/')) return false;
        response.writeHead(200, { 'content-length': bytes.length + 10 }).write(bytes.subarray(0, 10));
        return true;
      });
      const controller = new AbortController();
      const reading = collect(
        client.blob(ref('a'), blob, {
          signal: controller.signal,
          onProgress: () => controller.abort(new Error('enough')),
        }),
        1e8,
      );
      await assert.rejects(reading, (error) => !isStrakeError(error, 'DIGEST_MISMATCH'));
      assert.ok(controller.signal.aborted);
    });
  });

  it('that stand still are given up', async () => {
    const client = { timeouts: { body: 50 }, retry: { attempts: 2, delay: 1 } };
    await withRegistry({ client }, async ({ registry, client, ref }) => {
      const blob = registry.contents.addBlob('a', bytes);
      registry.intercept((request, response) => {
        if (!request.url?.includes('/blobs/')) return false;
        response.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, 10));
        return true;
      });
      const error = await rejectsWith(collect(client.blob(ref('a'), blob), 1e8), 'REGISTRY_UNREACHABLE');
      assert.match(error.message, /stopped sending/);
    });
  });

  it('end with the signal, and free the connection', async () => {
    await withRegistry({ client: { connections: 1 } }, async ({ registry, client, ref }) => {
      const blob = registry.contents.addBlob('a', bytes);
      const { manifest } = registry.contents.addImage('a', 'v1');
      const stop = new AbortController();
      const reading = async (): Promise<void> => {
        for await (const chunk of client.blob(ref('a'), blob, { signal: stop.signal })) {
          assert.ok(chunk.length > 0);
          stop.abort();
        }
      };
      await rejectsWith(reading(), 'CANCELLED');
      // A reader that stops early frees it, too.
      for await (const chunk of client.blob(ref('a'), blob)) {
        assert.ok(chunk.length > 0);
        break;
      }
      assert.deepEqual(await client.resolve(ref('a:v1')), manifest);
    });
  });
});

describe('mirrors', () => {
  it('go first, with ns= and without the credentials of the registry; the registry itself is the fallback', async () => {
    await withRegistry({}, async (mirror) => {
      await withRegistry({ auth: { type: 'basic', username: 'me', password: 'pw' } }, async ({ registry, ref }) => {
        const mirrors = { [registry.host]: ['localhost:1', `http://${mirror.registry.host}/cache`] };
        const asked: string[] = [];
        const client = testClient({
          mirrors,
          credentials: {
            async get(host, repository) {
              asked.push(`${host} ${repository}`);
              return host === registry.host ? { username: 'me', password: 'pw' } : undefined;
            },
          },
        });
        try {
          const there = mirror.registry.contents.addImage('cache/a', 'v1');
          const here = registry.contents.addImage('a', 'v2');
          assert.deepEqual((await client.manifest(ref('a:v1'))).descriptor, there.manifest);
          assert.equal(registry.requests.length, 0);
          assert.deepEqual((await client.manifest(ref('a:v2'))).descriptor, here.manifest);
          assert.deepEqual(await client.resolve(ref('a:v2')), here.manifest);
          const only = registry.contents.addBlob('a', 'only here');
          assert.equal(String(await collect(client.blob(ref('a'), only), 100)), 'only here');
          for (const { path, headers } of mirror.registry.requests) {
            assert.equal(headers.authorization, undefined);
            if (path !== '/v2/') assert.match(path, /^\/v2\/cache\/a\/.*[?&]ns=127\.0\.0\.1%3A\d+$/);
          }
          for (const { path } of registry.requests) assert.doesNotMatch(path, /ns=/);
          assert.ok(
            asked.every((line) => line === `${registry.host} a`),
            asked.join('; '),
          );
        } finally {
          await client.close();
        }
      });
    });
  });
});
