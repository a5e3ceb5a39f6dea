import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { errnoOf, makeFolders } from '../src/index.js';

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
