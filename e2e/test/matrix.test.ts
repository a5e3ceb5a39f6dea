import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { findDockerPlace } from './support/docker-place.js';
import { environments, strakeIn, type Environment } from './support/environments.js';
import { dockerHost } from './support/programs.js';
import { ROOT } from './support/repository.js';
import { CASES, readCases } from './support/side-by-side.js';
import { Workshop } from './support/strake.js';

/** Builds whose images must be the same wherever they are made: times are rewritten, so that every byte counts. */
const BUILDS: Readonly<Record<string, readonly string[]>> = {
  changes: [
    'FROM busybox',
    'RUN mkdir -p /a/b && echo one > /a/b/one && echo two > /a/two && ln /a/two /a/three && ln -s ../two /a/b/link',
    'RUN rm /a/b/one && rm -r /bin/vi && mkdir /bin/vi && touch /a/four && chmod 4755 /a/four && mkfifo /a/pipe && chmod 700 /a',
    'RUN mv /a/b /moved && echo same > /a/same && touch -d "2001-01-01 00:00:00" /a/same',
    'RUN touch -d "2001-01-01 00:00:00" /a/same && true',
    'RUN true',
  ],
  mounts: [
    'FROM busybox AS source',
    'RUN mkdir /out && echo built > /out/file',
    'FROM busybox',
    'WORKDIR /work',
    'RUN --mount=type=bind,target=/src --mount=type=bind,from=source,source=/out,target=/out cat /src/context.txt /out/file > both',
    'RUN --mount=type=cache,target=/cache echo 1 >> /cache/count && cat /cache/count > first',
    'RUN --mount=type=cache,target=/cache echo 2 >> /cache/count && cat /cache/count > second',
    'RUN --mount=type=tmpfs,target=/scratch touch /scratch/x && ls /scratch > scratch',
    'RUN --mount=type=secret,id=token,target=/run/secrets/t sha256sum < /run/secrets/t > digest',
    'RUN --mount=type=bind,target=/w,rw echo changed > /w/context.txt && cat /w/context.txt > changed',
    'RUN <<EOF',
    'set -e',
    'grep -q buildkitsandbox /etc/hosts',
    'echo lost > /dev/null; head -c 2 /dev/zero | wc -c > zeros',
    'EOF',
  ],
  owners: [
    'FROM busybox',
    'COPY --chown=1234:5678 --chmod=640 context.txt /owned/file',
    'WORKDIR /home/app',
    'COPY --link folder /linked/',
    'RUN echo more >> /owned/more && cat /owned/file > /read',
    'ENTRYPOINT ["/bin/sh"]',
  ],
  users: [
    'FROM busybox',
    'RUN echo app:x:1000:1000::/data:/bin/sh >> /etc/passwd && mkdir /data && chown 1000:1000 /data && chmod 2775 /data',
    'USER app',
    'WORKDIR /data',
    'RUN id -u > who && echo x > x && chmod 600 x',
  ],
};

/** Applications: folders with a Dockerfile, and where each build's context is in them. */
const APPLICATIONS: Readonly<Record<string, readonly [folder: string, context: string]>> = {
  almanac: [path.join(ROOT, 'fixtures/demo'), '.'],
  'node-app': [path.join(CASES, 'node-app'), 'context'],
  'python-app': [path.join(CASES, 'python-app'), 'context'],
  'go-app': [path.join(CASES, 'go-app'), 'context'],
};

/** The suite of recorded builds, where it is there. */
const SUITE = path.join(process.env['STRAKE_SHARED'] ?? path.join(ROOT, '../shared'), 'conformance/conformance.py');
/**
 * How much is built in every place. Not set: what CI has time for, {@link BUILDS}. `all`: all applications, and all builds of the
 * suite. Another word: the applications, and the builds of the suite with that word in their names (`npm run matrix`: run/delete).
 */
const chosen = process.env['STRAKE_MATRIX'];
/** Root's own Python may lie where others cannot read. */
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

describe('the matrix: the same images wherever strake stands', function () {
  this.timeout(chosen === undefined ? 180_000 : 3_600_000);
  const isRoot = process.getuid?.() === 0;
  const docker = isRoot ? findDockerPlace() : 'containers are started by root';
  let workshop: Workshop;
  const expected: Record<string, string> = {};

  before(function () {
    if (!isRoot) this.skip();
    workshop = new Workshop(typeof docker === 'string' ? undefined : docker.folder);
    workshop.write('context.txt', 'of the context\n');
    workshop.write('folder/deep/file', 'deep\n');
    for (const folder of [workshop.folder, path.dirname(workshop.folder)]) {
      if (typeof docker !== 'string' || folder === workshop.folder) chmodSync(folder, 0o711);
    }
    writeFileSync(path.join(workshop.folder, 'token'), 'sesame');
    chmodSync(path.join(workshop.folder, 'token'), 0o644);
    for (const [name, lines] of Object.entries(BUILDS)) {
      mkdirSync(path.join(workshop.folder, name), { mode: 0o755 });
      writeFileSync(path.join(workshop.folder, name, 'Dockerfile'), lines.map((line) => `${line}\n`).join(''));
      cpSync(workshop.context, path.join(workshop.folder, name, 'context'), { recursive: true });
    }
    for (const [name, [folder, context]] of Object.entries(APPLICATIONS)) {
      const place = path.join(workshop.folder, name);
      mkdirSync(place, { mode: 0o755 });
      cpSync(path.join(folder, 'Dockerfile'), path.join(place, 'Dockerfile'));
      cpSync(path.join(folder, context), path.join(place, 'context'), { recursive: true, verbatimSymlinks: true });
      const setup = readCases(name).find((one) => one.folder === folder)?.setup ?? [];
      execFileSync('sh', ['-ec', ['umask 022', ...setup].join('\n')], { cwd: path.join(place, 'context') });
    }
    if (chosen !== undefined && existsSync(SUITE)) {
      const suite = path.join(workshop.folder, 'suite');
      cpSync(path.dirname(SUITE), suite, { recursive: true, verbatimSymlinks: true });
      execFileSync('chmod', ['-R', 'u=rwX,go=rX', suite]);
    }
    // What mode files have in the context must not depend on the umask of whoever runs this.
    const built = [...Object.keys(BUILDS), ...Object.keys(APPLICATIONS)].map((name) =>
      path.join(workshop.folder, name),
    );
    execFileSync('chmod', ['-R', 'u=rwX,go=rX', workshop.busybox, ...built]);
  });
  after(() => {
    (workshop as Workshop | undefined)?.close();
    if (typeof docker !== 'string') rmSync(docker.folder, { recursive: true, force: true });
  });

  /** A command of ARGV in a place, with nothing in its environment but what it needs. */
  const inPlace = (environment: Environment, folder: string, argv: readonly string[]): readonly string[] => {
    const store = environment.store?.(folder) ?? path.join(folder, 'store');
    const env = [`PATH=${process.env['PATH'] ?? ''}`, `HOME=${folder}`, `TMPDIR=${path.dirname(store)}`];
    return [...environment.command(folder), 'env', '-i', ...env, `STRAKE_ROOT=${store}`, ...argv];
  };
  const strake = (environment: Environment, folder: string, argv: readonly string[], fails = false): string => {
    const [file = '', ...args] = inPlace(environment, folder, [...strakeIn(environment), ...argv]);
    const env = { ...process.env, DOCKER_HOST: dockerHost() ?? '' };
    const { status, stdout, stderr } = spawnSync(file, args, { env, cwd: '/', encoding: 'utf8', timeout: 120_000 });
    assert.equal(status !== 0, fails, `${argv.join(' ')}\n${stdout}${stderr}`);
    return stdout + stderr;
  };
  const build = (environment: Environment, folder: string, name: string): string => {
    const place = path.join(workshop.folder, name);
    const output = path.join(environment.store ? path.dirname(environment.store(folder)) : folder, `${name}.tar`);
    const log = strake(environment, folder, [
      ...['build', '--progress', 'plain', '--secret', `id=token,src=${path.join(workshop.folder, 'token')}`],
      ...['--build-context', `busybox=oci-layout://${workshop.busybox}`, '--build-arg', 'SOURCE_DATE_EPOCH=1000000000'],
      ...['--output', `type=oci,dest=${output},rewrite-timestamp=true`, ...(environment.arguments ?? [])],
      ...['-f', path.join(place, 'Dockerfile'), path.join(place, 'context')],
    ]);
    return /^built .*(sha256:[0-9a-f]{64})/m.exec(log)?.[1] ?? log;
  };
  /** A build of one RUN step. */
  const run = (environment: Environment, folder: string, options: readonly string[], fails: boolean): string => {
    const dockerfile = path.join(workshop.folder, 'limited');
    writeFileSync(dockerfile, 'FROM busybox\nRUN ls /sys/class/net > /devices; true\n');
    chmodSync(dockerfile, 0o644);
    const base = ['--build-context', `busybox=oci-layout://${workshop.busybox}`];
    const argv = ['build', '--progress', 'plain', '--no-cache', ...base, ...options, ...(environment.arguments ?? [])];
    return strake(
      environment,
      folder,
      [...argv, '-f', dockerfile, path.join(workshop.folder, 'changes/context')],
      fails,
    );
  };

  for (const environment of environments(docker)) {
    const obstacle = environment.obstacle?.();
    describe(environment.name + (obstacle === undefined ? '' : ` (skipped: ${obstacle})`), () => {
      let folder: string;
      let report: string;

      before(function () {
        if (obstacle !== undefined) this.skip();
        folder = path.join(workshop.folder, environment.name.replace(/\W+/g, '-'));
        mkdirSync(folder);
        environment.prepare?.(folder);
      });
      after(() => {
        if (obstacle === undefined) environment.close?.(folder);
      });

      it(`uses ${environment.uses.join(' and ')}, and doctor says so`, () => {
        report = strake(environment, folder, ['doctor', ...(environment.arguments ?? [])]);
        for (const choice of environment.uses)
          assert.match(report, new RegExp(`^(isolation|snapshotter) +${choice} `, 'm'));
        for (const words of environment.says ?? []) assert.match(report, words);
        // Whatever is missing comes with what would give it.
        for (const [, name] of report.matchAll(/^(\S[\S ]*?) +no {2}/gm))
          assert.match(report, new RegExp(`^${name}: `, 'm'));
      });
      for (const name of Object.keys(chosen === undefined ? BUILDS : { ...BUILDS, ...APPLICATIONS })) {
        if (environment.without?.includes(name)) continue;
        it(`builds ${name}`, () => {
          const digest = build(environment, folder, name);
          assert.match(digest, /^sha256:/);
          expected[name] ??= digest;
          assert.equal(digest, expected[name]);
        });
      }
      it('limits steps and closes off their network, or says that it cannot', () => {
        const limited = /^limits +ok /m.test(report);
        const warned = /cannot be kept|not limited/i;
        const log = run(environment, folder, ['--memory', '512m', '--pids-limit', '100'], false);
        assert.equal(warned.test(log), !limited, log);
        const closed = /^network=none +ok /m.test(report);
        const alone = run(environment, folder, ['--network', 'none'], !closed);
        if (!closed) assert.match(alone, /network namespace/);
      });
      if (chosen === undefined || !existsSync(SUITE)) return;
      it('builds what BuildKit built', () => {
        const builder = [...strakeIn(environment), 'build', ...(environment.arguments ?? [])];
        const suite = (command: readonly string[]): readonly string[] => [
          ...[PYTHON, path.join(workshop.folder, 'suite/conformance.py'), '--builder', command.join(' ')],
          ...['--jobs', '1', ...(chosen === 'all' ? [] : ['--only', chosen])],
        ];
        // It judges from where the builder stands; but a container has no Python.
        const contained = environment.strake !== undefined;
        const [file = '', ...argv] = contained
          ? suite(inPlace(environment, folder, builder))
          : inPlace(environment, folder, suite(builder));
        const { stdout } = spawnSync(file, argv, {
          env: { ...process.env, DOCKER_HOST: dockerHost() ?? '', ...(contained ? { TMPDIR: folder } : {}) },
          encoding: 'utf8',
        });
        assert.match(stdout, /^\d+ passed, \d+ failed$/m);
        const known = readFileSync(path.join(ROOT, 'e2e/conformance-known-failures.txt'), 'utf8').split('\n');
        const failed = [...stdout.matchAll(/^FAIL\s+(\S+)/gm)].map(([, name = '']) => name);
        const unexpected = failed.filter(
          (name) => !environment.differs?.includes(name) && !known.includes(`conformance/${name}`),
        );
        assert.deepEqual(unexpected, [], stdout);
      });
    });
  }
});
