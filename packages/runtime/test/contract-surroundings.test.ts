import assert from 'node:assert/strict';
import fs from 'node:fs';

import type { ContainerMount } from '../src/index.js';
import { processBound } from '../src/process-bound.js';
import { AgentClient } from './support/agent-client.js';
import { commandLine, contract } from './support/contract.js';

contract((tools) => {
  const { run, sh, output, identity, executor } = tools;
  describe('its surroundings', () => {
    it('has the devices and links of /dev', async () => {
      const script =
        'for n in null zero full random urandom tty ptmx; do test -c /dev/$n || echo no $n; done; for n in fd stdin stdout stderr; do ' +
        'test -L /dev/$n || echo no $n; done; for n in pts shm mqueue; do test -d /dev/$n || echo no $n; done; echo lost > /dev/null; ' +
        'stat -c %a /dev/shm; head -c 3 /dev/zero | wc -c; echo y > /dev/shm/y; echo x > /dev/file';
      const reply = await sh(script, { shmSize: 20 << 20 });
      assert.deepEqual([reply.stdout, reply.stderr], ['1777\n3\n', '']);
      assert.deepEqual(Object.keys(reply.upper), ['/etc']);
      assert.equal(await output("df -k /dev/shm | awk 'END {print $2}'", { shmSize: 20 << 20 }), '20480');
    });
    it('has a host name of its own and a fresh /proc and /sys', async () => {
      assert.equal(
        await output('hostname; cat /proc/sys/kernel/hostname; test -d /sys/kernel && echo $$', {
          hostname: 'some-host',
        }),
        'some-host\nsome-host\n1',
      );
    });
    it('has namespaces of its own', async () => {
      const own = await output('for n in pid ipc uts mnt cgroup net; do readlink /proc/self/ns/$n; done');
      const host = ['pid', 'ipc', 'uts', 'mnt', 'cgroup', 'net'].map((n) => fs.readlinkSync(`/proc/self/ns/${n}`));
      const same = own.split('\n').filter((n) => host.includes(n));
      assert.deepEqual(same, [host[5]]);
    });
    if (identity === 'user')
      it('has no more processes than an ordinary user bounds it to, whatever users they are of', async () => {
        const users = Array.from({ length: 60 }, (_, i) => `u${i}:x:${1000 + i}:1000::/:/bin/sh\n`).join('');
        const edits = [{ path: 'etc/passwd', content: `root:x:0:0::/:/bin/sh\n${users}` }];
        // Without another process, which it may be refused.
        const count = 'set -- /proc/[0-9]*; echo $#';
        const many = (command: string): string =>
          `i=0; while [ $i -lt 60 ]; do (${command} &) 2>/dev/null; i=$((i + 1)); done; ${count}`;
        for (const command of ['sleep 5', 'su u$i -c "exec sleep 5"']) {
          const free = await sh(many(command), {}, edits);
          assert.ok(Number(free.stdout) > 60, free.stdout + free.stderr);
          const bounded = await sh(many(command), { launcher: processBound(30) }, edits);
          const reached = Number(bounded.stdout);
          assert.ok(reached > 12 && reached <= 30, bounded.stdout + bounded.stderr);
        }
        const rest = await output('id -u; chown 5:6 /etc/passwd; stat -c %u /etc/passwd', {
          launcher: processBound(30),
        });
        assert.equal(rest, '0\n5');
      });
    it('has the loopback device alone without a network', async () => {
      assert.equal(
        await output('ls /sys/class/net; ip route; ip addr show lo | grep -c 127.0.0.1', { network: 'none' }),
        'lo\n1',
      );
    });
    it('has /etc/hosts and /etc/resolv.conf that do not stay', async () => {
      const extraHosts = [{ name: 'db.example', address: '192.0.2.7' }];
      const reply = await sh(
        'grep -q "localhost buildkitsandbox" /etc/hosts && tail -n 1 /etc/hosts && test -f /etc/resolv.conf',
        { extraHosts },
      );
      assert.equal(reply.stdout, '192.0.2.7\tdb.example\n');
      assert.deepEqual(Object.keys(reply.upper), ['/etc']);
    });
    it('covers files of the image by them, links followed inside the root', async () => {
      const edits = [
        { path: 'etc/hosts', content: 'of the image' },
        { path: 'etc/resolv.conf', link: '../run/made/resolv.conf' },
      ];
      const reply = await sh(
        'grep -c localhost /etc/hosts; test -f /run/made/resolv.conf && readlink /etc/resolv.conf',
        {},
        edits,
      );
      assert.equal(reply.stdout, '2\n../run/made/resolv.conf\n');
      assert.deepEqual(
        Object.keys(reply.upper).filter((name) => name.startsWith('/run')),
        [],
      );
    });
    it('needs no folder of the image, and leaves those that BuildKit leaves', async () => {
      const edits = ['dev', 'proc', 'sys', 'etc'].map((name) => ({ path: name, remove: true }));
      const reply = await sh(
        'test -d /proc/self && test -c /dev/null && test -d /sys/kernel && cat /etc/hosts',
        {},
        edits,
      );
      assert.equal(reply.status?.exitCode, 0);
      assert.deepEqual(
        Object.entries(reply.upper).map(([name, { type, mode }]) => [name, type, mode]),
        ['/dev', '/proc', '/sys'].map((name) => [name, 'folder', 0o755]),
      );
    });
  });

  describe('the end', () => {
    it('takes background processes along', async () => {
      const nap = 'sleep 98765';
      for (const script of [
        `${nap} & setsid ${nap} & setsid sh -c "(${nap} &)"`,
        `(trap "" TERM INT HUP; ${nap}; ${nap}) > /dev/null 2>&1 &`,
        `${nap} & kill -STOP $!`,
      ]) {
        const reply = await sh(`${script}\ntrue`);
        assert.equal(reply.status?.exitCode, 0);
        assert.ok(reply.milliseconds < 10_000);
      }
    });
    it('comes early where it is asked for, even to the deaf', async () => {
      for (const script of [
        'echo ready; exec sleep 98765',
        'echo ready; sleep 98765; sleep 98765',
        'trap "" TERM INT HUP QUIT; (trap "" TERM; while :; do sleep 98765; done) & echo ready; while :; do sleep 98765; done',
      ]) {
        const reply = await run({ spec: { args: ['/bin/sh', '-c', script] }, abortAt: 'ready' });
        assert.equal(reply.error?.code, 'CANCELLED');
        assert.ok(reply.milliseconds < 10_000);
      }
    });
    it('lets a step clean up that listens', async () => {
      const script = 'trap "echo cleaned > /cleaned; exit 0" TERM; echo ready; while :; do sleep 0.05; done';
      const reply = await run({ spec: { args: ['/bin/sh', '-c', script] }, abortAt: 'ready' });
      assert.equal(reply.error?.code, 'CANCELLED');
      assert.equal(reply.upper['/cleaned']?.text, 'cleaned\n');
    });
    it('is left to a first process that listens, where it is stopped as docker does', async () => {
      // A child that gets the signal says so; it goes on until it is told to end in another way.
      const child = 'trap "echo child >> /told" TERM; trap "exit 0" HUP; echo ready; while :; do sleep 0.05; done';
      const script = `trap 'echo first >> /told; kill -HUP $!; wait $!; exit 0' TERM; (${child}) & while :; do wait $!; done`;
      const stop = { signal: 'SIGTERM', grace: 60_000 } as const;
      const reply = await run({ spec: { args: ['/bin/sh', '-c', script], stop }, abortAt: 'ready' });
      assert.equal(reply.error?.code, 'CANCELLED');
      assert.equal(reply.upper['/told']?.text, 'first\n');
    });
    it('comes to all where the first process does not listen', async () => {
      const script = '(trap "echo told > /told; exit 0" TERM; echo ready; while :; do sleep 0.05; done) & wait';
      const stop = { signal: 'SIGTERM', grace: 60_000 } as const;
      const reply = await run({ spec: { args: ['/bin/sh', '-c', script], stop }, abortAt: 'ready' });
      assert.equal(reply.error?.code, 'CANCELLED');
      assert.equal(reply.upper['/told']?.text, 'told\n');
    });
    it('comes at once where nobody listens: a shell in a loop, which would start the next command', async () => {
      const stop = { signal: 'SIGTERM', grace: 60_000 } as const;
      const script = 'echo ready; while :; do sleep 0.05; done';
      const reply = await run({ spec: { args: ['/bin/sh', '-c', script], stop }, abortAt: 'ready' });
      assert.equal(reply.error?.code, 'CANCELLED');
      assert.ok(reply.milliseconds < 30_000, `${reply.milliseconds} ms`);
    });
    it('comes soon where it is stopped before it has become its program', async () => {
      const stop = { signal: 'SIGTERM', grace: 60_000 } as const;
      for (let abortAfter = 0; abortAfter <= 300; abortAfter += 25) {
        const reply = await run({ spec: { args: ['/bin/sleep', '98765'], stop }, abortAfter });
        assert.equal(reply.error?.code, 'CANCELLED');
        assert.ok(reply.milliseconds < 20_000, `${reply.milliseconds} ms, stopped after ${abortAfter}`);
      }
    });
    it('comes before the beginning where it was asked for before', async () => {
      const reply = await run({ spec: { args: ['/bin/touch', '/f'] }, aborted: true });
      assert.deepEqual([reply.error?.code, reply.upper], ['CANCELLED', {}]);
    });
    it('leaves nothing of failures', async () => {
      const mounts: ContainerMount[] = [
        { kind: 'tmpfs', target: '/ok' },
        { kind: 'host', target: '/missing', source: '/nowhere/at/all', readOnly: true },
      ];
      const { error, upper } = await sh('true', { mounts });
      assert.equal(error?.code, 'MOUNT_FAILED');
      assert.deepEqual(Object.keys(upper), ['/etc']);
    });
    it('comes with that of its agent, whatever kills it', async () => {
      const other = new AgentClient(identity, [executor]);
      const number = String(1e9 + Math.floor(Math.random() * 1e9));
      const sleeping = (): boolean =>
        fs.readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && commandLine(pid).endsWith(`sleep ${number}`));
      const running = other.run({ executor, spec: { args: ['/bin/sleep', number] } });
      let ended = false;
      void running.then(
        () => (ended = true),
        () => (ended = true),
      );
      while (!sleeping()) {
        assert.equal(ended, false, 'the container ended before it was seen');
        await new Promise(setImmediate);
      }
      process.kill(other.pid, 'SIGKILL');
      await assert.rejects(running);
      for (let i = 0; i < 10_000 && sleeping(); i++) await new Promise(setImmediate);
      assert.equal(sleeping(), false);
      await other.close();
    });
    it('is not in the way of other containers', async () => {
      const replies = await Promise.all(
        Array.from({ length: 6 }, async (_, i) =>
          tools.agent.run({ executor, spec: { args: ['/bin/sh', '-c', `echo ${i}; exit ${i}`] } }),
        ),
      );
      assert.deepEqual(
        replies.map((r) => [r.stdout, r.status?.exitCode]),
        replies.map((_r, i) => [`${i}\n`, i]),
      );
      await sh('true');
    });
  });
});
