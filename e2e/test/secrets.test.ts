import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Workshop } from './support/strake.js';

/** All files below a folder that hold TOKEN, by their paths; unpacked trees and blobs included. */
function holding(folder: string, token: string): string[] {
  try {
    return execFileSync('grep', ['-rlaF', '--devices=skip', '-e', token, folder], { encoding: 'utf8' })
      .trim()
      .split('\n');
  } catch {
    return []; // grep says so with its status
  }
}

describe('what is secret on the machine of a build', function () {
  this.timeout(120_000);
  let workshop: Workshop;
  before(() => {
    workshop = new Workshop();
  });
  after(() => workshop.close());

  it('is in no layer, config, history, record, log, trace, command line or temporary file', async () => {
    const tokens = Object.fromEntries(
      ['environment', 'docker', 'ssh', 'home', 'secret', 'other', 'proxy', 'unused'].map((name) => [
        name,
        `${name.toUpperCase()}-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`,
      ]),
    );
    const at = (name: string): string => path.join(workshop.folder, name);
    const put = (name: string, text: string): string => {
      mkdirSync(path.dirname(at(name)), { recursive: true });
      writeFileSync(at(name), text, { mode: 0o600 });
      return at(name);
    };
    const encoded = Buffer.from(`me:${tokens['docker']}`).toString('base64');
    put('docker/config.json', JSON.stringify({ auths: { 'registry.example': { auth: encoded } } }));
    put('home/.ssh/id_rsa', tokens['ssh'] ?? '');
    put('home/.netrc', `machine x password ${tokens['home']}`);
    const [secret, other] = [put('s', tokens['secret'] ?? ''), put('o', tokens['other'] ?? '')];
    mkdirSync(at('tmp'));
    mkdirSync(at('out'));
    const env = {
      DOCKER_CONFIG: at('docker'),
      TMPDIR: at('tmp'),
      AWS_SECRET_ACCESS_KEY: tokens['environment'] ?? '',
      SSH_AUTH_SOCK: at(`agent-${tokens['ssh']}`),
      HTTP_PROXY: `http://me:${tokens['proxy']}@127.0.0.1:9`,
    };
    const look = 'env; cat /proc/*/environ /proc/*/cmdline | tr "\\0" "\\n"; ls -laR /run /root /home /tmp; true';
    const lines = [
      'FROM busybox AS one',
      'ARG NPM_TOKEN',
      'RUN --mount=type=secret,id=s sleep 1; wc -c < /run/secrets/s > /length',
      `RUN ${look} > /seen 2>&1`,
      'FROM busybox',
      'COPY --from=one /length /seen /',
      `RUN --mount=type=secret,id=o,env=OTHER test -n "$OTHER" && (unset OTHER HTTP_PROXY http_proxy; env) > /env`,
    ];
    const commands = new Set<string>();
    let building = true;
    const watch = async (): Promise<void> => {
      while (building) {
        for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
          try {
            commands.add(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
          } catch {
            continue; // it has ended
          }
        }
        await pause(30);
      }
    };
    const watching = watch();
    const options = ['--secret', `id=s,src=${secret}`, '--secret', `id=o,src=${other}`, '-t', 'marked'];
    const traces = ['--metadata-file', at('out/metadata'), '--trace', at('out/trace'), '--progress', 'rawjson'];
    const build = await workshop.build(lines, [...options, ...traces, '-o', `type=oci,dest=${at('out/image.tar')}`], {
      env,
    });
    assert.equal(build.status, 0, build.stderr);
    const failing = await workshop.build(
      ['FROM busybox', 'RUN --mount=type=secret,id=s false', 'RUN true'],
      [...options.slice(0, 4)],
      { env },
    );
    assert.equal(failing.status, 1);
    building = false;
    await watching;
    await workshop.build(
      ['FROM busybox AS one', ...lines.slice(1)],
      [...options, '-o', `type=local,dest=${at('out/files')}`],
      { env },
    );

    // The search finds what there is to find.
    assert.ok(holding(workshop.store, 'wc -c < /run/secrets/s').length > 0);
    assert.ok(holding(at('docker'), encoded).length > 0);
    assert.ok([...commands].some((line) => line.includes(workshop.folder)));
    for (const [name, token] of Object.entries(tokens)) {
      for (const text of [build.stdout, build.stderr, failing.stdout, failing.stderr]) {
        assert.ok(!text.includes(token), `${name} is in the output`);
      }
      // The proxy is for steps: Docker hands it to them, too.
      if (name !== 'proxy') assert.deepEqual(holding(at('out'), token), [], name);
      assert.deepEqual(holding(path.join(workshop.store, 'cache'), token), [], name);
      assert.deepEqual(holding(path.join(workshop.store, 'builds'), token), [], name);
      if (name !== 'proxy') assert.deepEqual(holding(workshop.store, token), [], name);
      assert.deepEqual(holding(at('tmp'), token), [], name);
      assert.ok(![...commands].some((line) => line.includes(token)), `${name} is in a command line`);
    }
    assert.equal(readFileSync(at('out/files/length'), 'utf8').trim(), String(tokens['secret']?.length));
    assert.doesNotMatch(readFileSync(at('out/files/env'), 'utf8'), /AWS_|SSH_|DOCKER/);
  });
});
