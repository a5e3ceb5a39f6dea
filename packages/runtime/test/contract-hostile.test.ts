import assert from 'node:assert/strict';
import fs from 'node:fs';

import type { ContainerMount, ContainerSpec } from '../src/index.js';
import { contract } from './support/contract.js';
import type { Edit } from './support/agent.js';

contract((tools) => {
  const { run, sh } = tools;
  describe('hostile images', () => {
    /** What lies tools.outside must be as it was. */
    const untouched = (): void => assert.deepEqual(fs.readdirSync(tools.outside), ['secret']);

    for (const name of ['dev', 'proc', 'sys']) {
      it(`is refused where /${name} is a link or a file (CVE-2025-31133, -52565, -52881, CVE-2026-41579, -88264)`, async () => {
        for (const edit of [{ link: tools.outside }, { link: `../../../../../..${tools.outside}` }, { content: 'x' }]) {
          const { error } = await sh('true', {}, [{ path: name, ...edit }]);
          assert.equal(error?.code, 'ROOT_INVALID');
          untouched();
        }
      });
    }
    for (const [what, edits] of Object.entries<(to: string) => Edit[]>({
      '/etc is a link to the outside': (to) => [{ path: 'etc', link: to }],
      'its files are': (to) => [
        { path: 'etc/hosts', link: `${to}/hosts` },
        { path: 'etc/resolv.conf', link: `${to}/secret` },
      ],
      'it is by many dots': (to) => [{ path: 'etc', link: `../../../../..${to}` }],
      'it is by /proc': (to) => [{ path: 'etc', link: `/proc/1/root${to}` }],
    })) {
      it(`touches nothing tools.outside where ${what}`, async () => {
        const reply = await sh('true', {}, edits(tools.outside));
        assert.ok(
          reply.status?.exitCode === 0 || reply.error?.code === 'MOUNT_TARGET_INVALID',
          JSON.stringify(reply.error),
        );
        untouched();
        assert.deepEqual(
          Object.keys(reply.upper).filter((name) => !['/etc', '/proc', '/tmp'].includes(name)),
          [],
        );
      });
    }
    it('keeps mount targets inside', async () => {
      for (const link of [
        tools.outside,
        `../../../../../..${tools.outside}`,
        `/proc/1/root${tools.outside}`,
        `/proc/self/root${tools.outside}`,
      ]) {
        const mounts: ContainerMount[] = [
          { kind: 'file', target: '/link/dropped', content: Buffer.from('x'), mode: 0o644, uid: 0, gid: 0 },
        ];
        const { error, status } = await sh(`cat /link/dropped`, { mounts }, [{ path: 'link', link }]);
        assert.ok(error?.code === 'MOUNT_TARGET_INVALID' || status?.exitCode === 0);
        untouched();
      }
    });
    it('keeps working directories inside (CVE-2024-21626, CVE-2026-55686)', async () => {
      const folders = ['/proc/self/cwd', '/proc/1/root', '/proc/self/root/..', '/link', '/../..', '/up'];
      for (let fd = 3; fd < 40; fd++) folders.push(`/proc/self/fd/${fd}`);
      const edits = [
        { path: 'link', link: `/proc/self/fd/5` },
        { path: 'up', link: '../../../..' },
      ];
      for (const cwd of folders) {
        const reply = await sh(
          `cat .${tools.outside}/secret ../../../../..${tools.outside}/secret 2> /dev/null; true`,
          { cwd },
          edits,
        );
        assert.doesNotMatch(reply.stdout, /of the host/);
        if (reply.error) assert.equal(reply.error.code, 'WORKDIR_INVALID');
      }
      untouched();
    });
    it('refuses what cannot be said (CVE-2024-40635, CVE-2026-46680, CVE-2026-57231)', async () => {
      const bad: Partial<ContainerSpec>[] = [
        { args: [] },
        { args: ['a\0b'] },
        { env: ['NONAME'] },
        { env: ['=x'] },
        { env: ['A=\0'] },
        { env: Array.from({ length: 100_000 }, (_, i) => `V${i}=`) },
        { cwd: 'relative' },
        { cwd: '/a\0b' },
        { hostname: 'a\nb' },
        { extraHosts: [{ name: 'a\nb', address: '1.2.3.4' }] },
        { extraHosts: [{ name: 'a', address: '1.2.3.4 evil' }] },
        { user: { uid: 2 ** 32, gid: 0, additionalGids: [] } },
        { user: { uid: -1, gid: 0, additionalGids: [] } },
        { user: { uid: 0, gid: 0, additionalGids: [2 ** 31] } },
        { ulimits: [{ name: 'constructor', soft: 1, hard: 1 }] },
        { shmSize: -1 },
        { mounts: [{ kind: 'tmpfs', target: 'relative' }] },
        { mounts: [{ kind: 'tmpfs', target: `/${'d/'.repeat(3000)}` }] },
        { mounts: [{ kind: 'tmpfs', target: `/${'n'.repeat(5000)}` }] },
      ];
      for (const spec of bad)
        assert.equal((await run({ spec })).error?.code, 'CONTAINER_SPEC_INVALID', JSON.stringify(spec));
    });
    it('runs on as many layers as overlayfs takes', async () => {
      const reply = await run({ spec: { args: ['/bin/sh', '-c', 'ls /layer-* | wc -l'] }, moreLayers: 300 });
      assert.deepEqual([reply.stdout, reply.error], ['300\n', undefined]);
    });
  });
});
