import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Workshop, type Outcome } from './support/strake.js';

interface Entry {
  readonly mediaType: string;
  readonly digest: string;
  readonly platform?: unknown;
  readonly annotations?: Readonly<Record<string, string>>;
}

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const LINES = ['FROM scratch', 'ARG TARGETARCH', 'COPY --chown=3:4 --chmod=640 file /$TARGETARCH/f'];
const BOTH = ['--platform', 'linux/amd64,linux/arm64'];
const FORCED = ['--platform', 'linux/amd64', '--build-arg', 'BUILDKIT_MULTI_PLATFORM=1'];

// What BuildKit makes of the same arguments was looked at.
describe('forms of outputs, for one platform and for several', function () {
  this.timeout(120_000);
  let workshop: Workshop;
  let made = 0;

  before(() => {
    workshop = new Workshop();
    workshop.write('file', 'content\n');
  });
  after(() => workshop.close());

  const build = async (argv: readonly string[]): Promise<Outcome> => workshop.build(LINES, argv);
  const sound = async (argv: readonly string[]): Promise<void> => {
    const { status, stderr } = await build(argv);
    assert.equal(status, 0, stderr);
  };
  const place = (): string => path.join(workshop.folder, `made-${++made}`);
  const tree = (folder: string): string[] => (readdirSync(folder, { recursive: true }) as string[]).sort();
  /** The entry of a layout's index, and the document that it names. */
  const layout = async (...argv: string[]): Promise<{ entry: Entry; document: { annotations?: unknown } }> => {
    const folder = place();
    await sound([...argv, '-o', `type=oci,dest=${folder},tar=false`]);
    const read = (name: string): unknown => JSON.parse(readFileSync(path.join(folder, name), 'utf8'));
    const [entry] = (read('index.json') as { manifests: Entry[] }).manifests;
    assert.ok(entry);
    return { entry, document: read(`blobs/${entry.digest.replace(':', '/')}`) as { annotations?: unknown } };
  };

  it('one platform has no index, and is told beside its manifest', async () => {
    const { entry } = await layout('--platform', 'linux/amd64');
    assert.equal(entry.mediaType, MANIFEST);
    assert.deepEqual(entry.platform, { architecture: 'amd64', os: 'linux' });
  });

  it('BUILDKIT_MULTI_PLATFORM gives one platform an index, which can be annotated', async () => {
    const { entry, document } = await layout(...FORCED, '--annotation', 'index:a=b');
    assert.equal(entry.mediaType, INDEX);
    assert.deepEqual(document.annotations, { a: 'b' });
    const { stderr } = await build([...BOTH, '--build-arg', 'BUILDKIT_MULTI_PLATFORM=false']);
    assert.match(stderr, /returning multiple target platforms is not allowed/);
    const { stderr: bad } = await build(['--build-arg', 'BUILDKIT_MULTI_PLATFORM=perhaps']);
    assert.match(bad, /invalid boolean value for BUILDKIT_MULTI_PLATFORM: perhaps/);
  });

  it('what is for an index is refused without one, whatever platform it names, and what is unknown before anything runs', async () => {
    const { stderr } = await build(['--annotation', 'index[linux/amd64]:a=b', '-o', `type=oci,dest=${place()}`]);
    assert.match(stderr, /index annotations not supported for single platform export/);
    const { stderr: unknown } = await build(['--annotation', 'other:a=b', '-o', `type=oci,dest=${place()}`]);
    assert.match(unknown, /unknown annotation type "other"/);
    assert.doesNotMatch(unknown, /exporting/);
  });

  it('a switch that is neither on nor off is refused before anything runs', async () => {
    const { stderr } = await build(['-o', 'type=image,push=perhaps']);
    assert.match(stderr, /non-bool value specified for push: "perhaps"/);
    assert.doesNotMatch(stderr, /exporting/);
  });

  it('an archive for Docker has the types of the OCI, as BuildKit has it since 0.31, and the older ones where they are asked for', async () => {
    const types = async (...argv: string[]): Promise<string | undefined> => {
      const tar = place();
      await sound([...argv.slice(1), '-o', `type=docker,dest=${tar}${argv[0] ?? ''}`]);
      const index = execFileSync('tar', ['-xOf', tar, 'index.json'], { encoding: 'utf8' });
      return (JSON.parse(index) as { manifests: Entry[] }).manifests[0]?.mediaType;
    };
    assert.equal(await types(), MANIFEST);
    const older = ',oci-mediatypes=false';
    assert.equal(await types(older), 'application/vnd.docker.distribution.manifest.v2+json');
    // Docker's own types have no annotations.
    assert.equal(await types(older, '--annotation', 'a=b'), MANIFEST);
  });

  it('several platforms have folders of their own, and platform-split says otherwise', async () => {
    const [split, mixed, one, forced] = [place(), place(), place(), place()];
    await sound([...BOTH, '-o', split]);
    assert.deepEqual(
      tree(split).filter((name) => name.endsWith('/f')),
      ['linux_amd64/amd64/f', 'linux_arm64/arm64/f'],
    );
    await sound([...BOTH, '-o', `type=local,dest=${mixed},platform-split=false`]);
    assert.deepEqual(tree(mixed), ['amd64', 'amd64/f', 'arm64', 'arm64/f']);
    await sound(['--platform', 'linux/arm64', '-o', `type=local,dest=${one},platform-split=true`]);
    assert.deepEqual(tree(one), ['linux_arm64', 'linux_arm64/arm64', 'linux_arm64/arm64/f']);
    await sound([...FORCED, '-o', forced]);
    assert.deepEqual(tree(forced), ['linux_amd64', 'linux_amd64/amd64', 'linux_amd64/amd64/f']);
  });

  it('a tar of several has their folders, too', async () => {
    const tar = place();
    await sound([...BOTH, '-o', `type=tar,dest=${tar}`]);
    const names = execFileSync('tar', ['-tf', tar], { encoding: 'utf8' }).trim().split('\n');
    assert.deepEqual(names, [
      ...['linux_amd64/', 'linux_amd64/amd64/', 'linux_amd64/amd64/f'],
      ...['linux_arm64/', 'linux_arm64/arm64/', 'linux_arm64/arm64/f'],
    ]);
  });

  it('files in a folder belong to whoever asked for them', async () => {
    const folder = place();
    await sound(['--platform', 'linux/amd64', '-o', folder]);
    const { uid, gid, mode } = lstatSync(path.join(folder, 'amd64/f'));
    assert.deepEqual([uid, gid, mode & 0o7777], [process.getuid?.(), process.getgid?.(), 0o640]);
  });

  it('the id of an index is its digest; a tree of files has none', async () => {
    const folder = place();
    mkdirSync(folder);
    const [id, metadata] = [path.join(folder, 'id'), path.join(folder, 'metadata')];
    const files = ['--iidfile', id, '--metadata-file', metadata];
    await sound([...BOTH, ...files, '-o', `type=oci,dest=${place()}`]);
    const told = JSON.parse(readFileSync(metadata, 'utf8')) as Record<string, unknown>;
    assert.equal(told['containerimage.digest'], readFileSync(id, 'utf8'));
    assert.equal(told['containerimage.config.digest'], undefined);
    const { status, stderr } = await build([...files, '-o', path.join(folder, 'tree')]);
    assert.equal(status, 2);
    assert.match(stderr, /local and tar exporters are incompatible with image ID file/);
    assert.ok(!existsSync(path.join(folder, 'tree')));
    await sound([...files, '--load', '-o', path.join(folder, 'tree')]);
    assert.match(readFileSync(id, 'utf8'), /^sha256:/);
  });
});
