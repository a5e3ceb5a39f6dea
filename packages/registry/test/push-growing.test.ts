import assert from 'node:assert/strict';
import type { Descriptor } from '@strake/core';
import type { GrowingBlob } from '../src/index.js';
import { descriptorOf, noise, rejectsWith, withRegistry } from './support.js';

const bytes = noise(3_000_000);
const blob = descriptorOf(bytes);
const HALF = bytes.length / 2;

interface Making extends GrowingBlob {
  /** How often it was read. */
  readonly opened: () => number;
}

/** The blob as it is made: a half at once, the rest when MEANWHILE is over. */
function growing(meanwhile: Promise<unknown> = Promise.resolve()): Making {
  const whole = meanwhile.then(() => blob);
  whole.catch(() => undefined);
  let opened = 0;
  return {
    opened: () => opened,
    whole,
    async *open() {
      opened++;
      yield bytes.subarray(0, HALF);
      await meanwhile;
      yield bytes.subarray(HALF);
    },
  };
}

describe('pushing a blob that is being made', () => {
  it('begins before it is whole, and names it at the end', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      let begun: () => void = () => undefined;
      // It becomes whole only when the registry is being sent it.
      const sent = new Promise<void>((resolve) => (begun = resolve));
      registry.intercept(({ method }) => {
        if (method === 'PATCH') begun();
        return false;
      });
      let last = 0;
      const onProgress = (n: number): void => void (last = n);
      assert.equal(await client.pushGrowing(ref('a'), growing(sent), { onProgress }), 'uploaded');
      assert.equal(last, bytes.length);
      assert.ok(registry.contents.repositories.get('a')?.blobs.has(blob.digest));
      // Once its name is known the registry is asked for it, where much is still to be sent.
      const methods = registry.requests.map(({ method }) => method).filter((method) => method !== 'HEAD');
      assert.equal(methods.join(' '), 'GET POST PATCH PUT');
      assert.equal(registry.requests.find(({ method }) => method === 'PATCH')?.headers['content-range'], undefined);
    });
  });

  it('begins anew where the first attempt is refused or breaks', async () => {
    for (const status of [404, 411, 416, 500, 503, 0]) {
      await withRegistry({}, async ({ registry, client, ref }) => {
        let refused = 0;
        registry.intercept(async (request, response) => {
          if (request.method !== 'PATCH' || refused++ > 0) return false;
          await new Promise((resolve) => request.once('data', resolve));
          if (status === 0) request.destroy();
          else response.writeHead(status).end();
          return true;
        });
        const content = growing();
        assert.equal(await client.pushGrowing(ref('a'), content), 'uploaded', `status ${status}`);
        assert.ok(registry.contents.repositories.get('a')?.blobs.has(blob.digest));
        assert.equal(registry.uploads.open.size, 0, `status ${status}`);
        assert.equal(content.opened(), 2);
      });
    }
  });

  it('fails where the registry finds another digest, also at the second attempt', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const wrong = Buffer.alloc(10_000);
      const content: GrowingBlob = {
        whole: Promise.resolve(blob),
        async *open() {
          yield Buffer.concat([wrong, bytes.subarray(wrong.length)]);
        },
      };
      await rejectsWith(client.pushGrowing(ref('a'), content), 'DIGEST_MISMATCH');
      assert.equal(registry.contents.blobs.size, 0);
      assert.equal(registry.uploads.open.size, 0);
    });
  });

  it('stops where the registry turns out to have it', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      registry.contents.addBlob('a', bytes);
      let name: (descriptor: Descriptor) => void = () => undefined;
      let end: () => void = () => undefined;
      const never = new Promise<void>((resolve) => (end = resolve));
      const content: GrowingBlob = {
        whole: new Promise((resolve) => (name = resolve)),
        async *open() {
          yield bytes.subarray(0, HALF);
          name(blob);
          await never;
        },
      };
      assert.equal(await client.pushGrowing(ref('a'), content), 'exists');
      assert.equal(registry.uploads.open.size, 0);
      end();
    });
  });

  it('fails with what making it failed with', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const broken = Promise.reject(new Error('the disk is full'));
      await assert.rejects(client.pushGrowing(ref('a'), growing(broken)), /the disk is full/);
      assert.equal(registry.contents.blobs.size, 0);
      assert.equal(registry.uploads.open.size, 0);
    });
  });

  it('ends when it is given up, and leaves no upload', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      const controller = new AbortController();
      let end: () => void = () => undefined;
      const never = new Promise<void>((resolve) => (end = resolve));
      registry.intercept(({ method }) => {
        if (method === 'PATCH') controller.abort();
        return false;
      });
      await rejectsWith(client.pushGrowing(ref('a'), growing(never), { signal: controller.signal }), 'CANCELLED');
      assert.equal(registry.uploads.open.size, 0);
      end();
    });
  });

  it('is not even begun where pushing is denied', async () => {
    await withRegistry({}, async ({ registry, client, ref }) => {
      registry.intercept(({ method }, response) => {
        if (method !== 'POST') return false;
        response.writeHead(403).end('{"errors":[{"code":"DENIED"}]}');
        return true;
      });
      const content = growing(new Promise(() => undefined));
      await rejectsWith(client.pushGrowing(ref('a'), content), 'REGISTRY_DENIED');
      assert.equal(content.opened(), 0);
    });
  });
});
