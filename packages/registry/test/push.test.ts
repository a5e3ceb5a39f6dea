import assert from 'node:assert/strict';
import { once } from 'node:events';
import { MediaType, StrakeError } from '@strake/core';
import { descriptorOf, noise, rejectsWith, stream, withRegistry } from './support.js';

const bytes = noise(3_000_000);
const blob = descriptorOf(bytes);

describe('pushing blobs', () => {
  it('uploads what is missing, by absolute and by relative Location', async () => {
    for (const relativeLocations of [false, true]) {
      await withRegistry({ relativeLocations }, async ({ registry, client, ref }) => {
        let last = 0;
        const onProgress = (n: number): void => void (last = n);
        assert.equal(await client.pushBlob(ref('a'), blob, stream(bytes), { onProgress }), 'uploaded');
        assert.equal(last, bytes.length);
        assert.equal(await client.pushBlob(ref('a'), blob, stream(bytes)), 'exists');
        const small = Buffer.from('small');
        assert.equal(await client.pushBlob(ref('a'), descriptorOf(small), stream(small)), 'uploaded');
        const nothing = Buffer.alloc(0);
        assert.equal(await client.pushBlob(ref('a'), descriptorOf(nothing), stream(nothing)), 'uploaded');
        assert.equal(registry.contents.blobs.size, 3);
        assert.equal(registry.uploads.open.size, 0);
        const methods = registry.requests.map(({ method }) => method).join(' ');
        assert.equal(methods, 'GET HEAD POST PATCH PUT HEAD HEAD POST PUT HEAD POST PUT');
      });
    }
  });

  it('mounts from another repository, and uploads where that is refused', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      registry.contents.addBlob('from', bytes);
      const mountFrom = ['to', 'nowhere', 'from'];
      assert.equal(await client.pushBlob(ref('to'), blob, stream(bytes), { mountFrom }), 'mounted');
      assert.equal(registry.uploads.open.size, 0);
      assert.ok(registry.requests.every(({ path }) => !path.includes('mount=') || path.includes('from=')));
    });
    await withRegistry({ refuseMounts: true }, async ({ registry, client, ref }) => {
      registry.contents.addBlob('from', bytes);
      assert.equal(await client.pushBlob(ref('to'), blob, stream(bytes), { mountFrom: ['from'] }), 'uploaded');
      // The upload that the registry began instead is used.
      assert.equal(registry.requests.filter(({ method }) => method === 'POST').length, 1);
      assert.equal(registry.uploads.open.size, 0);
    });
    await withRegistry({}, async ({ registry, client, ref }) => {
      registry.intercept((request, response) => {
        if (!request.url?.includes('mount=')) return false;
        response.writeHead(403).end('{"errors":[{"code":"DENIED"}]}');
        return true;
      });
      assert.equal(await client.pushBlob(ref('to'), blob, stream(bytes), { mountFrom: ['from'] }), 'uploaded');
    });
  });

  it('resumes a broken upload where the registry got to', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      let broken = 0;
      registry.intercept(async (request) => {
        if (request.method !== 'PATCH' || broken++ > 0) return false;
        const id = /uploads\/([^?]+)/.exec(request.url ?? '')?.[1] ?? '';
        const upload = registry.uploads.open.get(id);
        let got = 0;
        for await (const chunk of request as AsyncIterable<Buffer>) {
          upload?.hasher.update(chunk);
          upload?.chunks.push(chunk);
          got += chunk.length;
          if (got > 1_500_000) break;
        }
        request.socket.destroy();
        return true;
      });
      let opened = 0;
      const open = () => {
        opened++;
        return stream(bytes)();
      };
      assert.equal(await client.pushBlob(ref('a'), blob, open), 'uploaded');
      const resumed = registry.requests.findLast(({ method }) => method === 'PATCH');
      assert.match(resumed?.headers['content-range'] ?? '', /^1[5-9]\d{5}-2999999$/);
      assert.equal(opened, 2);
      assert.equal(registry.contents.blobs.get(blob.digest)?.size, bytes.length);
    });
  });

  it('begins again where the registry forgot the upload, and gives up in the end', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      let failures = 2;
      registry.intercept((request, response) => {
        if (request.method !== 'PATCH' || failures-- <= 0) return false;
        request.resume();
        registry.uploads.open.clear();
        response.writeHead(failures === 1 ? 404 : 503).end();
        return true;
      });
      assert.equal(await client.pushBlob(ref('a'), blob, stream(bytes)), 'uploaded');
      assert.equal(registry.requests.filter(({ method }) => method === 'POST').length, 3);
    });
    await withRegistry({}, async ({ registry, client, ref }) => {
      registry.intercept((request) => {
        if (request.method === 'PATCH') request.destroy();
        return request.method === 'PATCH';
      });
      await rejectsWith(client.pushBlob(ref('a'), blob, stream(bytes)), 'REGISTRY_UNREACHABLE');
      assert.equal(registry.requests.filter(({ method }) => method === 'PATCH').length, 3);
      assert.equal(registry.uploads.open.size, 0);
    });
  });

  it('sends pieces where a whole body is too large, none shorter than the registry wants', async () => {
    const large = noise(70 * 1024 * 1024);
    await withRegistry({ shortestChunk: 40 * 1024 * 1024 }, async ({ registry, client, ref }) => {
      registry.intercept((request, response) => {
        const tooLarge = request.method === 'PATCH' && Number(request.headers['content-length']) > 50 * 1024 * 1024;
        if (tooLarge) response.writeHead(413, { connection: 'close' }).end();
        return tooLarge;
      });
      assert.equal(await client.pushBlob(ref('a'), descriptorOf(large), stream(large, 1024 * 1024)), 'uploaded');
      const ranges = registry.requests.map(({ headers }) => headers['content-range']).filter(Boolean);
      assert.deepEqual(ranges, ['0-41943039', '41943040-73400319']);
    });
  });

  it('says whose fault a wrong digest is', async () => {
    await withRegistry({}, async ({ client, ref }) => {
      const other = Buffer.from(bytes).fill(1, 0, 10);
      await rejectsWith(client.pushBlob(ref('a'), blob, stream(other)), 'DIGEST_MISMATCH');
      await rejectsWith(client.pushBlob(ref('a'), blob, stream(bytes.subarray(1))), 'DIGEST_MISMATCH');
      await rejectsWith(client.pushBlob(ref('a'), blob, stream(Buffer.concat([bytes, bytes]))), 'DIGEST_MISMATCH');
    });
  });

  it('passes on what the source fails with, at once', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const open = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes.subarray(0, 100_000);
        throw new StrakeError({ code: 'DISK_BROKEN', message: 'no' });
      };
      await rejectsWith(client.pushBlob(ref('a'), blob, open), 'DISK_BROKEN');
      assert.equal(registry.requests.filter(({ method }) => method === 'PATCH').length, 1);
      assert.equal(registry.uploads.open.size, 0);
    });
  });

  it('cancels at the registry what the signal ends, and closes the source', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const stop = new AbortController();
      let closed = false;
      const open = async function* (): AsyncGenerator<Uint8Array> {
        try {
          yield bytes.subarray(0, 1_000_000);
          stop.abort();
          yield bytes.subarray(1_000_000);
        } finally {
          closed = true;
        }
      };
      await rejectsWith(client.pushBlob(ref('a'), blob, open, { signal: stop.signal }), 'CANCELLED');
      assert.equal(closed, true);
      assert.equal(registry.requests.at(-1)?.method, 'DELETE');
      assert.equal(registry.uploads.open.size, 0);
    });
  });

  it('does not hang on a source or a registry that stands still', async () => {
    await withRegistry({ client: { timeouts: { headers: 50, commit: 50 } } }, async ({ registry, client, ref }) => {
      registry.intercept((request) => request.method === 'PUT');
      const error = await rejectsWith(client.pushBlob(ref('a'), blob, stream(bytes)), 'REGISTRY_UNREACHABLE');
      assert.match(error.message, /did not answer in time/);
    });
    await withRegistry({}, async ({ registry, client, ref }) => {
      const stop = new AbortController();
      const open = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes.subarray(0, 1000);
        await new Promise(() => undefined);
      };
      const pushing = client.pushBlob(ref('a'), blob, open, { signal: stop.signal });
      registry.intercept((request) => {
        if (request.method === 'PATCH') void once(request, 'data').then(() => stop.abort());
        return false;
      });
      await rejectsWith(pushing, 'CANCELLED');
    });
  });
});

describe('pushing manifests', () => {
  const config = descriptorOf('{}', MediaType.ociConfig);
  const manifest = (more: object): Buffer =>
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: [], ...more }));

  it('goes to the tag, else to the digest', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const body = manifest({});
      const descriptor = descriptorOf(body, MediaType.ociManifest);
      await client.pushManifest(ref('a:v1'), descriptor, body);
      await client.pushManifest(ref('b'), descriptor, body);
      assert.equal(registry.contents.repository('a').tags.get('v1'), descriptor.digest);
      assert.equal(registry.contents.repository('b').tags.size, 0);
      assert.ok(registry.contents.repository('b').manifests.has(descriptor.digest));
      await rejectsWith(client.pushManifest(ref('a:v2'), descriptor, Buffer.from('{}')), 'DIGEST_MISMATCH');
      assert.equal(registry.contents.repository('a').tags.has('v2'), false);
    });
  });

  it('lists a referrer under its subject, with and without the API for it', async () => {
    for (const referrers of [true, false]) {
      await withRegistry({ referrers }, async ({ registry, client, ref }) => {
        const subject = registry.contents.addImage('a', 'v1').manifest;
        for (const artifactType of ['application/x-one', 'application/x-two']) {
          const body = manifest({ subject, artifactType });
          const descriptor = descriptorOf(body, MediaType.ociManifest);
          await client.pushManifest(ref('a'), descriptor, body);
          await client.pushManifest(ref('a'), descriptor, body);
        }
        const found = await client.referrers(ref('a'), subject.digest);
        assert.deepEqual(
          found.map(({ artifactType }) => artifactType),
          ['application/x-one', 'application/x-two'],
        );
        assert.equal(registry.contents.repository('a').tags.has(subject.digest.replace(':', '-')), !referrers);
        assert.deepEqual(await client.referrers(ref('a'), config.digest), []);
      });
    }
  });

  it('lists tags over several pages, and refuses a list without end', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const digest = registry.contents.addImage('a').manifest.digest;
      const { tags } = registry.contents.repository('a');
      for (let i = 0; i < 2500; i++) tags.set(`v${10_000 + i}`, digest);
      assert.equal((await client.tags(ref('a'))).length, 2500);
      registry.intercept((_request, response) => {
        response.writeHead(200, { link: '</v2/a/tags/list?n=1>; rel="next"' }).end('{"tags":["x"]}');
        return true;
      });
      await rejectsWith(client.tags(ref('a')), 'REGISTRY_ERROR');
    });
  });

  it('follows a list to another host without the credentials, and to no other scheme', async () => {
    const login = { username: 'me', password: 'sesame' };
    await withRegistry({}, async (foreign) => {
      foreign.registry.intercept((_request, response) => {
        response.writeHead(200).end('{"tags":["there"]}');
        return true;
      });
      await withRegistry(
        { auth: { type: 'basic', ...login }, client: { login } },
        async ({ registry, client, ref }) => {
          let next = `http://${foreign.registry.host}/v2/a/tags/list?n=2`;
          registry.intercept((request, response) => {
            if (!request.url?.includes('/tags/list') || request.headers.authorization === undefined) return false;
            response.writeHead(200, { link: `<${next}>; rel="next"` }).end('{"tags":["here"]}');
            return true;
          });
          assert.deepEqual(await client.tags(ref('a')), ['here', 'there']);
          assert.ok(foreign.registry.requests.length > 0);
          for (const { headers } of foreign.registry.requests) assert.equal(headers.authorization, undefined);
          for (next of ['file:///etc/passwd', 'data:,{"tags":[]}']) await assert.rejects(client.tags(ref('a')));
        },
      );
    });
  });
});
