import assert from 'node:assert/strict';
import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { pack, type Header } from 'tar-stream';
import { gzipSync } from 'node:zlib';

import { unpackContext } from '../src/source/archive-folder.js';

const GIB = 2 ** 30;
const HOLE = 4096;

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

interface Sparse {
  readonly name?: string;
  readonly records: Readonly<Record<string, string>>;
  readonly content?: string;
  readonly type?: Header['type'];
}

/** A tar of a file `first` and of FILES with the GNU.sparse records given. */
async function tarOf(...files: readonly Sparse[]): Promise<Buffer> {
  const packed = pack();
  packed.entry({ name: 'first' }, 'first');
  for (const { name = 's', records, content = '', type = 'file' } of files) {
    const pax = Object.fromEntries(Object.entries(records).map(([key, value]) => [`GNU.sparse.${key}`, value]));
    packed.entry({ name, type, pax, size: content.length }, content);
  }
  packed.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of packed as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A file with a map in its records. */
const inHeader = (records: Sparse['records'], content = 'abc'): Sparse => ({
  records: { size: '10', numblocks: '1', map: '2,3', ...records },
  content,
});
/** A file with a map in front of its content. */
const inFront = (map: string, content = 'abc', records: Sparse['records'] = {}): Sparse => ({
  records: { major: '1', minor: '0', realsize: '10', ...records },
  content: map.padEnd(Math.ceil(map.length / 512) * 512, '\0') + content,
});

describe('sparse files in archives of contexts', () => {
  let root: string;
  const { signal } = new AbortController();
  beforeEach(() => (root = fs.mkdtempSync(join(os.tmpdir(), 'strake-sparse-'))));
  afterEach(() => fs.rmSync(root, { recursive: true }));

  const unpack = async (...files: readonly Sparse[]): Promise<void> => {
    await unpackContext(once(await tarOf(...files)), root, signal);
  };
  const read = (name: string): string => fs.readFileSync(join(root, name), 'latin1');

  it('have their pieces where the map says', async () => {
    const long = `60\n${Array.from({ length: 60 }, (_, i) => `${1000 + 2 * i}\n1\n`).join('')}`;
    await unpack(
      { ...inHeader({}), name: 'a' },
      { ...inHeader({ numblocks: '+2', map: '2,0,02,3', size: '5' }), name: 'b' },
      { ...inHeader({ major: '0', minor: '1', map: '', numblocks: '0' }, ''), name: 'c' },
      { ...inFront('1\n2\n3\nwhat follows is not read\n'), name: 'd' },
      { ...inFront(long, 'y'.repeat(60), { realsize: '1200' }), name: 'e' },
      { ...inFront('1\n2\n3\n', 'abc', { name: 'named', size: '6' }), name: 'f' },
    );
    assert.deepEqual(fs.readdirSync(root).sort(), ['a', 'b', 'c', 'd', 'e', 'first', 'named']);
    assert.deepEqual(['a', 'b', 'c', 'd', 'named'].map(read), [
      '\0\0abc\0\0\0\0\0',
      '\0\0abc',
      '\0'.repeat(10),
      '\0\0abc\0\0\0\0\0',
      '\0\0abc\0',
    ]);
    assert.equal(read('e'), '\0'.repeat(1000) + 'y\0'.repeat(60) + '\0'.repeat(80));
  });

  it('of a version that nobody knows, or without a map, are as they are stored', async () => {
    const versions: Sparse['records'][] = [{ major: '2', minor: '0' }, { major: '1' }, { minor: '0' }, { map: '' }];
    for (const records of versions) {
      await unpack(inHeader({ ...records, name: 'other' }));
      assert.deepEqual(fs.readdirSync(root).sort(), ['first', 's']);
      assert.equal(read('s'), 'abc');
    }
  });

  it('with maps that cannot be are refused (as Go refuses them)', async () => {
    const hostile: [RegExp, Sparse][] = [
      [/negative/, inHeader({ map: '-2,3' })],
      [/negative/, inHeader({ map: '2,-3' })],
      [/negative/, inHeader({ size: '-1' })],
      [/negative/, inFront('-1\n')],
      [/beyond the end/, inHeader({ size: '4' })],
      [/beyond the end/, inHeader({ numblocks: '2', map: '2,3,11,0' })],
      [/beyond the end/, inHeader({ size: '' })],
      [/overlap/, inHeader({ numblocks: '2', map: '2,3,4,2' }, 'abcde')],
      [/not in order/, inHeader({ numblocks: '2', map: '5,3,1,2' }, 'abcde')],
      [/does not fit/, inHeader({}, 'ab')],
      [/does not fit/, inHeader({}, 'abcd')],
      [/does not fit/, inFront('1\n2\n3\n', 'abcd')],
      [/as many pieces/, inHeader({ numblocks: '2' })],
      [/as many pieces/, inHeader({ numblocks: '-1' })],
      [/no proper number/, inHeader({ numblocks: '' })],
      [/no proper number/, inHeader({ numblocks: '99999999999999999999' })],
      [/no proper number/, inHeader({ size: '1x' })],
      [/no proper number/, inHeader({ map: '2,9223372036854775807' })],
      [/no proper number/, inFront(' 1\n2\n3\n')],
      [/no proper number/, inFront('9999999999999999\n')],
      [/too short/, inFront('2\n2\n3\n')],
      [/too short/, inFront('', '')],
      [/too short/, inFront('4000000000\n2\n3\n')],
      [/too long/, inFront('1', '0'.repeat(4096))],
      [/it is too long/, inFront(`400000\n${'0\n'.repeat(1 << 20)}`)],
      [/no file/, { records: { major: '0', minor: '0', numblocks: '0' }, type: 'directory' }],
    ];
    for (const [message, file] of hostile) {
      await assert.rejects(unpack(file), { code: 'CONTEXT_UNREADABLE', message }, JSON.stringify(file).slice(0, 200));
    }
  });

  it('of a terabyte fill no disk: 256 GiB of holes are the most', async () => {
    await unpack(inFront('1\n2\n3\n', 'abc', { realsize: String(200 * GIB) }));
    const { size, blocks } = fs.statSync(join(root, 's'));
    assert.equal(size, 200 * GIB);
    assert.ok(blocks * 512 < 1 << 20, `${blocks}`);
    const large = inFront('0\n', '', { realsize: String(129 * GIB) });
    await assert.rejects(unpack(large, large), { code: 'CONTEXT_UNREADABLE', message: /256 GiB/ });
    await assert.rejects(unpack(inHeader({ size: '1000000000000' })), { message: /256 GiB/ });
  });

  it('are taken in plain archives, but for such that begin with an extended header', async () => {
    const tar = await tarOf(inHeader({}));
    const late = tar.subarray(1024);
    await assert.rejects(unpackContext(once(late), root, signal), {
      code: 'CONTEXT_UNREADABLE',
      message: /holds the sparse file "s", and is not compressed/,
    });
    await unpackContext(once(gzipSync(late)), root, signal);
    assert.equal(read('s'), '\0\0abc\0\0\0\0\0');
  });

  for (const version of ['0.0', '0.1', '1.0']) {
    it(`come out as GNU tar packed them in version ${version}, whatever their holes`, async function () {
      const packed = join(root, 'packed');
      const out = join(root, 'out');
      const pieces = fc.array(fc.tuple(fc.nat(300), fc.uint8Array({ minLength: 1, maxLength: 9000 })), {
        maxLength: 8,
      });
      await fc.assert(
        fc.asyncProperty(pieces, fc.nat(2_000_000), async (written, more) => {
          for (const folder of [packed, out]) {
            fs.rmSync(folder, { recursive: true, force: true });
            fs.mkdirSync(folder);
          }
          const fd = fs.openSync(join(packed, 'file'), 'w');
          for (const [place, bytes] of written) fs.writeSync(fd, bytes, 0, bytes.length, place * HOLE);
          fs.ftruncateSync(fd, fs.fstatSync(fd).size + more);
          fs.closeSync(fd);
          const args = ['-C', packed, '--format=posix', `--sparse-version=${version}`, '-Scf', '-', 'file'];
          const tar = execFileSync('tar', args, { maxBuffer: 1 << 26 });
          await unpackContext(once(gzipSync(tar, { level: 1 })), out, signal);
          const [before, after] = [packed, out].map((folder) => fs.readFileSync(join(folder, 'file')));
          assert.ok(after && before?.equals(after));
        }),
        { numRuns: 40 },
      );
    }).timeout(60_000);
  }
});
