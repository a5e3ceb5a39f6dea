import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { errnoOf, makeFolderNow, makeFolders } from '../src/index.js';

describe('folders made with those above them', () => {
  let folder: string;
  before(() => {
    folder = fs.mkdtempSync(join(tmpdir(), 'strake-folders-'));
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  it('tell the first that was missing', async () => {
    assert.equal(await makeFolders(join(folder, 'a/b/c'), 0o700), join(folder, 'a'));
    assert.equal(await makeFolders(join(folder, 'a/b/d')), join(folder, 'a/b/d'));
    assert.equal(await makeFolders(join(folder, 'a/b/c')), undefined);
    assert.equal(fs.statSync(join(folder, 'a/b')).mode & 0o777, 0o700);
    fs.symlinkSync('a', join(folder, 'link'));
    assert.equal(await makeFolders(join(folder, 'link')), undefined);
    assert.equal(await makeFolders(join(folder, 'link/new')), join(folder, 'link/new'));
  });

  it('are made at once, too, with those above that are missing', () => {
    makeFolderNow(join(folder, 'now/x/y'), 0o700);
    makeFolderNow(join(folder, 'now/x/y'), 0o700);
    assert.equal(fs.statSync(join(folder, 'now/x')).mode & 0o777, 0o700);
    assert.throws(
      () => makeFolderNow('/proc/none/here'),
      (error) => errnoOf(error) === 'ENOENT',
    );
  });

  it('end where there can be none: below /proc, a file, a link to nothing', async () => {
    const fails = (path: string, code: string): Promise<void> =>
      assert.rejects(makeFolders(path), (error) => errnoOf(error) === code);
    await fails('/proc/strake/store', 'ENOENT');
    fs.writeFileSync(join(folder, 'file'), '');
    await fails(join(folder, 'file'), 'EEXIST');
    await fails(join(folder, 'file/deep'), 'ENOTDIR');
    fs.symlinkSync('nowhere', join(folder, 'dangling'));
    await fails(join(folder, 'dangling/deep'), 'ENOENT');
  });
});
