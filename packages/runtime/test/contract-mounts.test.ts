import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import type { ContainerMount } from '../src/index.js';
import { contract } from './support/contract.js';

contract((tools) => {
  const { sh, output, identity } = tools;
  describe('mounts', () => {
    const tree = (target: string, more: Partial<Extract<ContainerMount, { kind: 'tree' }>> = {}): ContainerMount => ({
      kind: 'tree',
      target,
      tree: { kind: 'bind', source: path.join(tools.agent.folder, 'base'), readOnly: true },
      path: '/etc',
      readOnly: true,
      ...more,
    });

    it('binds a folder and a file of a tree, read-only', async () => {
      const mounts = [tree('/m'), tree('/f', { path: 'etc/passwd' })];
      const reply = await sh('cat /m/passwd /f | grep -c root; (echo x > /m/x; echo x >> /f) 2> /dev/null; ls /m', {
        mounts,
      });
      assert.equal(reply.stdout, '2\npasswd\n');
      assert.deepEqual(Object.keys(reply.upper), ['/etc']);
    });
    it('discards what is written to a tree', async () => {
      const mounts = [tree('/m', { readOnly: false })];
      assert.equal(await output('echo x > /m/x; rm /m/passwd; chmod 777 /m; ls /m', { mounts }), 'x');
      assert.ok(fs.existsSync(path.join(tools.agent.folder, 'base/etc/passwd')));
      assert.ok(!fs.existsSync(path.join(tools.agent.folder, 'base/etc/x')));
    });
    it('mounts trees of one layer, of several, and of a chain', async () => {
      const base = path.join(tools.agent.folder, 'base');
      const options = identity === 'user' ? ['userxattr'] : [];
      const overlay = (lower: string[]): ContainerMount =>
        tree('/m', { tree: { kind: 'overlay', lower, options }, path: '' });
      for (const lower of [[base], [tools.outside, base]]) {
        assert.equal(
          await output('test -f /m/etc/passwd && ls /m | wc -l', { mounts: [overlay(lower)] }),
          String(7 + lower.length),
        );
      }
    });
    it('does not follow a link in the path of a tree (CVE-2024-1753)', async () => {
      fs.symlinkSync(tools.outside, path.join(tools.outside, 'link'));
      for (const at of ['link', 'link/secret', '../outside/secret', '..']) {
        const mount = tree('/m', { tree: { kind: 'bind', source: tools.outside, readOnly: true }, path: at });
        const { error } = await sh('cat /m/secret', { mounts: [mount] });
        assert.match(error?.code ?? '', /^MOUNT_/, at);
      }
      fs.unlinkSync(path.join(tools.outside, 'link'));
    });
    it('binds a pipe and a device node of a tree', async () => {
      const [pipe, node] = ['pipe', 'node'].map((name) => path.join(tools.outside, name)) as [string, string];
      execFileSync('mkfifo', [pipe]);
      if (identity !== 'user') execFileSync('mknod', [node, 'c', '1', '3']);
      try {
        for (const at of identity === 'user' ? ['pipe'] : ['pipe', 'node'])
          for (const readOnly of [true, false]) {
            const mount = tree('/m', {
              tree: { kind: 'bind', source: tools.outside, readOnly: true },
              path: at,
              readOnly,
            });
            assert.equal(
              await output('stat -c %F /m', { mounts: [mount] }),
              at === 'pipe' ? 'fifo' : 'character special file',
            );
          }
      } finally {
        for (const made of [pipe, node]) fs.rmSync(made, { force: true });
      }
    });
    it('binds folders and files of the machine', async () => {
      const mounts: ContainerMount[] = [
        { kind: 'host', target: '/c', source: tools.outside, readOnly: false },
        { kind: 'host', target: '/s', source: path.join(tools.outside, 'secret'), readOnly: true },
      ];
      const reply = await sh('cat /s; echo kept > /c/kept; echo x 2> /dev/null >> /s', { mounts });
      assert.equal(reply.stdout, 'of the host');
      assert.equal(fs.readFileSync(path.join(tools.outside, 'kept'), 'utf8'), 'kept\n');
      fs.unlinkSync(path.join(tools.outside, 'kept'));
    });
    it('lets programs of a folder of the machine be set-user-ID, as far as the machine does', async () => {
      const options = 'findmnt -no VFS-OPTIONS -T';
      const outside = execFileSync('sh', ['-c', `${options} "$0"`, tools.outside], { encoding: 'utf8' });
      const mounts: ContainerMount[] = [{ kind: 'host', target: '/c', source: tools.outside, readOnly: false }];
      const inside = await output('grep " /c " /proc/self/mountinfo | cut -d" " -f6', { mounts });
      assert.equal(inside.includes('nosuid'), outside.includes('nosuid'));
    });
    it('binds a part of a folder, in which links lead nowhere outside (CVE-2024-9675, CVE-2024-11218)', async () => {
      const folder = path.join(tools.outside, 'cache');
      const part = (inside: string): ContainerMount => ({
        ...{ kind: 'host', target: '/p', source: folder, readOnly: false },
        path: inside,
      });
      fs.mkdirSync(path.join(folder, 'part'), { recursive: true });
      fs.chmodSync(path.join(folder, 'part'), 0o777);
      fs.symlinkSync('/part', path.join(folder, 'link'));
      fs.symlinkSync('../../../etc', path.join(folder, 'out'));
      try {
        await sh('echo kept > /p/f', { mounts: [part('link')] });
        assert.equal(fs.readFileSync(path.join(folder, 'part/f'), 'utf8'), 'kept\n');
        assert.equal((await sh('true', { mounts: [part('out')] })).error?.code, 'MOUNT_FAILED');
      } finally {
        fs.rmSync(folder, { recursive: true });
      }
    });
    it('mounts memory of a size', async () => {
      const mounts: ContainerMount[] = [{ kind: 'tmpfs', target: '/tmp', size: 4 << 20 }];
      assert.equal(
        await output('grep -c " /tmp tmpfs " /proc/mounts; df -k /tmp | awk "END {print \\$2}"; echo x > /tmp/x', {
          mounts,
        }),
        '1\n4096',
      );
    });
    it('shows files that are in memory only, with owner and mode', async () => {
      const mounts: ContainerMount[] = [
        {
          kind: 'file',
          target: '/run/secrets/s',
          content: Buffer.from('sesame-1234'),
          mode: 0o440,
          uid: 12,
          gid: 34,
        },
        {
          kind: 'file',
          target: '/dev/pipes/EOF',
          content: Buffer.from('#!/bin/sh\necho ran\n'),
          mode: 0o755,
          uid: 0,
          gid: 0,
        },
      ];
      assert.equal(
        await output('stat -c "%u:%g %a" /run/secrets/s; cat /run/secrets/s; echo; /dev/pipes/EOF', { mounts }),
        '12:34 440\nsesame-1234\nran',
      );
      const reply = await sh('! cat /run/secrets/s && ! touch /run/secrets/s', {
        mounts,
        user: { uid: 5, gid: 5, additionalGids: [] },
      });
      assert.deepEqual([reply.status?.exitCode, Object.keys(reply.upper)], [0, ['/etc']]);
    });
    it('mounts in mounts whatever their order, and leaves no stubs', async () => {
      const mounts: ContainerMount[] = [
        { kind: 'tmpfs', target: '/m/sub/deep' },
        tree('/m/file', { path: 'etc/passwd' }),
        { kind: 'tmpfs', target: '/m' },
        { kind: 'tmpfs', target: '/a/b/c' },
        tree('/x/y/file', { path: 'etc/passwd' }),
        { kind: 'tmpfs', target: '/etc/new/cache' },
      ];
      const reply = await sh('test -d /m/sub/deep && test -f /m/file && test -d /a/b/c && test -f /x/y/file', {
        mounts,
      });
      assert.deepEqual([reply.status?.exitCode, Object.keys(reply.upper)], [0, ['/etc']]);
      assert.equal(reply.upper['/etc']?.mtime, 1_000_000_000);
    });
    it('keeps the folders of stubs that the step put something into (CVE-2024-23652)', async () => {
      const { upper } = await sh('echo own > /a/own && mkdir -p /a/b/d', {
        mounts: [{ kind: 'tmpfs', target: '/a/b/c' }],
      });
      assert.deepEqual(Object.keys(upper), ['/a', '/a/b', '/a/b/d', '/a/own', '/etc']);
    });
    it('refuses targets that are none', async () => {
      for (const target of ['/', '/..', '/proc/self/environ', '/sys/new', '/etc/passwd', '/loop/x', '/etc/passwd/x']) {
        const { error } = await sh('true', { mounts: [{ kind: 'tmpfs', target }] }, [{ path: 'loop', link: 'loop' }]);
        assert.equal(error?.code, 'MOUNT_TARGET_INVALID', target);
      }
    });
  });
});
