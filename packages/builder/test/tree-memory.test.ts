import assert from 'node:assert/strict';
import fc from 'fast-check';

import { NOTHING, TreeMemory, type TreeReads } from '../src/tree/tree-memory.js';

const FOLDERS = ['', 'a', 'b', 'a/c'];
const PATHS = FOLDERS.flatMap((folder) => ['x', 'y', 'c'].map((name) => (folder ? `${folder}/${name}` : name)));
const folder = fc.constantFrom(...FOLDERS);
const path = fc.constantFrom(...PATHS);
const step = fc.oneof(
  fc.record({ kind: fc.constant('row' as const), path, row: fc.integer({ min: NOTHING, max: 3 }) }),
  fc.record({ kind: fc.constant('names' as const), path: folder }),
  fc.record({ kind: fc.constant('probed' as const), path: folder }),
  fc.record({ kind: fc.constant('forget' as const), path: fc.oneof(path, folder) }),
  fc.record({ kind: fc.constant('reads' as const) }),
);

const sorted = ({ folders, paths }: TreeReads): string[][] => [[...folders].sort(), [...paths].sort()];

describe('what a tree has looked at', () => {
  it('what is told to watch after any changes is what would be told if all were looked through', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const memory = new TreeMemory();
        memory.reads();
        for (const one of steps) {
          if (one.kind === 'row') memory.setRow(one.path, one.row);
          else if (one.kind === 'names') memory.setNames(one.path, []);
          else if (one.kind === 'probed') memory.setProbed(one.path);
          else if (one.kind === 'reads') memory.reads();
          else memory.forget([one.path], (row) => row > 1, () => undefined); // prettier-ignore
        }
        const whole = new TreeMemory();
        for (const [at, row] of memory.rows) whole.setRow(at, row);
        for (const [at, names] of memory.lists) whole.setNames(at, names);
        for (const at of memory.probed) whole.setProbed(at);
        assert.deepEqual(sorted(memory.reads()), sorted(whole.reads()));
      }),
      { numRuns: 500 },
    );
  });
});
