import assert from 'node:assert/strict';

import { describeFor } from './support/contract.js';

for (const identity of ['root', 'user'] as const) {
  describeFor(identity, 'secretive-runc', ({ run }) => {
    const stop = { signal: 'SIGTERM', grace: 60_000 } as const;
    const asked = async (script: string): Promise<Awaited<ReturnType<typeof run>>> => {
      const reply = await run({ spec: { args: ['/bin/sh', '-c', script], stop }, abortAt: 'ready' });
      assert.equal(reply.error?.code, 'CANCELLED');
      assert.ok(reply.milliseconds < 20_000, `${reply.milliseconds} ms`);
      return reply;
    };

    it('ends a container that was heard of before its first process was told, where nobody listens', async () => {
      await asked('echo ready; while :; do sleep 0.05; done');
    });

    it('ends one politely that listens', async () => {
      const { upper } = await asked('trap "echo told > /told; exit 0" TERM; echo ready; while :; do sleep 0.05; done');
      assert.equal(upper['/told']?.text, 'told\n');
    });
  });
}
