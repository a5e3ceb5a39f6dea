import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { createEngine, isStrakeError, type BuildOptions, type BuildResult, type Engine } from 'strake';
import { describeImage, type ImageDescription } from './support/image-description.js';
import { randomBuild, randomEdit, unseenEdit, type RandomBuild } from './support/random-build.js';
import { RandomScene } from './support/random-scene.js';
import { ROOT } from './support/repository.js';

/** Random builds of each property; `STRAKE_CACHE_RUNS=300 scripts/test.sh e2e/test/cache-properties.test.ts` tries more. */
const RUNS = Number(process.env['STRAKE_CACHE_RUNS'] ?? 5);
const SEED = process.env['STRAKE_CACHE_SEED'];

interface Built {
  /** Undefined where the build failed. */
  readonly image: ImageDescription | undefined;
  readonly steps: BuildResult['steps'];
  readonly failure: string | undefined;
}

/** Runs WORK with this process's umask and time zone changed. */
async function within<T>(umask: number, timeZone: string, work: () => Promise<T>): Promise<T> {
  const before = { umask: process.umask(umask), timeZone: process.env['TZ'] };
  process.env['TZ'] = timeZone;
  try {
    return await work();
  } finally {
    process.umask(before.umask);
    if (before.timeZone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before.timeZone;
  }
}

describe('the cache, with random builds and random edits', function () {
  this.timeout(60_000 + RUNS * 30_000);
  const folder = mkdtempSync(path.join(tmpdir(), 'strake-cache-'));
  const busybox = path.join(folder, 'busybox');
  let engine: Engine;
  /** Of the builds that have no cache, with another umask and time zone. */
  let other: Engine;
  let scenes = 0;

  before(() => {
    execFileSync(process.execPath, [path.join(ROOT, 'scripts/busybox-layout.mjs'), busybox]);
    engine = createEngine({ root: path.join(folder, 'store') });
    other = createEngine({ root: path.join(folder, 'other') });
  });
  after(async () => {
    await engine.close();
    await other.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const build = async (scene: RandomScene, noCache: boolean): Promise<Built> => {
    const dest = path.join(folder, 'image.tar');
    try {
      const { steps } = await (noCache ? other : engine).build({
        context: scene.context,
        file: scene.dockerfile,
        buildArgs: scene.buildArgs,
        labels: scene.labels,
        buildContexts: { busybox: `oci-layout://${busybox}` },
        outputs: [{ type: 'oci', dest }],
        noCache,
      }).result;
      return { image: describeImage(dest, busybox), steps, failure: undefined };
    } catch (error) {
      if (!isStrakeError(error)) throw error;
      return { image: undefined, steps: [], failure: error.code };
    }
  };
  const afresh = (scene: RandomScene): Promise<Built> => within(0o077, 'Asia/Tokyo', () => build(scene, true));
  const ran = ({ steps }: Built): string[] =>
    steps.filter(({ cached, name }) => !cached && !/\bFROM |\[context /.test(name)).map(({ name }) => name);
  const scene = (of: RandomBuild): RandomScene => new RandomScene(path.join(folder, `scene${scenes++}`), of);
  const parameters = { numRuns: RUNS, endOnFailure: RUNS < 50, ...(SEED === undefined ? {} : { seed: Number(SEED) }) };

  it('a cached build equals one without a cache', async () => {
    await fc.assert(
      fc.asyncProperty(randomBuild, fc.array(randomEdit, { minLength: 1, maxLength: 4 }), async (of, edits) => {
        const one = scene(of);
        try {
          for (const edit of [undefined, ...edits]) {
            if (edit) one.edit(edit);
            const cached = await build(one, false);
            const fresh = await afresh(one);
            assert.equal(cached.failure, fresh.failure, one.text);
            assert.deepEqual(cached.image, fresh.image, one.text);
            if (cached.failure !== undefined) continue;
            const again = await build(one, false);
            assert.deepEqual(ran(again), [], one.text);
            assert.deepEqual(again.image, cached.image, one.text);
          }
        } finally {
          one.close();
        }
      }),
      parameters,
    );
  });

  it('an edit that no step can see changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(randomBuild, fc.array(unseenEdit, { minLength: 1, maxLength: 5 }), async (of, edits) => {
        const one = scene(of);
        try {
          const first = await build(one, false);
          for (const edit of edits) {
            let now: Built;
            if (edit.kind === 'surroundings') {
              now = await within(edit.umask, edit.timeZone, () => build(one, false));
            } else {
              one.editUnseen(edit);
              now = await build(one, false);
            }
            assert.equal(now.failure, first.failure, one.text);
            assert.deepEqual(ran(now), [], `${JSON.stringify(edit)}\n${one.text}`);
            const labels = edit.kind === 'label' || one.labels['changed'] !== undefined;
            if (!labels) assert.deepEqual(now.image, first.image, one.text);
            else assert.deepEqual(now.image?.files, first.image?.files, one.text);
          }
        } finally {
          one.close();
        }
      }),
      parameters,
    );
  });

  describe('what a key is made of', () => {
    const built = async (lines: readonly string[], more: Partial<BuildOptions> = {}): Promise<ImageDescription> => {
      const dest = path.join(folder, 'example.tar');
      writeFileSync(path.join(folder, 'Dockerfile'), lines.join('\n'));
      const options: BuildOptions = { context: folder, outputs: [{ type: 'oci', dest }], ...more };
      const buildContexts = { busybox: `oci-layout://${busybox}`, ...more.buildContexts };
      await engine.build({ ...options, buildContexts }).result;
      return describeImage(dest, busybox);
    };

    it('the content that a cache mount starts from', async () => {
      const other = path.join(folder, 'named');
      mkdirSync(other);
      const lines = ['FROM busybox', 'RUN --mount=type=cache,from=named,target=/c,id=started cat /c/file > /seen'];
      const size = async (text: string): Promise<number | undefined> => {
        writeFileSync(path.join(other, 'file'), text);
        return (await built(lines, { buildContexts: { named: other } })).files['/seen']?.size;
      };
      assert.deepEqual([await size('one'), await size('longer')], [3, 6]);
    });

    it('SOURCE_DATE_EPOCH, where a heredoc makes a file', async () => {
      const time = async (epoch: string): Promise<number | undefined> =>
        (await built(['FROM busybox', 'COPY <<EOF /file', 'text', 'EOF'], { buildArgs: { SOURCE_DATE_EPOCH: epoch } }))
          .files['/file']?.mtime;
      assert.deepEqual([await time('1000'), await time('2000')], [1000, 2000]);
    });
  });
});
