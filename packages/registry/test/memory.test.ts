import assert from 'node:assert/strict';
import { Hasher, type Descriptor } from '@strake/core';
import { withRegistry } from './support.js';

const MIB = 1024 * 1024;
const SIZE = 300 * MIB;

/** The bytes of a large blob that is never in memory as a whole. */
async function* synthetic(start = 0, end = SIZE): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end;) {
    const chunk = Buffer.alloc(Math.min(end, (Math.floor(at / MIB) + 1) * MIB) - at, Math.floor(at / MIB) & 0xff);
    yield chunk;
    at += chunk.length;
  }
}

/** Notes how much memory is in use at most, beyond what was at the beginning. */
function meter(): { readonly sample: () => void; readonly peak: () => number } {
  const used = (): number => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const start = used();
  let most = 0;
  let calls = 0;
  return {
    sample() {
      if (calls++ % 16 === 0) most = Math.max(most, used() - start);
    },
    peak: () => most,
  };
}

describe('memory', () => {
  it('does not grow with the size of a blob', async () => {
    const hasher = new Hasher();
    for await (const chunk of synthetic()) hasher.update(chunk);
    const blob: Descriptor = { mediaType: 'application/octet-stream', digest: hasher.digest(), size: SIZE };
    await withRegistry({ discard: true }, async ({ registry, client, ref }) => {
      const push = meter();
      await client.pushBlob(ref('a'), blob, () => synthetic(), { onProgress: push.sample });
      registry.contents.addVirtualBlob('a', blob.digest, { size: SIZE, open: synthetic });
      const pull = meter();
      let size = 0;
      for await (const chunk of client.blob(ref('a'), blob, { onProgress: pull.sample })) size += chunk.length;
      assert.equal(size, SIZE);
      // Both ends run in this process; garbage that is not collected yet counts, too.
      assert.ok(push.peak() < 128 * MIB, `pushing took ${Math.round(push.peak() / MIB)} MiB`);
      assert.ok(pull.peak() < 128 * MIB, `pulling took ${Math.round(pull.peak() / MIB)} MiB`);
    });
  });
});
