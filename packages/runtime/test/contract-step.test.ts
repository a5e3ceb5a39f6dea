import assert from 'node:assert/strict';

import type { ContainerMount } from '../src/index.js';
import { GNU_PATH, contract } from './support/contract.js';

contract((tools) => {
  const { run, sh, output, identity } = tools;
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
    it('is root with the capabilities of Docker and a filter (CVE-2022-27650, -27651)', async () => {
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
    it('gives an insecure step its rights whoever it is, by capabilities that programs inherit', async () => {
      const user = { uid: 1234, gid: 5678, additionalGids: [] };
      const script =
        'id -u; grep -E "^Cap(Inh|Prm|Eff|Amb)" /proc/self/status | cut -f 2 | sort | uniq -c | wc -l; touch /new';
      assert.equal(await output(script, { user, security: 'insecure' }), '1234\n1');
    });
    it('gives an insecure step devices and cgroups where it is really root', async function () {
      const devices = ['kmsg', 'cuse', 'fuse', 'kvm', 'net/tun', 'loop-control', 'loop7'];
      const script = `for n in ${devices.join(' ')}; do test -e /dev/$n && echo $n; done; true`;
      assert.equal(await output(script), '');
      const given = await output(script, { security: 'insecure' });
      assert.equal(given, identity === 'root' ? devices.join('\n') : '');
      if (identity !== 'root') this.skip();
      const writable = 'grep -c " /sys/fs/cgroup[/ ].* - cgroup2* .*rw" /proc/self/mountinfo || true';
      assert.equal(await output(writable), '0');
      assert.notEqual(await output(writable, { security: 'insecure' }), '0');
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
        const script = `mkdir -p /mnt; (${attempt.replace('$OUTSIDE', tools.outside)}) > /dev/null 2>&1 && echo done; true`;
        assert.equal(await output(script, { mounts: [{ kind: 'tmpfs', target: '/t' }] }), '');
      });
    }
    it('may make device nodes where it is really root', async function () {
      if (identity !== 'root') this.skip();
      const { upper } = await sh('mknod -m 0640 /zero c 1 5');
      assert.deepEqual([upper['/zero']?.type, upper['/zero']?.mode], ['device', 0o640]);
    });
    it('may use those that do no harm, and no others, where a guard holds', async function () {
      if (identity !== 'root') this.skip();
      const mounts: ContainerMount[] = [{ kind: 'tmpfs', target: '/t' }];
      const script = `for at in /n /dev/n /t/n; do
        mknod $at c 1 3 && echo x > $at && cat $at && echo null
        mknod $at-1 c 1 11 && (: < $at-1) || echo refused
        mknod $at-2 b 7 200 && (: < $at-2) || echo refused
      done 2>&1 | grep -o 'null$\\|refused\\|not permitted'; ls -l /n | cut -c 1`;
      const each = ['null', 'not permitted', 'refused', 'not permitted', 'refused'];
      assert.equal(await output(script, { mounts, deviceNodes: true }), [...each, ...each, ...each, 'c'].join('\n'));
    });
    it('hides kernel files and other processes', async () => {
      const script =
        'for f in kcore keys timer_list sched_debug; do cat /proc/$f 2> /dev/null; done; ls -d /proc/[0-9]* | wc -l; ls /sys/firmware';
      assert.ok(Number(await output(script)) < 6);
    });
  });
});
