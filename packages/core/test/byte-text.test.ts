import assert from 'node:assert/strict';

import fc from 'fast-check';

import { bytesOfText, hasEscapedBytes, textOfBytes } from '../src/index.js';

describe('byte text', () => {
  it('gives any bytes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        assert.deepEqual([...bytesOfText(textOfBytes(bytes))], [...bytes]);
      }),
    );
  });

  it('leaves UTF-8 as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.equal(textOfBytes(Buffer.from(text, 'utf8')), text);
      }),
    );
    assert.equal(hasEscapedBytes('aé😀'), false);
    assert.equal(hasEscapedBytes(textOfBytes(Buffer.of(0x61, 0xff))), true);
  });
});
