import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { ROOT } from './support/repository.js';
import { Workshop } from './support/strake.js';

const CLI = path.join(ROOT, 'packages/cli');

describe('a machine without the binary of koffi', () => {
  let workshop: Workshop;
  before(() => {
    workshop = new Workshop();
    for (const name of ['bin', 'dist'])
      cpSync(path.join(CLI, name), path.join(workshop.folder, name), { recursive: true });
    const koffi = path.join(workshop.folder, 'node_modules/koffi');
    mkdirSync(path.dirname(koffi));
    cpSync(path.join(ROOT, 'node_modules/koffi'), koffi, { recursive: true });
  });
  after(() => workshop.close());

  it('is told so, and what helps', () => {
    const dockerfile = path.join(workshop.folder, 'Dockerfile');
    writeFileSync(dockerfile, 'FROM busybox\nRUN true\n');
    const argv = ['build', '--root', workshop.store, '-f', dockerfile];
    const contexts = ['--build-context', `busybox=oci-layout://${workshop.busybox}`, workshop.context];
    const strake = path.join(workshop.folder, 'bin/strake.js');
    const { status, stderr } = spawnSync(process.execPath, [strake, ...argv, ...contexts], { encoding: 'utf8' });
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^error: the package koffi, by which strake calls the system, cannot be loaded: .*Koffi/m);
    assert.match(stderr, /^hint: Install strake again where optional packages are not left out/m);
    assert.doesNotMatch(stderr, /bug in strake/);
  });
});
