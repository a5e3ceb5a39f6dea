import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { environments, type Environment } from './support/environments.js';
import { STRAKE } from './support/repository.js';
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

describe('the matrix: the same images wherever strake stands', function () {
  this.timeout(180_000);
  let workshop: Workshop;
  const expected: Record<string, string> = {};

  before(function () {
    if (process.getuid?.() !== 0) this.skip();
    workshop = new Workshop();
    workshop.write('context.txt', 'of the context\n');
    workshop.write('folder/deep/file', 'deep\n');
    chmodSync(workshop.folder, 0o711);
    writeFileSync(path.join(workshop.folder, 'token'), 'sesame');
    chmodSync(path.join(workshop.folder, 'token'), 0o644);
    // What mode files have in the context must not depend on the umask of whoever runs this.
    execFileSync('chmod', ['-R', 'u=rwX,go=rX', workshop.context, workshop.busybox]);
    for (const [name, lines] of Object.entries(BUILDS)) {
      mkdirSync(path.join(workshop.folder, name), { mode: 0o755 });
      writeFileSync(path.join(workshop.folder, name, 'Dockerfile'), lines.map((line) => `${line}\n`).join(''));
      cpSync(workshop.context, path.join(workshop.folder, name, 'context'), { recursive: true });
    }
  });
  after(() => (workshop as Workshop | undefined)?.close());

  const strake = (environment: Environment, folder: string, argv: readonly string[]): string => {
    const store = environment.store?.(folder) ?? path.join(folder, 'store');
    const [file = '', ...args] = [...environment.command(folder), process.execPath, STRAKE, ...argv];
    const env = { PATH: process.env['PATH'] ?? '', HOME: folder, TMPDIR: path.dirname(store), STRAKE_ROOT: store };
    const { status, stdout, stderr } = spawnSync(file, args, { env, cwd: '/', encoding: 'utf8', timeout: 120_000 });
    assert.equal(status, 0, `${argv.join(' ')}\n${stdout}${stderr}`);
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

  for (const environment of environments()) {
    describe(environment.name, () => {
      let folder: string;

      before(function () {
        if (environment.obstacle?.() !== undefined) this.skip();
        folder = path.join(workshop.folder, environment.name.replace(/\W+/g, '-'));
        mkdirSync(folder);
        environment.prepare?.(folder);
      });

      it(`uses ${environment.uses.join(' and ')}`, () => {
        const report = strake(environment, folder, ['doctor', ...(environment.arguments ?? [])]);
        for (const choice of environment.uses)
          assert.match(report, new RegExp(`^(isolation|snapshotter) +${choice} `, 'm'));
      });
      for (const name of Object.keys(BUILDS)) {
        if (environment.without?.includes(name)) continue;
        it(`builds ${name}`, () => {
          const digest = build(environment, folder, name);
          assert.match(digest, /^sha256:/);
          expected[name] ??= digest;
          assert.equal(digest, expected[name]);
        });
      }
    });
  }
});
