import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { plainContainerCommand } from '@strake/runtime/testing';

import { describeImage } from './support/image-description.js';
import { findProgram } from './support/programs.js';
import { STRAKE } from './support/repository.js';
import { Workshop } from './support/strake.js';

/** Nobody's id, without a range in /etc/subuid. */
const ID = 54321;
const AS_ONE = ['setpriv', `--reuid=${ID}`, `--regid=${ID}`, '--clear-groups'];

describe('places that allow little', function () {
  this.timeout(120_000);
  let workshop: Workshop;
  let home: string;

  before(function () {
    if (process.getuid?.() !== 0) this.skip();
    workshop = new Workshop();
    chmodSync(workshop.folder, 0o711);
    workshop.write('context.txt', 'of the context\n');
    execFileSync('chmod', ['-R', 'u=rwX,go=rX', workshop.context, workshop.busybox]);
    home = path.join(workshop.folder, 'home');
    mkdirSync(home);
    chownSync(home, ID, ID);
  });
  after(() => (workshop as Workshop | undefined)?.close());

  /** `strake ARGV...` called by PREFIX, with a store of its own. */
  const strake = (prefix: readonly string[], argv: readonly string[]): { status: number | null; log: string } => {
    const store = path.join(home, prefix === AS_ONE ? 'one' : 'root');
    const [file = '', ...args] = [...prefix, process.execPath, STRAKE, ...argv];
    const env = { PATH: process.env['PATH'] ?? '', HOME: home, TMPDIR: home, STRAKE_ROOT: store };
    const { status, stdout, stderr } = spawnSync(file, args, { env, cwd: '/', encoding: 'utf8', timeout: 100_000 });
    return { status, log: stdout + stderr };
  };
  const build = (
    prefix: readonly string[],
    lines: readonly string[],
    argv: readonly string[] = [],
  ): ReturnType<typeof strake> => {
    const dockerfile = path.join(workshop.folder, 'Dockerfile');
    writeFileSync(dockerfile, lines.map((line) => `${line}\n`).join(''), { mode: 0o644 });
    const base = ['--build-context', `busybox=oci-layout://${workshop.busybox}`];
    return strake(prefix, ['build', '--progress', 'plain', '-f', dockerfile, ...base, ...argv, workshop.context]);
  };

  it('with one id: owners that there are no ids for come out right, also of what a step changes', () => {
    const image = path.join(home, 'image.tar');
    const { status, log } = build(
      AS_ONE,
      [
        'FROM busybox',
        'COPY --chown=1234:5678 --chmod=664 context.txt /folder/changed',
        'COPY --chown=1234:5678 context.txt /folder/kept',
        'COPY --chown=77:88 context.txt /folder/moved',
        'RUN echo more >> /folder/changed && mv /folder/moved /folder/there && echo mine > /folder/made',
        'RUN echo more >> /folder/there',
      ],
      ['--output', `type=oci,dest=${image}`],
    );
    assert.equal(status, 0, log);
    const { files } = describeImage(image, workshop.busybox);
    const owners = Object.entries(files).flatMap(([name, { uid, gid, type }]) =>
      type === 'file' ? [[name.replace(/^\//, ''), uid, gid]] : [],
    );
    assert.deepEqual(owners.sort(), [
      ['folder/changed', 1234, 5678],
      ['folder/kept', 1234, 5678],
      ['folder/made', 0, 0],
      ['folder/there', 77, 88],
    ]);
  });

  it('without cgroups: --pids-limit holds all the same', () => {
    const many = (count: number): string => `RUN i=0; while [ $i -lt ${count} ]; do sleep 1 & i=$((i + 1)); done; wait`;
    for (const isolation of ['auto', 'native']) {
      const options = ['--no-cache', '--isolation', isolation, '--pids-limit', '20'];
      const fine = build(AS_ONE, ['FROM busybox', many(10), 'RUN --network=none test "$(id -u)" = 0'], options);
      assert.equal(fine.status, 0, fine.log);
      assert.doesNotMatch(fine.log, /steps are not limited/);
      const { status, log } = build(AS_ONE, ['FROM busybox', many(40)], options);
      assert.notEqual(status, 0, log);
      assert.match(log, /can't fork/);
    }
  });

  it('with one id: a step that needs a second one fails with an explanation', () => {
    const chown = build(AS_ONE, ['FROM busybox', 'RUN touch /file && chown 1000:1000 /file']);
    assert.notEqual(chown.status, 0);
    assert.match(chown.log, /one user id on this machine.*\n?.*usermod --add-subuids/);
    const user = build(AS_ONE, ['FROM busybox', 'USER 1000', 'RUN true']);
    assert.notEqual(user.status, 0);
    assert.match(user.log, /cannot belong to user 1000: this user namespace has no such id/);
    assert.match(user.log, /usermod --add-subuids/);
    const doctor = strake(AS_ONE, ['doctor']);
    assert.match(doctor.log, /^subordinate ids +no /m);
    assert.match(doctor.log, /^subordinate ids: For files of other users, as root: /m);
  });

  it('what was asked for is used, or the build fails and says why', () => {
    const lines = ['FROM busybox', 'RUN true'];
    const container = plainContainerCommand();
    for (const [prefix, argv, message] of [
      [
        [],
        ['--isolation', 'chroot', '--snapshotter', 'overlay'],
        /overlay snapshots are not possible here: nothing can/,
      ],
      [container, ['--isolation', 'native'], /strake cannot run steps here|steps cannot be run here|namespace/],
      [container, ['--isolation', 'oci'], /steps cannot be run here|namespace/],
      [container, ['--snapshotter', 'overlay'], /overlay snapshots are not possible here/],
      [container, ['--network', 'none'], /network namespace/],
      [container, ['--allow-host', 'localhost'], /a step in a chroot has no network of its own/],
    ] as const) {
      const { status, log } = build(prefix, lines, ['--no-cache', ...argv]);
      assert.notEqual(status, 0, argv.join(' '));
      assert.match(log, message, argv.join(' '));
    }
    for (const argv of [
      ['--isolation', 'native', '--snapshotter', 'copy'],
      ['--isolation', 'chroot'],
    ]) {
      const { status, log } = build([], lines, ['--no-cache', ...argv]);
      assert.equal(status, 0, log);
    }
    const refused = strake([], ['build', '--isolation', 'jail', workshop.context]);
    assert.notEqual(refused.status, 0);
    assert.match(refused.log, /jail/);
  });

  it('an OCI runtime that was asked for and is not installed is named', function () {
    const runtimes = ['runc', 'crun'].flatMap((name) => findProgram(name) ?? []);
    const none = path.join(workshop.folder, 'none');
    writeFileSync(none, '', { mode: 0o644 });
    const hide = runtimes.map((file) => `mount --bind "$0" ${file}`).join('; ');
    const prefix = ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', `${hide || ':'}; exec "$@"`, none];
    const lines = ['FROM busybox', 'RUN true'];
    const asked = build(prefix, lines, ['--no-cache', '--isolation', 'oci']);
    assert.notEqual(asked.status, 0);
    assert.match(asked.log, /there is no crun in PATH; runc: there is no runc in PATH/);
    const { status, log } = build(prefix, lines, ['--no-cache']);
    assert.equal(status, 0, log);
  });

  it('doctor tries limits, networks and the file system of the store, and says what would give what is missing', () => {
    const { status, log } = strake([], ['doctor', '--json']);
    assert.equal(status, 0, log);
    const { checks } = JSON.parse(log) as {
      checks: { name: string; ok: boolean; detail: string; hint?: string }[];
    };
    for (const name of [
      'overlay',
      'namespaces',
      'limits',
      'network=none',
      'network private',
      'attributes',
      'reflinks',
    ]) {
      const check = checks.find((one) => one.name === name);
      assert.ok(check, `no check is called ${name}`);
      assert.equal(check.ok || (check.hint ?? '') !== '', true, `${name}: ${check.detail}`);
    }
  });
});
