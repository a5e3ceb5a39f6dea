import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import {
  closeDescriptor,
  fileSystemType,
  makePipe,
  openAt2,
  OpenFlag,
  ResolveFlag,
  SystemCallError,
} from '../src/index.js';

const failsWith = (code: string) => (error: unknown) => error instanceof SystemCallError && error.code === code;

describe('openAt2', () => {
  let folder: string;
  let root: number;

  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sys-open-'));
    fs.mkdirSync(path.join(folder, 'root/sub'), { recursive: true });
    fs.writeFileSync(path.join(folder, 'root/sub/file'), 'inside');
    fs.writeFileSync(path.join(folder, 'file'), 'outside');
    fs.symlinkSync('/sub/file', path.join(folder, 'root/absolute'));
    fs.symlinkSync('../file', path.join(folder, 'root/up'));
    root = fs.openSync(path.join(folder, 'root'), fs.constants.O_DIRECTORY);
  });
  after(() => {
    fs.closeSync(root);
    fs.rmSync(folder, { recursive: true });
  });

  const read = (name: string, resolve: number): string => {
    const fd = openAt2(root, name, fs.constants.O_RDONLY, resolve);
    try {
      return fs.readFileSync(fd, 'utf8');
    } finally {
      fs.closeSync(fd);
    }
  };

  it('keeps links inside the root', () => {
    assert.equal(read('absolute', ResolveFlag.inRoot), 'inside');
    assert.equal(read('../../sub/file', ResolveFlag.inRoot), 'inside');
    assert.throws(() => read('up', ResolveFlag.inRoot), failsWith('ENOENT'));
  });
  it('refuses what leads out, and links where they are not wanted', () => {
    assert.throws(() => read('up', ResolveFlag.beneath), failsWith('EXDEV'));
    assert.throws(() => read('../file', ResolveFlag.beneath), failsWith('EXDEV'));
    assert.throws(() => read('absolute', ResolveFlag.noSymlinks), failsWith('ELOOP'));
    assert.throws(() => read(`/proc/self/fd/${root}`, ResolveFlag.noMagicLinks), failsWith('ELOOP'));
  });
  it('opens handles that are closed on exec', () => {
    const fd = openAt2(root, 'sub/file', OpenFlag.path | OpenFlag.nofollow, ResolveFlag.beneath);
    try {
      assert.throws(() => fs.readFileSync(fd), /EBADF/);
      assert.match(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'), /^flags:\s*0?1[0-9]*2[0-9]{6}$/m);
    } finally {
      closeDescriptor(fd);
    }
    closeDescriptor(fd);
  });
});

describe('makePipe', () => {
  it('connects two descriptors', () => {
    const { read, write } = makePipe();
    fs.writeSync(write, 'through');
    fs.closeSync(write);
    assert.equal(fs.readFileSync(read, 'utf8'), 'through');
    fs.closeSync(read);
  });
});

describe('fileSystemType', () => {
  it('knows the process file system', () => {
    assert.equal(fileSystemType('/proc'), 0x9fa0);
    assert.throws(() => fileSystemType('/nowhere/at/all'), failsWith('ENOENT'));
  });
});
