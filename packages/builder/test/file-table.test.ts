import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

import { FileTable } from '../src/tree/file-table.js';
import type { FileStamp } from '../src/tree/stat.js';

const stamp = (more: Partial<FileStamp> = {}): FileStamp => ({
  size: 5,
  mtime: 1_000_000_000_000.25,
  ctime: 1_000_000_000_000.5,
  inode: 3,
  mode: 0o100644,
  ...more,
});
const bytes = createHash('sha256').update('a').digest();
const a = `sha256:${bytes.toString('hex')}`;

const set = (table: FileTable, path: string, facts: FileStamp): void =>
  table.setDigest(table.row(path, facts).row, bytes);
const get = (table: FileTable, path: string, facts: FileStamp = stamp()): string | undefined =>
  table.digest(table.row(path, facts).row);
const saved = (table: FileTable): Buffer => Buffer.concat([...table.chunks()]);
const again = (table: FileTable): FileTable => new FileTable(saved(table));

describe("the table of a context's files", () => {
  it('knows a file by all its facts', () => {
    const table = new FileTable();
    const names = ['', 'x', '\udcff/odd', 'größer/ß'];
    for (const name of names) set(table, name, stamp());
    const file = saved(table);
    for (const name of [...names].reverse()) assert.equal(get(new FileTable(file), name), a, name);
    const whole = new FileTable(file);
    for (const name of names) {
      const { row, fresh } = whole.row(name, stamp());
      assert.deepEqual([whole.path(row), fresh, whole.size(row), whole.mode(row)], [name, false, 5, 0o100644]);
    }
    assert.equal(whole.changed, false);
    const changes: Partial<FileStamp>[] = [{ size: 6 }, { mtime: 1 }, { ctime: 1 }, { inode: 4 }, { mode: 0o100755 }];
    for (const change of changes) assert.equal(get(new FileTable(file), 'x', stamp(change)), undefined);
    assert.equal(get(new FileTable(file), 'y'), undefined);
  });

  it('is worn when hours of changes have left more states than files, and as new once it was saved', () => {
    const table = new FileTable();
    for (let n = 0; n < 100; n++) set(table, `f${n}`, stamp());
    for (let change = 0; change < 80; change++) {
      assert.equal(table.isWorn, false);
      for (let n = 0; n < 100; n++) set(table, `f${n}`, stamp({ size: change }));
    }
    for (let n = 0; n < 100; n++) set(table, `f${n}`, stamp({ size: 81 }));
    for (let n = 0; n < 100; n++) set(table, `f${n}`, stamp({ size: 82 }));
    assert.equal(table.isWorn, true);
    assert.equal(again(table).isWorn, false);
    assert.equal(get(again(table), 'f7', stamp({ size: 82 })), a);
  });

  it('has a row for each state of a file', () => {
    const table = new FileTable();
    const before = table.row('x', stamp()).row;
    table.setDigest(before, bytes);
    const after = table.row('x', stamp({ size: 6 })).row;
    assert.notEqual(after, before);
    assert.equal(table.row('x', stamp({ size: 6 })).row, after);
    assert.deepEqual([table.size(before), table.size(after), table.digest(before)], [5, 6, a]);
    const next = again(table);
    assert.equal(next.row('x', stamp({ size: 6 })).fresh, false);
    next.row('x', stamp({ size: 7 }));
    assert.equal(again(next).row('x', stamp({ size: 7 })).fresh, false);
  });

  it('knows what has no extended attributes, with its digest or without', () => {
    const table = new FileTable();
    for (const path of ['both', 'folder']) table.setPlain(table.row(path, stamp()).row);
    for (const path of ['both', 'file']) set(table, path, stamp());
    const next = again(table);
    const known = (one: FileTable, path: string): unknown[] => {
      const { row } = one.row(path, stamp());
      return [one.isPlain(row), one.digest(row)];
    };
    assert.deepEqual(known(next, 'both'), [true, a]);
    assert.deepEqual(known(next, 'folder'), [true, undefined]);
    assert.deepEqual(known(next, 'file'), [false, a]);
    assert.deepEqual(known(next, 'other'), [false, undefined]);
    // What is learned later is added to what was known.
    next.setPlain(next.row('file', stamp()).row);
    set(next, 'folder', stamp());
    const third = again(next);
    for (const path of ['both', 'folder', 'file']) assert.deepEqual(known(third, path), [true, a], path);
  });

  it('has whole seconds, also where a number of milliseconds is rounded up to one', () => {
    const table = new FileTable();
    const { row } = table.row('x', stamp({ mtime: 1_700_000_000_000 }));
    assert.equal(table.seconds(row), 1_700_000_000);
    table.setEarlier(row);
    const next = again(table);
    assert.equal(next.seconds(next.row('x', stamp({ mtime: 1_700_000_000_000 })).row), 1_699_999_999);
    assert.equal(next.seconds(next.row('y', stamp({ mtime: -0.5 })).row), -1);
  });

  it('does not trust files that changed within a tick of the scan', () => {
    const table = new FileTable();
    const now = Date.now();
    const young = stamp({ mtime: now + 1, ctime: now + 1 });
    const old = stamp({ mtime: now - 1000.5, ctime: now - 1000.5 });
    // A file system with whole seconds.
    const second = (Math.floor(now / 1000) - 1) * 1000;
    const coarse = stamp({ mtime: second, ctime: second });
    set(table, 'young', young);
    set(table, 'old', old);
    set(table, 'coarse', coarse);
    const next = again(table);
    assert.equal(get(next, 'young', young), undefined);
    assert.equal(get(next, 'old', old), a);
    assert.equal(get(next, 'coarse', coarse), undefined);
  });

  it('forgets in time what nobody asks for, and starts anew where its file is damaged', () => {
    let table = new FileTable();
    set(table, 'gone', stamp());
    let file = saved(table);
    for (let i = 0; i < 18; i++) {
      if (i < 10) assert.ok(file.includes('gone'));
      table = new FileTable(file);
      set(table, 'x', stamp({ size: i }));
      file = saved(table);
    }
    assert.equal(get(new FileTable(file), 'gone'), undefined);
    assert.equal(get(new FileTable(file), 'x', stamp({ size: 17 })), a);
    assert.equal(get(new FileTable(Buffer.from('strkdig3 nonsense')), 'x', stamp({ size: 17 })), undefined);
    assert.equal(get(new FileTable(file.subarray(0, -1)), 'x', stamp({ size: 17 })), undefined);
  });

  it('finds 50,000 files quickly, in whatever order', () => {
    const table = new FileTable();
    const paths = Array.from({ length: 50_000 }, (_, i) => `folder${i % 500}/some/file${i}.txt`);
    for (const path of paths) set(table, path, stamp());
    const file = saved(table);
    const start = process.cpuUsage();
    for (const order of [paths, [...paths].reverse()]) {
      const next = new FileTable(file);
      for (const path of order) assert.equal(get(next, path), a);
    }
    // Of the processor: others may have it meanwhile.
    const { user, system } = process.cpuUsage(start);
    assert.ok(user + system < 3_000_000, `${user + system} µs`);
  });
});
