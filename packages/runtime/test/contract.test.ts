import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import type { ContainerMount, ContainerSpec } from '../src/index.js';
import { AgentClient, obstacle, type Identity } from './support/agent-client.js';
import type { Edit, RunReply, RunRequest } from './support/agent.js';

const BINARIES: Record<string, string> = { runc: '/usr/sbin/runc', crun: '/usr/bin/crun', native: '/usr/bin/unshare' };
const GNU_PATH = 'PATH=/bin:/usr/bin';

for (const identity of ['root', 'user'] as const satisfies Identity[]) {
  for (const executor of Object.keys(BINARIES)) contract(identity, executor);
}

/** What every executor does, whoever runs it. */
function contract(identity: Identity, executor: string): void {
  describe(`executor ${executor} as ${identity}`, function () {
    this.timeout(30_000);
    let agent: AgentClient;
    let outside: string;

    before(function () {
      if (obstacle(identity) !== undefined || !fs.existsSync(BINARIES[executor] ?? '')) this.skip();
      agent = new AgentClient(identity, [executor]);
      outside = path.join(agent.folder, 'outside');
      fs.mkdirSync(outside, { mode: 0o777 });
      fs.chmodSync(outside, 0o777);
      fs.writeFileSync(path.join(outside, 'secret'), 'of the host');
    });
    after(async () => {
      if (obstacle(identity) === undefined) await (agent as AgentClient | undefined)?.close();
    });

    const run = async (request: Omit<RunRequest, 'executor'>): Promise<RunReply> => {
      const reply = await agent.run({ executor, ...request });
      assert.deepEqual(reply.leftovers, [], 'something is left');
      return reply;
    };
    const sh = async (script: string, spec: Partial<ContainerSpec> = {}, edits: Edit[] = []): Promise<RunReply> => {
      return run({ spec: { args: ['/bin/sh', '-c', script], ...spec }, edits });
    };
    /** Runs SCRIPT, which must succeed; what it printed. */
    const output = async (script: string, spec: Partial<ContainerSpec> = {}, edits: Edit[] = []): Promise<string> => {
      const reply = await sh(script, spec, edits);
      assert.deepEqual(
        { error: reply.error, status: reply.status, stderr: reply.stderr },
        { error: undefined, status: { exitCode: 0 }, stderr: '' },
      );
      return reply.stdout.trimEnd();
    };

    describe('the command', () => {
      it('hands on output by stream, and the exit status', async () => {
        const reply = await sh('echo out; echo err >&2; exit 42');
        assert.deepEqual([reply.stdout, reply.stderr, reply.status], ['out\n', 'err\n', { exitCode: 42 }]);
      });
      it('counts a signal as shells do', async () => {
        const { status } = await sh('sh -c "kill -TERM \\$\\$"; exit $?');
        assert.equal(status?.exitCode, 143);
      });
      it('writes into the upper layer, and nowhere else', async () => {
        const { upper } = await sh('echo x > /f; mkdir /d; chmod 700 /d; chown 5:6 /d; rm /bin/false');
        assert.deepEqual([upper['/f']?.text, upper['/f']?.mode], ['x\n', 0o644]);
        assert.deepEqual([upper['/d']?.mode, upper['/bin/false']?.type], [0o700, 'device']);
        if (identity === 'root') assert.deepEqual([upper['/d']?.uid, upper['/d']?.gid], [5, 6]);
        assert.deepEqual(Object.keys(upper).sort(), ['/bin', '/bin/false', '/d', '/etc', '/f']);
        assert.equal(upper['/etc']?.mtime, 1_000_000_000);
      });
      it('fails with 1 and a reason where the program is missing or no program', async () => {
        for (const [program, why] of [
          ['no-such-program', /no-such-program.*not found in \$PATH/],
          ['/bin/nowhere', /\/bin\/nowhere.*no such file/],
          ['/etc/passwd', /\/etc\/passwd.*permission denied/],
          ['/etc', /\/etc.*permission denied/],
          ['/garbage', /garbage.*([Ee]xec format error)/],
          ['/script', /script.*no such file|missing dynamic library/i],
        ] as const) {
          const edits = [
            { path: 'garbage', content: 'garbage', mode: 0o755 },
            { path: 'script', content: '#!/nowhere\n', mode: 0o755 },
          ];
          const reply = await run({ spec: { args: [program, 'x'] }, edits });
          assert.equal(reply.status?.exitCode, 1, `${program}: ${JSON.stringify(reply.error)}`);
          assert.match(reply.stderr, why);
        }
      });
      it('gets exactly its environment, not that of the builder', async () => {
        const reply = await run({ spec: { args: ['/bin/env'], env: [GNU_PATH, 'HOME=/h', 'A=1\n2', 'B=', 'C==x'] } });
        assert.equal(reply.stdout, `${GNU_PATH}\nHOME=/h\nA=1\n2\nB=\nC==x\n`);
        assert.equal(await output('cat /proc/[0-9]*/environ | tr "\\0" "\\n" | grep -c harmful || true'), '0');
      });
      it('starts with empty input, umask 022, no other descriptors and no blocked signals', async () => {
        assert.equal(await output('cat; umask; tty -s || echo no terminal'), '0022\nno terminal');
        assert.equal(await output('ls /proc/self/fd | sort -n | tr "\\n" " "'), '0 1 2 3');
        assert.equal(await output('grep -hE "Sig(Blk|Ign)" /proc/self/status | grep -c 0000000000000000'), '2');
      });
      it('may open its output again, also as an ordinary user', async () => {
        const user = { uid: 1000, gid: 1000, additionalGids: [] };
        assert.equal(await output('echo a > /dev/stdout; echo b | tee /proc/self/fd/1', { user }), 'a\nb\nb');
      });
      it('works in its folder, which is made where it is missing', async () => {
        assert.equal(await output('pwd', { cwd: '/usr/bin' }), '/usr/bin');
        const { upper, stdout } = await sh('pwd', { cwd: '/made/for/it' });
        assert.deepEqual([stdout, upper['/made/for/it']?.type], ['/made/for/it\n', 'folder']);
        assert.equal(await output('pwd', { cwd: '/link/x' }, [{ path: 'link', link: '/usr' }]), '/usr/x');
      });
      it('hands on a flood of output whole', async () => {
        const reply = await run({ spec: { args: ['/bin/sh', '-c', 'yes | head -c 20000000'] }, quiet: true });
        assert.equal(reply.outputLength, 20_000_000);
      });
    });

    describe('users and rights', () => {
      it('is root with the capabilities of Docker and a filter', async () => {
        const text = await output('grep -E "^(Cap|NoNew|Seccomp:)" /proc/self/status');
        assert.deepEqual(
          [...text.matchAll(/^(\w+):\s*(\w+)$/gm)].map((m) => m.slice(1).join(' ')),
          [
            'CapInh 0000000000000000',
            'CapPrm 00000000a80425fb',
            'CapEff 00000000a80425fb',
            'CapBnd 00000000a80425fb',
            'CapAmb 0000000000000000',
            'NoNewPrivs 0',
            'Seccomp 2',
          ],
        );
      });
      it('is another user with its groups and no capabilities', async () => {
        const user = { uid: 1234, gid: 5678, additionalGids: [7, 9] };
        const text = await output(
          'id -u; id -g; id -G; grep -E "^Cap(Prm|Eff|Inh|Amb)" /proc/self/status | grep -vc 0000000000000000 || true',
          { user },
        );
        assert.equal(text, '1234\n5678\n5678 7 9\n0');
        assert.notEqual((await sh('touch /new', { user })).status?.exitCode, 0);
        assert.equal((await sh('touch /tmp/new', { user })).upper['/tmp/new']?.type, 'file');
      });
      it('gives all capabilities that there are to an insecure step, and no filter', async () => {
        const text = await output(
          'grep -E "^(CapEff|Seccomp:)" /proc/self/status; grep -c " /proc/sys " /proc/self/mountinfo || true',
          { security: 'insecure' },
        );
        assert.match(text, /CapEff:\s*000001f+(ef)?f+\nSeccomp:\s*0\n0$/);
      });
      it('keeps to limits, never above its own', async () => {
        const ulimits = [
          { name: 'nofile', soft: 100, hard: 200 },
          { name: 'core', soft: -1, hard: -1 },
          { name: 'fsize', soft: 4096, hard: 2 ** 53 },
        ];
        assert.equal(await output('ulimit -n; ulimit -Hn; ulimit -f', { ulimits }), '100\n200\n8');
      });
      for (const [what, attempt] of Object.entries({
        'mount a tmpfs': 'mount -t tmpfs x /mnt',
        'bind mount': 'mount --bind / /mnt',
        'mount proc': 'mount -t proc x /mnt',
        'write to /proc/sys again': 'mount -o remount,rw /proc/sys',
        'change propagation': 'mount --make-rshared /',
        'leave by the root of process 1': 'chroot /proc/1/root ls $OUTSIDE',
        'enter the namespace of process 1': 'nsenter -t 1 -m ls $OUTSIDE',
        'change its host name': 'hostname harmed',
        'use a character device': 'mknod /kmsg c 1 11 && (: < /kmsg)',
        'use a block device': 'mknod /disk b 7 200 && (: < /disk)',
        'use a device in /dev': 'mknod /dev/kmsg c 1 11 && (: < /dev/kmsg)',
        'use a device in /dev/shm': 'mknod /dev/shm/m c 1 5 && (: < /dev/shm/m)',
        'use a device in a mount': 'mknod /t/m c 1 5 && (: < /t/m)',
        'write to /etc/hosts': 'echo x >> /etc/hosts',
        'write to /sys': 'echo x > /sys/kernel/uevent_helper',
        'trigger the kernel': 'true > /proc/sysrq-trigger',
        'umount its own masks': 'umount /proc/sys || umount /etc/hosts',
      })) {
        it(`cannot ${what}`, async () => {
          const script = `mkdir -p /mnt; (${attempt.replace('$OUTSIDE', outside)}) > /dev/null 2>&1 && echo done; true`;
          assert.equal(await output(script, { mounts: [{ kind: 'tmpfs', target: '/t' }] }), '');
        });
      }
      it('may make device nodes where it is really root', async function () {
        if (identity !== 'root') this.skip();
        const { upper } = await sh('mknod -m 0640 /zero c 1 5');
        assert.deepEqual([upper['/zero']?.type, upper['/zero']?.mode], ['device', 0o640]);
      });
      it('hides kernel files and other processes', async () => {
        const script =
          'for f in kcore keys timer_list sched_debug; do cat /proc/$f 2> /dev/null; done; ls -d /proc/[0-9]* | wc -l; ls /sys/firmware';
        assert.ok(Number(await output(script)) < 6);
      });
    });

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
      it('needs no folder of the image, and leaves none', async () => {
        const edits = ['dev', 'proc', 'sys', 'etc'].map((name) => ({ path: name, remove: true }));
        const reply = await sh(
          'test -d /proc/self && test -c /dev/null && test -d /sys/kernel && cat /etc/hosts',
          {},
          edits,
        );
        assert.equal(reply.status?.exitCode, 0);
        assert.deepEqual(reply.upper, {});
      });
    });

    describe('mounts', () => {
      const tree = (target: string, more: Partial<Extract<ContainerMount, { kind: 'tree' }>> = {}): ContainerMount => ({
        kind: 'tree',
        target,
        tree: { kind: 'bind', source: path.join(agent.folder, 'base'), readOnly: true },
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
        assert.ok(fs.existsSync(path.join(agent.folder, 'base/etc/passwd')));
        assert.ok(!fs.existsSync(path.join(agent.folder, 'base/etc/x')));
      });
      it('mounts trees of one layer, of several, and of a chain', async () => {
        const base = path.join(agent.folder, 'base');
        const options = identity === 'user' ? ['userxattr'] : [];
        const overlay = (lower: string[]): ContainerMount =>
          tree('/m', { tree: { kind: 'overlay', lower, options }, path: '' });
        for (const lower of [[base], [outside, base]]) {
          assert.equal(
            await output('test -f /m/etc/passwd && ls /m | wc -l', { mounts: [overlay(lower)] }),
            String(7 + lower.length),
          );
        }
      });
      it('does not follow a link in the path of a tree', async () => {
        fs.symlinkSync(outside, path.join(outside, 'link'));
        for (const at of ['link', 'link/secret', '../outside/secret', '..']) {
          const mount = tree('/m', { tree: { kind: 'bind', source: outside, readOnly: true }, path: at });
          const { error } = await sh('cat /m/secret', { mounts: [mount] });
          assert.match(error?.code ?? '', /^MOUNT_/, at);
        }
        fs.unlinkSync(path.join(outside, 'link'));
      });
      it('binds folders and files of the machine', async () => {
        const mounts: ContainerMount[] = [
          { kind: 'host', target: '/c', source: outside, readOnly: false },
          { kind: 'host', target: '/s', source: path.join(outside, 'secret'), readOnly: true },
        ];
        const reply = await sh('cat /s; echo kept > /c/kept; echo x 2> /dev/null >> /s', { mounts });
        assert.equal(reply.stdout, 'of the host');
        assert.equal(fs.readFileSync(path.join(outside, 'kept'), 'utf8'), 'kept\n');
        fs.unlinkSync(path.join(outside, 'kept'));
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
      it('keeps the folders of stubs that the step put something into', async () => {
        const { upper } = await sh('echo own > /a/own && mkdir -p /a/b/d', {
          mounts: [{ kind: 'tmpfs', target: '/a/b/c' }],
        });
        assert.deepEqual(Object.keys(upper), ['/a', '/a/b', '/a/b/d', '/a/own', '/etc']);
      });
      it('refuses targets that are none', async () => {
        for (const target of [
          '/',
          '/..',
          '/proc/self/environ',
          '/sys/new',
          '/etc/passwd',
          '/loop/x',
          '/etc/passwd/x',
        ]) {
          const { error } = await sh('true', { mounts: [{ kind: 'tmpfs', target }] }, [{ path: 'loop', link: 'loop' }]);
          assert.equal(error?.code, 'MOUNT_TARGET_INVALID', target);
        }
      });
    });

    describe('hostile images', () => {
      /** What lies outside must be as it was. */
      const untouched = (): void => assert.deepEqual(fs.readdirSync(outside), ['secret']);

      for (const name of ['dev', 'proc', 'sys']) {
        it(`is refused where /${name} is a link or a file`, async () => {
          for (const edit of [{ link: outside }, { link: `../../../../../..${outside}` }, { content: 'x' }]) {
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
        it(`touches nothing outside where ${what}`, async () => {
          const reply = await sh('true', {}, edits(outside));
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
          outside,
          `../../../../../..${outside}`,
          `/proc/1/root${outside}`,
          `/proc/self/root${outside}`,
        ]) {
          const mounts: ContainerMount[] = [
            { kind: 'file', target: '/link/dropped', content: Buffer.from('x'), mode: 0o644, uid: 0, gid: 0 },
          ];
          const { error, status } = await sh(`cat /link/dropped`, { mounts }, [{ path: 'link', link }]);
          assert.ok(error?.code === 'MOUNT_TARGET_INVALID' || status?.exitCode === 0);
          untouched();
        }
      });
      it('keeps working directories inside', async () => {
        const folders = ['/proc/self/cwd', '/proc/1/root', '/proc/self/root/..', '/link', '/../..', '/up'];
        for (let fd = 3; fd < 40; fd++) folders.push(`/proc/self/fd/${fd}`);
        const edits = [
          { path: 'link', link: `/proc/self/fd/5` },
          { path: 'up', link: '../../../..' },
        ];
        for (const cwd of folders) {
          const reply = await sh(
            `cat .${outside}/secret ../../../../..${outside}/secret 2> /dev/null; true`,
            { cwd },
            edits,
          );
          assert.doesNotMatch(reply.stdout, /of the host/);
          if (reply.error) assert.equal(reply.error.code, 'WORKDIR_INVALID');
        }
        untouched();
      });
      it('refuses what cannot be said', async () => {
        const bad: Partial<ContainerSpec>[] = [
          { args: [] },
          { args: ['a\0b'] },
          { env: ['NONAME'] },
          { env: ['=x'] },
          { env: ['A=\0'] },
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
        ];
        for (const spec of bad)
          assert.equal((await run({ spec })).error?.code, 'CONTAINER_SPEC_INVALID', JSON.stringify(spec));
      });
      it('runs on as many layers as overlayfs takes', async () => {
        const reply = await run({ spec: { args: ['/bin/sh', '-c', 'ls /layer-* | wc -l'] }, moreLayers: 300 });
        assert.deepEqual([reply.stdout, reply.error], ['300\n', undefined]);
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
      it('is not in the way of other containers', async () => {
        const replies = await Promise.all(
          Array.from({ length: 6 }, async (_, i) =>
            agent.run({ executor, spec: { args: ['/bin/sh', '-c', `echo ${i}; exit ${i}`] } }),
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
}
