import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { gone, mountsWith, processesWith } from './support/processes.js';
import { Workshop, type Outcome } from './support/strake.js';

/** What a step printed, of a plain log. */
function printed(log: string): string[] {
  return log.split('\n').flatMap((line) => {
    const [, text] = /^#\d+ \d+\.\d+ (.*)$/.exec(line) ?? [];
    return text === undefined ? [] : [text];
  });
}

for (const isolation of ['oci', 'native'] as const) {
  describe(`a step and a container, isolation ${isolation}`, function () {
    this.timeout(120_000);
    let workshop: Workshop;
    const marker = `run-${process.pid}-${isolation}`;

    before(async function () {
      workshop = new Workshop();
      const probe = await workshop.build(['FROM busybox', 'RUN true'], ['--isolation', isolation]);
      if (/not (?:there|available|work)|ISOLATION/.test(probe.stderr)) this.skip();
      assert.equal(probe.status, 0, probe.stderr);
    });
    after(() => workshop.close());

    const build = async (lines: readonly string[], argv: readonly string[] = []): Promise<Outcome> => {
      const outcome = await workshop.build(['FROM busybox', ...lines], ['--isolation', isolation, ...argv], {
        env: { SECRET_OF_THE_BUILDER: 'leaked', http_proxy: 'http://127.0.0.1:1' },
      });
      assert.equal(outcome.status, 0, outcome.stderr);
      return outcome;
    };
    const step = async (...lines: string[]): Promise<string[]> => printed((await build(lines)).stderr);
    const run = async (argv: readonly string[], input?: string): Promise<Outcome> =>
      workshop.strake(['run', '--isolation', isolation, ...argv], input === undefined ? {} : { input });

    it('sees its own /proc, /dev and /sys', async () => {
      const seen = await step(
        [
          'RUN echo "self $$"; ls -d /proc/[0-9]* | wc -l; ls /dev; (echo x > /proc/sys/kernel/hostname) 2>/dev/null || echo read-only',
          'cat /proc/keys | wc -c; touch /sys/x 2>/dev/null || echo sys; mknod /tmp/sda b 8 0 && cat /tmp/sda 2>&1',
          'echo all > /dev/null; head -c 4 /dev/zero | wc -c; grep -c . /proc/mounts > /dev/null && echo mounts',
        ].join('; '),
      );
      assert.equal(seen[0], 'self 1');
      // The shell, ls and wc: nobody else's processes.
      assert.ok(Number(seen[1]) <= 4, seen.join('\n'));
      for (const name of ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'pts', 'shm', 'fd']) {
        assert.ok(seen.includes(name), `${name} of ${seen.join()}`);
      }
      assert.ok(seen.includes('read-only') && seen.includes('sys') && seen.includes('mounts'), seen.join('\n'));
      assert.ok(!seen.includes('sda') && !seen.includes('kmsg') && !seen.includes('mem'));
    });

    it('has a name, hosts and name servers of its own, which are not in the layer', async () => {
      const seen = await step(
        'RUN hostname; cat /etc/hosts; test -s /etc/resolv.conf && echo servers; (echo 127.0.0.9 x > /etc/hosts) 2>/dev/null || true; echo o > /etc/other',
      );
      assert.equal(seen[0], 'buildkitsandbox');
      assert.ok(seen.some((line) => /^127\.0\.0\.1\s+localhost/.test(line)));
      assert.ok(seen.includes('servers'));
      const tar = path.join(workshop.folder, 'files.tar');
      await build(
        ['RUN cat /etc/hosts /etc/resolv.conf > /dev/null; echo o > /etc/other', 'RUN true'],
        ['-o', `type=tar,dest=${tar}`],
      );
      const names = execFileSync('tar', ['-tf', tar], { encoding: 'utf8' }).split('\n');
      assert.ok(names.includes('etc/other'));
      assert.ok(!names.includes('etc/hosts') && !names.includes('etc/resolv.conf'));
    });

    it('has only the environment that it was given, and no input', async () => {
      const seen = await step(
        'ENV A="b c"',
        'ARG D=e',
        'RUN env | sort; cat; echo "end of input"; ls /proc/self/fd | wc -l',
      );
      const env = seen.slice(0, seen.indexOf('end of input')).filter((line) => !/^(?:PWD|SHLVL|_|OLDPWD)=/.test(line));
      assert.deepEqual(
        env.filter((line) => !/_proxy=/i.test(line)),
        ['A=b c', 'D=e', 'HOME=/root', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      );
      assert.ok(!seen.join('\n').includes('leaked'));
      // 0 to 2, and the folder that ls reads.
      assert.equal(seen.at(-1), '4');
    });

    it('runs as a user by name, by number, and with supplementary groups', async () => {
      const seen = await step(
        "RUN printf 'me:x:1000:1000::/home/me:/bin/sh\\n' >> /etc/passwd && printf 'me:x:1000:\\nteam:x:2000:me,other\\n' >> /etc/group && mkdir /home/me",
        'USER me',
        'RUN id -u; id -G; echo $HOME',
        'USER 1000:team',
        'RUN id -u; id -g; id -G',
        'USER 4321',
        'RUN id -u; id -g; echo $HOME; touch /root/x 2>/dev/null || echo denied',
      );
      assert.deepEqual(seen, ['1000', '1000 2000', '/home/me', '1000', '2000', '2000', '4321', '0', '/', 'denied']);
    });

    it("has Docker's capabilities and may gain privileges, as in Docker", async () => {
      const seen = await step('RUN grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status');
      assert.deepEqual(seen.map((line) => line.replace(/\s+/, ' ')).sort(), [
        'CapBnd: 00000000a80425fb',
        'CapEff: 00000000a80425fb',
        'NoNewPrivs: 0',
        'Seccomp: 2',
      ]);
    });

    it('does not wait for what it left in the background, and ends it', async () => {
      const started = Date.now();
      const seen = await step(`RUN (sleep 600; : ${marker}) & setsid sh -c 'sleep 600; : ${marker}' & echo over`);
      assert.deepEqual(seen, ['over']);
      assert.ok(Date.now() - started < 20_000);
      assert.deepEqual(await gone(() => processesWith(marker)), []);
      assert.deepEqual(await gone(() => mountsWith(workshop.store)), []);
    });

    it('fails with the exit status of the command, or the signal that ended it', async () => {
      for (const [command, status] of [
        ['exit 7', 7],
        ['kill -KILL $$', 137],
        ['not-there', 127],
      ] as const) {
        const outcome = await workshop.build(
          ['FROM busybox', `RUN sh -c '${command}'; exit $?`],
          ['--isolation', isolation],
        );
        assert.equal(outcome.status, 1);
        assert.match(outcome.stderr, new RegExp(`exit code: ${status}\\b`));
      }
      const exec = await workshop.build(['FROM busybox', 'RUN ["/not/there"]'], ['--isolation', isolation]);
      assert.equal(exec.status, 1);
      assert.match(exec.stderr, /\/not\/there/);
    });

    it('`strake run` passes exit status, signals and input on', async () => {
      await build(['ENV GREETING=hello', 'WORKDIR /tmp', 'CMD ["sh", "-c", "echo $GREETING; pwd"]'], ['-t', 'app']);
      assert.equal((await run(['app'])).stdout, 'hello\n/tmp\n');
      assert.equal((await run(['-e', 'GREETING=moin', '-w', '/', 'app'])).stdout, 'moin\n/\n');
      assert.equal((await run(['app', 'sh', '-c', 'exit 42'])).status, 42);
      assert.equal((await run(['app', 'sh', '-c', 'kill -TERM $$; exit 5'])).status, 5, 'process 1 ignores signals');
      assert.equal((await run(['app', 'sh', '-c', "sh -c 'kill -KILL $$'; exit $?"])).status, 137);
      const missing = await run(['app', 'no-such-program']);
      assert.equal(missing.status, 127, missing.stderr);
      assert.match(missing.stderr, /no-such-program/);
      assert.equal((await run(['app', '/etc/passwd'])).status, 126);
      assert.equal((await run(['app', 'cat'], 'not handed on')).stdout, '');
      const long = 'line of input\n'.repeat(20_000);
      assert.equal((await run(['-i', 'app', 'cat'], long)).stdout, long);
      assert.equal((await run(['-u', 'nobody', 'app', 'id', '-u'])).stdout, '65534\n');
      assert.equal((await run(['-h', 'box', 'app', 'hostname'])).stdout, 'box\n');
      assert.equal((await run(['--entrypoint', 'echo', 'app', 'a', 'b'])).stdout, 'a b\n');
    });

    it('`strake run` ends on a signal, and leaves nothing', async () => {
      for (const [signal, status] of [
        ['SIGINT', 130],
        ['SIGTERM', 143],
      ] as const) {
        let sent = false;
        const outcome = await workshop.strake(
          ['run', '--isolation', isolation, 'app', 'sh', '-c', `echo up; sleep 600; : ${marker}`],
          {
            onOutput: (text) => {
              if (sent || !text.includes('up')) return undefined;
              sent = true;
              return signal;
            },
          },
        );
        assert.equal(outcome.status, status, outcome.stderr);
        assert.deepEqual(await gone(() => processesWith(marker)), []);
      }
      assert.deepEqual(await gone(() => processesWith(workshop.store)), []);
      assert.deepEqual(await gone(() => mountsWith(workshop.store)), []);
    });
  });
}
