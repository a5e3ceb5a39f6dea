import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { collect, digestOf } from '@strake/core';

import { GrowingFile } from '../src/growing-file.js';
import { withFolder } from './support.js';

const PIECE = 1 << 20;

describe('A file that is read while it is written', () => {
  it('gives those who keep up what was written, and others what lies in the file', () =>
    withFolder(async (folder) => {
      const growing = new GrowingFile();
      const file = path.join(folder, 'f');
      fs.writeFileSync(file, '');
      growing.movedTo(file);
      const early = growing.read();
      const seen: Uint8Array[] = [];
      for (let i = 0; i < 20; i++) {
        // What is in memory is told from what is in the file.
        fs.appendFileSync(file, Buffer.alloc(PIECE, 'd'));
        growing.grewBy(Buffer.alloc(PIECE, 'm'));
        const { value, done } = await early.next();
        assert.ok(!done);
        seen.push(value);
      }
      const late = growing.read();
      growing.end({ digest: digestOf('any'), size: 20 * PIECE });
      assert.equal((await early.next()).done, true);
      assert.ok(Buffer.concat(seen).equals(Buffer.alloc(20 * PIECE, 'm')));
      const text = (await collect(late, 1e8)).toString('latin1');
      assert.match(text, /^d+m+$/);
      assert.deepEqual([text.length, text.indexOf('m')], [20 * PIECE, 12 * PIECE]);
    }));
});
