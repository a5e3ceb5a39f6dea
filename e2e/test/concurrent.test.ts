import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gone, mountsWith, processesWith } from './support/processes.js';
import { Workshop, type Outcome } from './support/strake.js';

function succeed(outcomes: readonly Outcome[]): void {
  for (const { status, stderr } of outcomes) assert.equal(status, 0, stderr);
}

describe('builds at the same time on one store', function () {
  this.timeout(120_000);
  let workshop: Workshop;
  before(() => {
    workshop = new Workshop();
  });
  after(() => workshop.close());

  /** A RUN that notes in a cache mount that it ran. */
  const counted = (name: string, command: string): string =>
    `RUN --mount=type=cache,target=/count echo ${name} >> /count/log; ${command}`;

  let readings = 0;
  /** How often the counted steps ran, as a build reads it out of the cache mount. (--no-cache would empty it.) */
  const counts = async (): Promise<Record<string, number>> => {
    const dest = path.join(workshop.folder, 'counts');
    const lines = [
      'FROM busybox AS read',
      counted(`reader-${++readings}`, 'cp /count/log /log'),
      'FROM scratch',
      'COPY --from=read /log /',
    ];
    succeed([await workshop.build(lines, ['-o', dest])]);
    const seen: Record<string, number> = {};
    for (const name of readFileSync(path.join(dest, 'log'), 'utf8').trim().split('\n')) {
      seen[name] = (seen[name] ?? 0) + 1;
    }
    return seen;
  };

  /** Starts builds of Dockerfiles of their own, all at once. */
  const together = async (builds: readonly (readonly string[])[], tag: string): Promise<Outcome[]> =>
    Promise.all(
      builds.map(async (lines, i) => {
        const folder = path.join(workshop.folder, `${tag}-${i}`);
        mkdirSync(folder);
        writeFileSync(path.join(folder, 'Dockerfile'), lines.join('\n'));
        writeFileSync(path.join(folder, 'file.txt'), `${tag}\n`);
        const base = ['--build-context', `busybox=oci-layout://${workshop.busybox}`];
        return workshop.strake(['build', '-t', `${tag}:${i}`, ...base, folder]);
      }),
    );

  const layersOf = async (name: string): Promise<string[]> => {
    const [image] = JSON.parse((await workshop.strake(['inspect', name])).stdout) as [
      { config: { rootfs: { diff_ids: string[] } } },
    ];
    return image.config.rootfs.diff_ids;
  };

  it('two of the same Dockerfile run its steps once', async () => {
    const lines = [
      'FROM busybox',
      counted('one', 'head -c 100000 /dev/urandom > /one'),
      'COPY file.txt /',
      counted('two', 'sha256sum /one > /two'),
      'CMD ["sh", "-c", "sha256sum -c /two && cat /file.txt"]',
    ];
    succeed(await together([lines, lines], 'same'));
    const { one, two } = await counts();
    assert.deepEqual({ one, two }, { one: 1, two: 1 });
    assert.deepEqual(await layersOf('same:0'), await layersOf('same:1'));
    assert.equal((await workshop.strake(['run', 'same:1'])).stdout, '/one: OK\nsame\n');
  });

  it('two different ones that begin alike share the beginning', async () => {
    const start = ['FROM busybox', counted('shared', 'head -c 50000 /dev/urandom > /shared')];
    succeed(
      await together(
        [
          [...start, counted('left', 'echo left > /side'), 'CMD ["cat", "/side"]'],
          [...start, counted('right', 'echo right > /side'), 'CMD ["cat", "/side"]'],
        ],
        'split',
      ),
    );
    const { shared, left, right } = await counts();
    assert.deepEqual({ shared, left, right }, { shared: 1, left: 1, right: 1 });
    const [a, b] = [await layersOf('split:0'), await layersOf('split:1')];
    assert.deepEqual(a.slice(0, 2), b.slice(0, 2));
    assert.equal((await workshop.strake(['run', 'split:0'])).stdout, 'left\n');
    assert.equal((await workshop.strake(['run', 'split:1'])).stdout, 'right\n');
  });

  it('eight at once', async () => {
    const builds = Array.from({ length: 8 }, (_, i) => [
      'FROM busybox AS tool',
      counted('tool', 'echo tool > /tool'),
      'FROM busybox',
      counted(`own-${i % 4}`, `echo ${i % 4} > /own; seq 500 > /many`),
      'COPY --from=tool /tool /',
      'COPY . /context/',
      'CMD ["cat", "/own", "/tool", "/context/file.txt"]',
    ]);
    succeed(await together(builds, 'eight'));
    const seen = await counts();
    assert.equal(seen['tool'], 1);
    for (let i = 0; i < 4; i++) assert.equal(seen[`own-${i}`], 1);
    const printed = await Promise.all(
      builds.map(async (_, i) => (await workshop.strake(['run', `eight:${i}`])).stdout),
    );
    assert.deepEqual(
      printed,
      builds.map((_, i) => `${i % 4}\ntool\neight\n`),
    );
  });

  it('one that fails, or is killed, is taken over by the one that waits for it', async () => {
    const started = 'echo begun; test -e /count/go || { touch /count/go; sleep 600; }; echo finished > /result';
    const lines = ['FROM busybox', counted('handed', started), 'CMD ["cat", "/result"]'];
    const base = ['--build-context', `busybox=oci-layout://${workshop.busybox}`];
    const folder = path.join(workshop.folder, 'handed');
    mkdirSync(folder);
    writeFileSync(path.join(folder, 'Dockerfile'), lines.join('\n'));
    const argv = ['build', '-t', 'handed', ...base, folder];
    let second: Promise<Outcome> | undefined;
    let kill = (): void => undefined;
    const first = await workshop.strake(argv, {
      onStart: (child) => (kill = child.kill),
      onOutput: (text) => {
        if (second || !/ begun$/m.test(text)) return undefined;
        second = workshop.strake(argv, {
          // It has seen the Dockerfile and begins to wait, or has not come that far: both must go well.
          onOutput: (more) => {
            if (/FROM|busybox/.test(more)) kill();
            return undefined;
          },
        });
        return undefined;
      },
    });
    assert.equal(first.status, undefined);
    assert.ok(second);
    succeed([await second]);
    assert.equal((await workshop.strake(['run', 'handed'])).stdout, 'finished\n');
    assert.equal((await counts())['handed'], 2);
  });

  it('one with --no-cache renews a shared cache mount, and takes nothing from one that uses it', async () => {
    const shared = (name: string, command: string): string[] => {
      const folder = path.join(workshop.folder, name);
      mkdirSync(folder);
      const run = `RUN --mount=type=cache,target=/shared --mount=type=cache,id=sync-${name},target=/own ${command}`;
      writeFileSync(path.join(folder, 'Dockerfile'), `FROM busybox\n${run}\n`);
      return ['build', '--build-context', `busybox=oci-layout://${workshop.busybox}`, folder];
    };
    const wait = 'echo kept > /shared/file; echo begun; timeout 60 cat /shared/pipe; cat /shared/file';
    succeed([await workshop.strake(shared('filled', 'mkfifo /shared/pipe && chmod 700 /shared'))]);
    const renewed = shared('renewed', 'echo "there is: $(ls /shared)." && echo new > /shared/new');
    const after = shared('after', 'echo "now: $(ls /shared)."');
    let others: Promise<Outcome[]> | undefined;
    const first = await workshop.strake(shared('user', wait), {
      onOutput: (text) => {
        if (others || !/ begun$/m.test(text)) return undefined;
        others = workshop.strake([...renewed, '--no-cache']).then(async (one) => {
          // The folder that the first one holds is there until it ends, without a name that a step could mount.
          const [old = ''] = readdirSync(path.join(workshop.store, 'mounts')).filter((name) =>
            name.startsWith('gone-'),
          );
          const pipe = path.join(workshop.store, 'mounts', old, 'pipe');
          if (existsSync(pipe)) writeFileSync(pipe, 'go on\n');
          return [one, await workshop.strake(after)];
        });
        return undefined;
      },
    });
    const [second, third] = (await others) ?? [];
    succeed([first]);
    assert.match(first.stderr, /go on\n.*kept/);
    assert.match(second?.stderr ?? '', / there is: \.$/m);
    assert.match(third?.stderr ?? '', / now: new\.$/m);
    const left = readdirSync(path.join(workshop.store, 'mounts')).filter((name) => name.startsWith('gone-'));
    assert.deepEqual(left, []);
  });

  it('leave nothing behind', async () => {
    assert.deepEqual(await gone(() => processesWith(workshop.store)), []);
    assert.deepEqual(await gone(() => mountsWith(workshop.store)), []);
    assert.equal((await workshop.strake(['doctor', '--fix'])).status, 0);
    assert.doesNotMatch((await workshop.strake(['doctor'])).stdout, /left behind/);
  });
});
