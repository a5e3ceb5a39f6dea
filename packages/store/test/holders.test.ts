import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { judgeHolders, OwnHolder } from '../src/holders.js';
import { removeLeftovers } from '../src/leftovers.js';
import { storeLayout, type StoreLayout } from '../src/layout.js';

describe('leases of processes', () => {
  let layout: StoreLayout;
  const { writeFileSync } = fs;

  beforeEach(() => {
    layout = storeLayout(fs.mkdtempSync(path.join(tmpdir(), 'strake-holders-')));
    for (const folder of [layout.leases, layout.tmp]) fs.mkdirSync(folder);
  });
  afterEach(() => {
    fs.writeFileSync = writeFileSync;
    syncBuiltinESMExports();
    fs.rmSync(layout.root, { recursive: true });
  });

  it('are whole or not there: one that is killed in the middle of its first one holds nothing', () => {
    fs.writeFileSync = ((file: string, text: string) => {
      writeFileSync(file, text.slice(0, 5));
      throw new Error('killed');
    }) as typeof fs.writeFileSync;
    syncBuiltinESMExports();
    assert.throws(() => new OwnHolder(layout).hold(['something']), /killed/);
    const { alive, dead } = judgeHolders(layout);
    assert.deepEqual([...alive, ...dead], []);
  });

  it('stay where a collection was interrupted: its trash is for the next process, which finds it by them', async () => {
    const holder = new OwnHolder(layout);
    holder.hold(['something']);
    const trash = holder.temporaryPath('trash');
    fs.mkdirSync(path.join(trash, '0'), { recursive: true });
    const other = holder.temporaryPath('other');
    fs.writeFileSync(other, '');
    holder.close();
    assert.ok(fs.existsSync(trash));
    assert.ok(!fs.existsSync(other));
    const lease = path.join(layout.leases, holder.id);
    assert.ok(fs.existsSync(lease));
    // As it is once this process has ended.
    fs.writeFileSync(
      lease,
      JSON.stringify({ ...JSON.parse(fs.readFileSync(lease, 'utf8')), pid: 2 ** 22, start: '1' }),
    );
    await removeLeftovers(layout, 'another', { quick: true });
    assert.deepEqual([...fs.readdirSync(layout.tmp), ...fs.readdirSync(layout.leases)], []);
  });

  it('are written where somebody has taken the first one for a leftover', () => {
    const { renameSync } = fs;
    fs.renameSync = (from, to) => {
      fs.rmSync(from);
      renameSync(from, to);
    };
    syncBuiltinESMExports();
    try {
      const holder = new OwnHolder(layout);
      holder.hold(['something']);
      assert.deepEqual([...judgeHolders(layout).alive], [holder.id]);
      holder.close();
    } finally {
      fs.renameSync = renameSync;
    }
  });
});
