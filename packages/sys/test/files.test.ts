import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import fc from 'fast-check';

import {
  closeDescriptor,
  FileFacts,
  FileType,
  getXattr,
  listXattrs,
  lockFile,
  makeDevice,
  makeNode,
  openToRead,
  removeXattr,
  setXattr,
  splitDevice,
  startWriteBack,
  statAt,
  spreadSubfolders,
  SystemCallError,
} from '../src/index.js';

describe('files', () => {
  let folder: string;
  let file: string;

  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sys-files-'));
    file = path.join(folder, 'f');
    fs.writeFileSync(file, '');
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  it('are brought to the disk in part, where they are files', () => {
    const fd = fs.openSync(file, 'r+');
    startWriteBack(fd, 0, 1 << 20);
    fs.closeSync(fd);
    const device = fs.openSync('/dev/null', 'r');
    try {
      assert.throws(() => startWriteBack(device, 0, 1), { name: 'SystemCallError', code: 'ESPIPE' });
    } finally {
      fs.closeSync(device);
    }
  });

  it('keep extended attributes, bytes and all', function () {
    try {
      setXattr(file, 'user.a', Buffer.from([0, 255, 10]));
    } catch (error) {
      if (error instanceof SystemCallError && error.code === 'ENOTSUP') this.skip();
      throw error;
    }
    setXattr(file, 'user.long', Buffer.alloc(3000, 'x'));
    setXattr(file, 'user.empty', Buffer.alloc(0));
    assert.deepEqual(
      listXattrs(file)
        .filter((name) => name.startsWith('user.'))
        .sort(),
      ['user.a', 'user.empty', 'user.long'],
    );
    assert.deepEqual(getXattr(file, 'user.a'), Buffer.from([0, 255, 10]));
    assert.equal(getXattr(file, 'user.long')?.length, 3000);
    assert.equal(getXattr(file, 'user.empty')?.length, 0);
    const fd = fs.openSync(file, 'r');
    assert.deepEqual(listXattrs(fd).sort(), listXattrs(file).sort());
    fs.closeSync(fd);
    removeXattr(file, 'user.a');
    assert.equal(getXattr(file, 'user.a'), undefined);
    assert.throws(
      () => listXattrs(path.join(folder, 'missing')),
      (error) => error instanceof SystemCallError && error.code === 'ENOENT',
    );
  });

  it('can be fifos and devices', function () {
    makeNode(path.join(folder, 'fifo'), FileType.fifo | 0o600);
    assert.ok(fs.lstatSync(path.join(folder, 'fifo')).isFIFO());
    if (process.getuid?.() !== 0) this.skip();
    makeNode(path.join(folder, 'zero'), FileType.char | 0o600, 1, 5);
    assert.deepEqual(splitDevice(fs.lstatSync(path.join(folder, 'zero')).rdev), { major: 1, minor: 5 });
  });

  it('can be locked by one at a time', () => {
    const [first, second] = [fs.openSync(file, 'r'), fs.openSync(file, 'r')];
    lockFile(first, 2 | 4);
    assert.throws(
      () => lockFile(second, 2 | 4),
      (error) => error instanceof SystemCallError && error.code === 'EAGAIN',
    );
    fs.closeSync(first);
    lockFile(second, 2 | 4);
    fs.closeSync(second);
  });

  it('are looked at by their names in an open folder', () => {
    fs.writeFileSync(path.join(folder, 'seen'), 'content');
    fs.linkSync(path.join(folder, 'seen'), path.join(folder, 'again'));
    fs.symlinkSync('/nowhere', path.join(folder, 'link'));
    fs.utimesSync(path.join(folder, 'seen'), 5, -1234.5);
    makeNode(path.join(folder, 'pipe'), FileType.fifo | 0o601);
    const odd = Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xff, 0x41)]);
    fs.writeFileSync(odd, 'odd');
    const fd = fs.openSync(folder, 'r');
    const facts = new FileFacts();
    const names = ['seen', 'again', 'link', 'pipe', '\udcffA', ''];
    for (const name of names) {
      statAt(fd, name, facts);
      const stats = fs.lstatSync(name === '\udcffA' ? odd : path.join(folder, name));
      for (const fact of ['mode', 'uid', 'gid', 'size', 'blocks', 'nlink', 'dev', 'ino', 'rdev'] as const)
        assert.equal(facts[fact], stats[fact], `${name}: ${fact}`);
      assert.equal(Math.floor(facts.mtimeMs / 1000), Math.floor(stats.mtimeMs / 1000), name);
    }
    const before = fs.statSync(odd).atimeMs;
    const opened = openToRead(fd, '\udcffA');
    assert.equal(fs.readFileSync(opened, 'utf8'), 'odd');
    assert.deepEqual(listXattrs(opened), []);
    assert.equal(fs.statSync(odd).atimeMs, before);
    closeDescriptor(opened);
    assert.throws(() => openToRead(fd, 'link'), { code: 'ELOOP' });
    assert.throws(() => statAt(fd, 'missing', facts), { code: 'ENOENT' });
    fs.closeSync(fd);
  });

  it('of folders may be told to lie apart, on any file system', () => {
    for (const place of [folder, folder, '/proc/self']) spreadSubfolders(place);
    assert.throws(() => spreadSubfolders(path.join(folder, 'missing')), { code: 'ENOENT' });
  });

  it('have device numbers that can be taken apart', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), (major, minor) => {
        assert.deepEqual(splitDevice(makeDevice(major, minor)), { major, minor });
      }),
    );
  });
});
