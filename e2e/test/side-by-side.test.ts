import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { imageDifferences } from './support/image-description.js';
import { ROOT, STRAKE } from './support/repository.js';
import { Scene, readCases, readGolden, type Case, type Made } from './support/side-by-side.js';

/** Builds at once. */
const JOBS = 2;

describe('the images that Docker made of the same Dockerfiles (fixtures/side-by-side)', function () {
  this.timeout(120_000);
  const isRoot = process.getuid?.() === 0;
  const cases = readCases().filter((one) => isRoot || !one.root);
  const made = new Map<string, Promise<Made>>();
  let work = '';

  before(() => {
    work = mkdtempSync(path.join(tmpdir(), 'strake-side-by-side-'));
    const base = path.join(work, 'busybox');
    execFileSync(process.execPath, [path.join(ROOT, 'scripts/busybox-layout.mjs'), base]);
    const layout = `oci-layout://${base}`;
    const builder = {
      base: layout,
      command: [STRAKE, 'build', '--progress=plain', '--build-context', `busybox=${layout}`],
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: path.join(work, 'home'),
        STRAKE_ROOT: path.join(work, 'store'),
      },
    };
    const lanes = Array.from({ length: JOBS }, () => Promise.resolve<unknown>(undefined));
    for (const [n, one] of cases.entries()) {
      const outcome = (lanes[n % JOBS] ?? Promise.resolve()).then(() => tryOut(one, builder));
      made.set(one.name, outcome);
      lanes[n % JOBS] = outcome.catch(() => undefined);
    }
  });
  after(async () => {
    await Promise.allSettled(made.values());
    rmSync(work, { recursive: true, force: true });
  });

  async function tryOut(one: Case, builder: Parameters<Scene['build']>[0]): Promise<Made> {
    const scene = new Scene(one, path.join(work, one.name), path.join(work, 'busybox'));
    try {
      await scene.prepare();
      return await scene.build(builder);
    } finally {
      await scene.close();
    }
  }

  for (const one of cases) {
    it(`${one.name}: ${one.why}`, async () => {
      const outcome = await made.get(one.name);
      if (one.error !== undefined) {
        assert.equal(outcome?.image, undefined, 'it had to fail');
        assert.match(outcome?.output ?? '', new RegExp(one.error, 'is'));
        return;
      }
      assert.ok(outcome?.image, outcome?.output);
      const golden = readGolden(one);
      assert.ok(golden, 'no golden.json was recorded');
      assert.deepEqual(imageDifferences(golden, outcome.image, one.differs), []);
    });
  }
});
