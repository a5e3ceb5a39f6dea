import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { AgentClient, obstacle } from './support/agent-client.js';

for (const identity of ['root', 'user'] as const) {
  describe(`probing as ${identity}`, function () {
    this.timeout(30_000);
    let agent: AgentClient;
    /** Folders with programs that pretend to be runtimes. */
    let broken: string;
    let lying: string;

    before(function () {
      if (obstacle(identity) !== undefined) this.skip();
      agent = new AgentClient(identity, []);
      broken = programs('broken', 'echo "this does not work" >&2; exit 1');
      lying = programs('lying', 'exit 0');
    });
    after(async () => {
      if (obstacle(identity) === undefined) await (agent as AgentClient | undefined)?.close();
    });

    const programs = (name: string, script: string): string => {
      const folder = path.join(agent.folder, name);
      fs.mkdirSync(folder, { mode: 0o755 });
      for (const runtime of ['crun', 'runc'])
        fs.writeFileSync(path.join(folder, runtime), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      return folder;
    };

    it('runs a container with each runtime that is there, and leaves nothing', async () => {
      const { probed, leftovers, runtime, reason } = await agent.probe({ isolation: 'auto' });
      assert.deepEqual(leftovers, []);
      assert.deepEqual(
        probed.map((c) => c.name),
        ['crun', 'runc', 'native', 'chroot'],
      );
      for (const capability of probed) {
        if (capability.available) assert.match(capability.detail, /^\/.* ran a container in \d+ ms$/);
        else assert.ok(capability.hint);
      }
      assert.equal(runtime, probed.find((c) => c.available)?.name);
      assert.match(reason ?? '', /ran a container/);
    });
    it('takes the native executor where runtimes do not work, and says why', async () => {
      const { probed, runtime, reason, leftovers } = await agent.probe({ isolation: 'auto', pathHere: broken });
      assert.deepEqual([probed.map((c) => c.available), leftovers], [[false, false, true, true], []]);
      assert.match(probed.map((c) => c.detail).join('; '), /this does not work/);
      assert.equal(runtime, 'native');
      assert.match(reason ?? '', /not crun: .*; not runc: /);
    });
    it('believes no runtime that only says so', async () => {
      const { probed } = await agent.probe({ isolation: 'auto', pathHere: lying });
      assert.deepEqual(
        probed.map((c) => c.available),
        [false, false, true, true],
      );
    });
    it('fails where what is asked for does not work', async () => {
      const { error } = await agent.probe({ isolation: 'oci', pathHere: broken });
      assert.ok(error);
      assert.equal(error.code, 'RUNTIME_UNAVAILABLE');
      assert.match(error.message, /crun: .*runc: /);
    });
    it('remembers what worked, and only that', async () => {
      const first = await agent.probe({ isolation: 'auto', remember: true });
      const second = await agent.probe({ isolation: 'auto', remember: true });
      assert.deepEqual(second.probed, first.probed);
      const file = path.join(agent.folder, 'cache/probes.json');
      assert.equal(
        Object.keys((JSON.parse(fs.readFileSync(file, 'utf8')) as { found: object }).found).length,
        first.probed.filter((c) => c.available).length,
      );
      await agent.probe({ isolation: 'auto', remember: true, pathHere: broken });
      assert.doesNotMatch(fs.readFileSync(file, 'utf8'), /broken/);
      for (const damage of ['{"version":1,"found":null}', '[', '{"version":1,"found":{"x":1}}']) {
        fs.writeFileSync(file, damage);
        const { probed } = await agent.probe({ isolation: 'oci', remember: true });
        assert.ok(probed.some((c) => c.available));
      }
    });
  });
}
