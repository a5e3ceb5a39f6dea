import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ACCOUNT, DockerRegistry } from './support/docker-registry.js';
import { docker, dockerHost, findProgram, skopeo, tool } from './support/programs.js';
import { Workshop, type Outcome } from './support/strake.js';

const missing = ['docker-registry', 'skopeo'].filter((name) => findProgram(name) === undefined);
const suffix = missing.length > 0 ? ` (skipped: ${missing.join(', ')} not installed)` : '';

/** What a Dockerfile of these tests makes, and what its image prints. */
const STEPS = [
  'RUN mkdir /srv/app -p && echo made by RUN > /srv/app/run.txt',
  'COPY greeting.txt /srv/app/',
  'ENV NAME=world',
  'WORKDIR /srv/app',
  'CMD ["sh", "-c", "cat run.txt greeting.txt; echo hello $NAME; pwd"]',
];
const PRINTED = 'made by RUN\nfrom the context\nhello world\n/srv/app\n';

function succeeds(outcome: Outcome): Outcome {
  assert.equal(outcome.status, 0, outcome.stderr);
  return outcome;
}

describe(`a build from and to a registry${suffix}`, function () {
  const closing: (() => void | Promise<void>)[] = [];
  let registry: DockerRegistry;
  let here: Workshop;
  let there: Workshop;
  let app: string;

  const build = async (argv: readonly string[]): Promise<Outcome> =>
    here.build([`FROM ${registry.host}/base:1`, ...STEPS], argv);

  before(async function () {
    if (missing.length > 0) this.skip();
    registry = await DockerRegistry.start();
    closing.push(() => registry.close());
    here = new Workshop();
    there = new Workshop();
    closing.push(
      () => here.close(),
      () => there.close(),
    );
    app = `${registry.host}/me/app:1`;
    here.write('greeting.txt', 'from the context\n');
    const base = `docker://${registry.host}/base:1`;
    await skopeo('copy', '-q', '--dest-tls-verify=false', `oci:${here.busybox}:latest`, base);
  });
  after(async () => {
    for (const close of closing) await close();
  });

  it('pulls the base, builds, pushes', async () => {
    registry.forget();
    const outcome = succeeds(await build(['-t', app, '--push', '--iidfile', 'id']));
    assert.ok(outcome.stderr.includes(app), outcome.stderr);
    const id = readFileSync(path.join(here.folder, 'id'), 'utf8');
    const config = JSON.parse(
      await skopeo('inspect', '--config', '--raw', '--tls-verify=false', `docker://${app}`),
    ) as unknown;
    const [inspected] = JSON.parse(succeeds(await here.strake(['inspect', app])).stdout) as [
      { configDigest: string; target: { digest: string }; config: unknown },
    ];
    assert.deepEqual(inspected.config, config);
    assert.ok([inspected.configDigest, inspected.target.digest].includes(id), id);
  });

  it('mounts the layers of the base from its repository and uploads the others once', () => {
    const uploads = registry.requests.filter((line) => line.startsWith('POST '));
    const mounted = uploads.filter((line) => / 201$/.test(line));
    assert.equal(mounted.length, 1, registry.requests.join('\n'));
    assert.match(mounted[0] ?? '', /^POST \/v2\/me\/app\/blobs\/uploads\/\?.*from=base/);
    // The config and the layers of RUN, COPY and WORKDIR (an empty one, as BuildKit has it).
    assert.equal(uploads.filter((line) => / 202$/.test(line)).length, 4, registry.requests.join('\n'));
    assert.equal(registry.requests.filter((line) => /^PUT \S+\/manifests\/1 201$/.test(line)).length, 1);
  });

  it('is sound to skopeo', async () => {
    const dir = path.join(here.folder, 'dir');
    const oci = path.join(here.folder, 'oci');
    const source = ['--src-tls-verify=false', `docker://${app}`];
    const facts = JSON.parse(await skopeo('inspect', '--tls-verify=false', `docker://${app}`)) as {
      Layers: string[];
      Env: string[];
    };
    assert.equal(facts.Layers.length, 4);
    assert.ok(facts.Env.includes('NAME=world'));
    await skopeo('copy', '-q', ...source, `dir:${dir}`);
    await skopeo('copy', '-q', ...source, `oci:${oci}:1`);
    // What skopeo wrote is a base again.
    const again = await here.build(
      ['FROM again', 'RUN cat /srv/app/greeting.txt'],
      ['--build-context', `again=oci-layout://${oci}:1`],
    );
    assert.match(succeeds(again).stderr, /^#\d+ [\d.]+ from the context$/m);
  });

  it('is pulled into another store and prints the same there', async () => {
    assert.equal(succeeds(await here.strake(['run', app])).stdout, PRINTED);
    succeeds(await there.strake(['pull', app]));
    registry.forget();
    assert.equal(succeeds(await there.strake(['run', app])).stdout, PRINTED);
    assert.deepEqual(registry.requests, []);
  });

  it('uploads nothing the second time', async () => {
    registry.forget();
    succeeds(await here.strake(['push', app]));
    succeeds(await build(['-t', app, '--push']));
    assert.deepEqual(
      registry.requests.filter((line) => /^(?:POST|PATCH|PUT) \S+\/blobs\//.test(line)),
      [],
    );
  });

  it('pushes under another name what it built before', async () => {
    const other = `${registry.host}/other/app:2`;
    succeeds(await here.strake(['tag', app, other]));
    registry.forget();
    succeeds(await here.strake(['push', other]));
    const pushed = [...registry.requests];
    const digest = async (name: string): Promise<string> =>
      (await skopeo('inspect', '--format={{.Digest}}', '--tls-verify=false', `docker://${name}`)).trim();
    assert.equal(await digest(other), await digest(app));
    // Every blob is in this registry already.
    const layers = pushed.filter((line) => / (?:201|202)$/.test(line) && line.includes('/blobs/'));
    // Layers are mounted, the config is sent.
    assert.equal(layers.filter((line) => /^POST .*mount=.* 201$/.test(line)).length, 4, layers.join('\n'));
    assert.equal(layers.length, 6, layers.join('\n'));
  });

  it('runs and pushes an image whose base was never downloaded', async () => {
    const name = `${registry.host}/lazy:1`;
    const other = new Workshop();
    const blobs = (): string[] => registry.requests.filter((line) => /^GET .*\/blobs\//.test(line));
    try {
      registry.forget();
      succeeds(await other.build([`FROM ${registry.host}/base:1`, 'ENV A=b', 'CMD echo $A'], ['-t', name]));
      succeeds(await other.strake(['push', name]));
      assert.equal(registry.requests.filter((line) => /^POST .*mount=.* 201$/.test(line)).length, 1);
      // The config alone.
      assert.equal(blobs().length, 1);
      registry.forget();
      assert.equal(succeeds(await other.strake(['run', name])).stdout, 'b\n');
      assert.equal(blobs().length, 1);
    } finally {
      other.close();
    }
  });

  it('pushes from a store that has only pulled', async () => {
    const other = `${registry.host}/third:3`;
    succeeds(await there.strake(['tag', app, other]));
    succeeds(await there.strake(['push', other]));
    await skopeo('inspect', '--tls-verify=false', `docker://${other}`);
  });

  it('says what docker run says', async function () {
    if (dockerHost() === undefined) this.skip();
    await docker('pull', '-q', app);
    try {
      assert.equal(await docker('run', '--rm', '--network', 'none', app), PRINTED);
    } finally {
      await docker('rmi', '-f', app);
    }
  });

  it('takes a base that mmdebstrap made (STRAKE_TEST_DEBIAN=1)', async function () {
    if (process.env['STRAKE_TEST_DEBIAN'] === undefined || findProgram('mmdebstrap') === undefined) this.skip();
    this.timeout(600_000);
    const archive = path.join(here.context, 'debian.tar');
    const name = `${registry.host}/debian:bookworm`;
    try {
      await tool('mmdebstrap', ['--variant=minbase', 'bookworm', archive]);
      succeeds(await here.build(['FROM scratch', 'ADD debian.tar /', 'CMD ["bash"]'], ['-t', name, '--push']));
    } finally {
      rmSync(archive, { force: true });
    }
    const outcome = await there.build([
      `FROM ${name}`,
      'RUN useradd -m me && dpkg --list | wc -l',
      'USER me',
      'RUN test "$(whoami)" = me && perl -e "print qq(perl runs\\n)"',
    ]);
    assert.match(succeeds(outcome).stderr, /perl runs/);
  });
});

describe(`a registry with basic authentication${suffix}`, function () {
  const closing: (() => void | Promise<void>)[] = [];
  let registry: DockerRegistry;
  let workshop: Workshop;

  before(async function () {
    if (missing.length > 0) this.skip();
    registry = await DockerRegistry.start({ auth: true });
    closing.push(() => registry.close());
    workshop = new Workshop();
    closing.push(() => workshop.close());
  });
  after(async () => {
    for (const close of closing) await close();
  });

  const push = async (env: Record<string, string> = {}): Promise<Outcome> =>
    workshop.build(['FROM busybox', 'LABEL a=b'], ['-t', `${registry.host}/me/app:1`, '--push'], { env });

  const refused = (outcome: Outcome): void => {
    assert.equal(outcome.status, 1, outcome.stderr);
    assert.match(outcome.stderr, /^error: .*127\.0\.0\.1/m);
    assert.match(outcome.stderr, /strake login/);
  };

  it('is refused without credentials', async () => {
    refused(await push());
    refused(await workshop.strake(['pull', `${registry.host}/me/app:1`]));
    refused(await workshop.build([`FROM ${registry.host}/me/app:1`]));
  });

  it('refuses a wrong password, and keeps nothing', async () => {
    const login = ['login', '-u', ACCOUNT.username, '--password-stdin', registry.host];
    const outcome = await workshop.strake(login, { input: 'wrong' });
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /127\.0\.0\.1/);
    assert.doesNotMatch(outcome.stderr, /wrong\b.*password|password.*\bwrong\b.*wrong/);
    refused(await push());
  });

  it('takes wrong credentials of a config.json for what they are', async () => {
    const auth = Buffer.from('me:something else').toString('base64');
    mkdirSync(path.join(workshop.folder, 'wrong'));
    execFileSync('tee', [path.join(workshop.folder, 'wrong/config.json')], {
      input: JSON.stringify({ auths: { [registry.host]: { auth } } }),
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    const outcome = await push({ DOCKER_CONFIG: path.join(workshop.folder, 'wrong') });
    refused(outcome);
    assert.doesNotMatch(outcome.stderr, /something else/);
    assert.ok(!outcome.stderr.includes(auth));
  });

  it('works after login, and not after logout', async () => {
    const login = ['login', '-u', ACCOUNT.username, '--password-stdin', registry.host];
    succeeds(await workshop.strake(login, { input: `${ACCOUNT.password}\n` }));
    succeeds(await push());
    const other = new Workshop();
    try {
      const env = { DOCKER_CONFIG: path.join(workshop.folder, 'home/.docker') };
      succeeds(await other.strake(['pull', `${registry.host}/me/app:1`], { env }));
      succeeds(await other.build([`FROM ${registry.host}/me/app:1`, 'RUN true'], [], { env }));
    } finally {
      other.close();
    }
    const account = `${ACCOUNT.username}:${ACCOUNT.password}`;
    await skopeo('inspect', '--creds', account, '--tls-verify=false', `docker://${registry.host}/me/app:1`);
    succeeds(await workshop.strake(['logout', registry.host]));
    refused(await workshop.strake(['pull', `${registry.host}/me/app:1`]));
  });
});
