import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { writeSys } from '../src/chroot/system-files.js';
import type { ContainerMount } from '../src/index.js';
import { AgentClient } from './support/agent-client.js';
import { commandLine, describeFor } from './support/contract.js';

/** The command lines of this machine's processes that hold TEXT. */
const commandsWith = (text: string): string[] =>
  fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => commandLine(pid))
    .filter((line) => line.includes(text));

describeFor('container', 'chroot', (tools) => {
  const { run, sh, output } = tools;
  const outside = (name: string): string => path.join(tools.outside, name);
  const base = (): string => path.join(tools.agent.folder, 'base');

  describe('the command', () => {
    it('hands on output and exit status, and writes into its root alone', async () => {
      const reply = await sh('echo out; echo err >&2; echo more > /dev/stderr; echo x > /f; rm /bin/false; exit 42');
      assert.deepEqual([reply.stdout, reply.status], ['out\n', { exitCode: 42 }]);
      assert.deepEqual(reply.stderr.split('\n').sort(), ['', 'err', 'more']);
      assert.deepEqual(
        Object.keys(reply.upper).filter((name) => name !== '/bin'),
        ['/bin/false', '/f'],
      );
    });
    it("has Docker's capabilities but those that lead out of a chroot", async () => {
      const script =
        'for n in 0 1 2 3; do test -e /proc/self/fd/$n; done; chroot / true 2> /dev/null && echo out; mknod /n b 7 1 2> /dev/null && echo node; true';
      assert.equal(await output(script), '');
    });
    it('may chroot where the image has apk, whose scripts need it', async () => {
      assert.equal(await output('chroot / echo in', {}, [{ path: 'sbin/apk', content: 'x', mode: 0o755 }]), 'in');
    });
    it('gets its environment and no descriptor of the builder', async () => {
      const reply = await run({ spec: { args: ['/bin/env'], env: ['PATH=/bin', 'A=1\n2'] } });
      assert.equal(reply.stdout, 'PATH=/bin\nA=1\n2\n');
      const probe = 'n=3; while [ $n -lt 40 ]; do (true >&$n) 2> /dev/null && echo $n; n=$((n+1)); done; true';
      assert.equal(await output(probe), '');
    });
    it('is another user with its groups and no capabilities', async () => {
      const user = { uid: 1234, gid: 5678, additionalGids: [7, 9] };
      assert.equal(
        await output('id -u; id -G; touch /new 2> /dev/null || echo refused', { user }),
        '1234\n5678 7 9\nrefused',
      );
      assert.equal((await sh('echo x > /dev/stderr; touch /tmp/new', { user })).upper['/tmp/new']?.type, 'file');
    });
    it('fails where the program is missing, and where there can be no network of its own', async () => {
      const reply = await run({ spec: { args: ['no-such-program'] } });
      assert.deepEqual(
        [reply.status, reply.stderr.includes('not found in $PATH')],
        [{ exitCode: 1, notStarted: 'missing' }, true],
      );
      assert.equal((await sh('true', { network: 'none' })).error?.code, 'NETWORK_UNAVAILABLE');
    });
  });

  describe('its surroundings', () => {
    it('has devices, facts of the machine, hosts and name servers, and none of it stays', async () => {
      const script =
        'for n in null zero full random urandom; do test -e /dev/$n || echo no $n; done; test -L /dev/stdout; echo lost > /dev/null; ' +
        'head -c 3 /dev/zero | wc -c; echo y > /dev/shm/y; echo x > /dev/file; grep -c processor /proc/cpuinfo > /dev/null; ' +
        'df / > /dev/null; cat /proc/sys/kernel/hostname; grep db.example /etc/hosts; test -f /etc/resolv.conf';
      const reply = await sh(script, { extraHosts: [{ name: 'db.example', address: '192.0.2.7' }], hostname: 'h' });
      assert.deepEqual([reply.stderr, reply.upper], ['', {}]);
      assert.equal(reply.stdout, '3\nh\n192.0.2.7\tdb.example\n');
    });
    it('names the network devices in /sys/class/net, without a network loopback alone', async () => {
      const devices = fs.readdirSync('/sys/class/net').sort().join('\n');
      assert.equal(await output('ls -1 /sys/class/net | sort'), devices);
      const alone = outside('sys');
      writeSys(alone, true);
      assert.deepEqual(fs.readdirSync(path.join(alone, 'class/net')), ['lo']);
      fs.rmSync(alone, { recursive: true });
    });
    it('covers files of the image, and gives them back as they were', async () => {
      const edits = [
        { path: 'etc/hosts', content: 'of the image' },
        { path: 'etc/resolv.conf', link: '../run/made/resolv.conf' },
        { path: 'dev/own', content: 'own' },
      ];
      const script =
        'grep -c localhost /etc/hosts; echo x >> /etc/hosts; rm /etc/resolv.conf; mkdir /etc/resolv.conf; ls /dev/own; rm -r /dev';
      const reply = await sh(script, {}, edits);
      assert.equal(reply.stdout, '2\n');
      // The link is the step's to remove: what it led to was covered.
      assert.deepEqual(
        Object.keys(reply.upper).filter((name) => !name.startsWith('/etc')),
        [],
      );
      assert.equal(reply.upper['/etc/hosts'], undefined);
    });
    it('is of the group root, whatever the folder of the store hands on to what is made in it', async () => {
      const scratch = path.join(tools.agent.folder, 'scratch');
      fs.mkdirSync(scratch, { recursive: true });
      const before = fs.statSync(scratch);
      fs.chownSync(scratch, before.uid, 7);
      fs.chmodSync(scratch, 0o2755);
      try {
        const mounts: ContainerMount[] = [{ kind: 'tmpfs', target: '/t' }];
        assert.equal(await output('stat -c %g /dev /dev/shm /t /etc/hosts /proc | sort -u', { mounts }), '0');
      } finally {
        fs.chownSync(scratch, before.uid, before.gid);
        fs.chmodSync(scratch, before.mode & 0o7777);
      }
    });
    it('needs no folder of the image, and leaves those that BuildKit leaves', async () => {
      const edits = ['dev', 'proc', 'sys', 'etc'].map((name) => ({ path: name, remove: true }));
      const reply = await sh('test -e /dev/null && test -f /proc/meminfo && cat /etc/hosts', {}, edits);
      assert.deepEqual([reply.status?.exitCode, Object.keys(reply.upper)], [0, ['/dev', '/proc', '/sys']]);
    });
    it('refuses images whose /dev, /proc or /sys is a link', async () => {
      for (const name of ['dev', 'proc', 'sys']) {
        const { error } = await sh('true', {}, [{ path: name, link: tools.outside }]);
        assert.equal(error?.code, 'ROOT_INVALID');
      }
      assert.deepEqual(fs.readdirSync(tools.outside), ['secret']);
    });
  });

  describe('mounts by other means', () => {
    const tree = (target: string, more: object = {}): ContainerMount => ({
      kind: 'tree',
      target,
      tree: { kind: 'bind', source: base(), readOnly: true },
      path: '/etc',
      readOnly: true,
      ...more,
    });

    it('shows trees, whose changes reach neither source nor layer', async () => {
      const mounts = [tree('/m'), tree('/f', { path: 'etc/passwd' }), tree('/w', { readOnly: false })];
      const script = 'cat /m/passwd /f | grep -c root; echo x > /m/x; echo x >> /f; rm /w/passwd; ls /m /w';
      const reply = await sh(script, { mounts });
      assert.equal(reply.stdout, '2\n/m:\npasswd\nx\n\n/w:\n');
      assert.deepEqual([reply.upper, fs.readdirSync(path.join(base(), 'etc'))], [{}, ['passwd']]);
    });
    it('tells what was changed of what is read-only elsewhere, and nothing of what is not', async () => {
      const file = { kind: 'file', content: Buffer.from('x'), mode: 0o600, uid: 0, gid: 0 } as const;
      const mounts: ContainerMount[] = [
        tree('/m', { path: '/' }),
        tree('/f', { path: 'etc/passwd' }),
        { kind: 'tmpfs', target: '/t', readOnly: true },
        { ...file, target: '/s' },
        { kind: 'tmpfs', target: '/m/etc/inner' },
        tree('/w', { readOnly: false }),
      ];
      const told = async (script: string): Promise<string[]> =>
        (await sh(script, { mounts })).stderr.match(/(?<=changed ).*(?= is read-only)/g) ?? [];
      assert.deepEqual(await told('cat /m/etc/passwd /f /s > /m/etc/inner/x; ls -R /t /m > /w/list; rm /w/passwd'), []);
      assert.deepEqual(
        await told('touch -d @0 /m/etc/passwd; rm /f; mkdir /t/x; rmdir /t/x; chmod 777 /s; touch /etc/hosts'),
        ['/etc/hosts, which', '/f, which', '/m/etc/passwd, where /m', '/s, which', '/t, which'],
      );
    });
    it('lends folders of the machine, and gives them back wherever they were put', async () => {
      fs.mkdirSync(outside('cache'));
      const mounts: ContainerMount[] = [{ kind: 'host', target: '/var/c', source: outside('cache'), readOnly: false }];
      assert.deepEqual((await sh('echo 1 > /var/c/one', { mounts })).upper, {});
      assert.deepEqual(
        (await sh('mkdir /x && mv /var/c /x/moved && echo 2 > /x/moved/two', { mounts })).upper['/x']?.type,
        'folder',
      );
      assert.deepEqual(fs.readdirSync(outside('cache')), ['one', 'two']);
      const second: ContainerMount = { kind: 'host', target: '/d', source: outside('cache'), readOnly: false };
      assert.equal(await output('cat /var/c/one /d/two', { mounts: [...mounts, second] }), '1\n2');
      await sh('rm -r /var', { mounts });
      assert.deepEqual(fs.readdirSync(outside('cache')), []);
      fs.rmSync(outside('cache'), { recursive: true });
    });
    it('copies what is to stay as it is', async () => {
      fs.mkdirSync(outside('read'));
      fs.writeFileSync(outside('read/f'), 'f');
      const mounts: ContainerMount[] = [{ kind: 'host', target: '/c', source: outside('read'), readOnly: true }];
      assert.deepEqual((await sh('cat /c/f && echo x > /c/f', { mounts })).upper, {});
      assert.equal(fs.readFileSync(outside('read/f'), 'utf8'), 'f');
      fs.rmSync(outside('read'), { recursive: true });
    });
    it('shows secrets with owner and mode, in mounts in mounts, and leaves no stubs and no new times', async () => {
      const file = { kind: 'file', content: Buffer.from('sesame'), mode: 0o440, uid: 12, gid: 34 } as const;
      const mounts: ContainerMount[] = [
        { kind: 'tmpfs', target: '/m/sub/deep' },
        { kind: 'tmpfs', target: '/m' },
        { ...file, target: '/run/secrets/s' },
        { kind: 'tmpfs', target: '/etc/new/cache' },
        { ...file, target: '/m/sub/deep/er' },
      ];
      const reply = await sh('stat -c "%u:%g %a" /run/secrets/s; cat /m/sub/deep/er; echo x > /m/x', { mounts });
      assert.equal(reply.stdout, '12:34 440\nsesame');
      assert.deepEqual(reply.upper, {});
    });
    it('keeps the folders of stubs that the step put something into', async () => {
      const { upper } = await sh('echo own > /a/own', { mounts: [{ kind: 'tmpfs', target: '/a/b/c' }] });
      assert.deepEqual(Object.keys(upper), ['/a', '/a/own']);
    });
    it('passes connections on to a socket', async () => {
      const server = net.createServer((socket) => socket.end('hello from outside\n'));
      await new Promise<void>((resolve) => server.listen(outside('socket'), resolve));
      fs.chmodSync(outside('socket'), 0o666);
      const mounts: ContainerMount[] = [{ kind: 'host', target: '/run/s', source: outside('socket'), readOnly: false }];
      const reply = await sh('test -S /run/s && stat -c %a /run/s', { mounts });
      assert.deepEqual([reply.stdout, reply.upper], ['666\n', {}]);
      await new Promise((resolve) => server.close(resolve));
      assert.deepEqual(fs.readdirSync(tools.outside), ['secret']);
    });
    it('refuses targets that are none', async () => {
      for (const target of ['/', '/..', '/proc/self/environ', '/sys/new', '/etc/passwd', '/loop/x', '/etc/passwd/x']) {
        const { error, upper } = await sh('true', { mounts: [{ kind: 'tmpfs', target }] }, [
          { path: 'loop', link: 'loop' },
        ]);
        assert.deepEqual([error?.code, upper], ['MOUNT_TARGET_INVALID', {}], target);
      }
    });
    it('keeps targets inside', async () => {
      for (const link of [tools.outside, `../../../../../..${tools.outside}`, '/proc/self/cwd']) {
        const file = { kind: 'file', content: Buffer.from('x'), mode: 0o644, uid: 0, gid: 0 } as const;
        await sh('true', { mounts: [{ ...file, target: '/link/dropped' }] }, [{ path: 'link', link }]);
        assert.deepEqual(fs.readdirSync(tools.outside), ['secret']);
      }
    });
  });

  describe('the end', () => {
    it('takes along whatever a step has left, and nothing of steps that run', async () => {
      // Like no other process's, whatever else is tested at the same time.
      const nap = `sleep 98${process.pid}`;
      // Not `run`, which wants nothing to be there at its end: on a busy machine one of the others still is.
      const long = tools.agent.run({
        executor: 'chroot',
        spec: { args: ['/bin/sh', '-c', 'sleep 1 & setsid sh -c "(sleep 1; true) &"; wait; sleep 0.5; echo alive'] },
      });
      for (const script of [
        `${nap} & setsid ${nap} & setsid sh -c "(${nap} &)"`,
        `(trap "" TERM INT HUP; ${nap}; ${nap}) > /dev/null 2>&1 &`,
        `${nap} & kill -STOP $!`,
      ]) {
        const reply = await tools.agent.run({
          executor: 'chroot',
          spec: { args: ['/bin/sh', '-c', `${script}\ntrue`] },
        });
        assert.equal(reply.status?.exitCode, 0);
      }
      assert.equal((await long).stdout, 'alive\n');
      assert.deepEqual(commandsWith(nap), []);
    });
    it('comes early where it is asked for, even to the deaf', async () => {
      const script =
        'trap "" TERM INT HUP QUIT; (trap "" TERM; while :; do sleep 98765; done) & echo ready; while :; do sleep 98765; done';
      const reply = await run({ spec: { args: ['/bin/sh', '-c', script] }, abortAt: 'ready' });
      assert.equal(reply.error?.code, 'CANCELLED');
    });
    it('takes the first process along when its agent is killed', async () => {
      const other = new AgentClient('container', ['chroot']);
      const number = String(1e9 + Math.floor(Math.random() * 1e9));
      const sleeping = (): boolean =>
        fs.readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && commandLine(pid).endsWith(`sleep ${number}`));
      const running = other.run({ executor: 'chroot', spec: { args: ['/bin/sleep', number] } });
      running.catch(() => undefined);
      while (!sleeping()) await new Promise(setImmediate);
      process.kill(other.pid, 'SIGKILL');
      await assert.rejects(running);
      for (let i = 0; i < 10_000 && sleeping(); i++) await new Promise(setImmediate);
      assert.equal(sleeping(), false);
      await other.close();
    });
  });
});
