import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';

import { EntryList, selectionDigest } from '../src/copy/selection.js';
import { selectSource } from '../src/copy/select.js';
import { ignoreRules } from '../src/source/ignore-rules.js';
import { FileTable } from '../src/tree/file-table.js';
import { LocalTree } from '../src/tree/local-tree.js';
import type { FolderLook } from '../src/tree/recall.js';

/** So many that it pays to recall them. */
const FOLDERS = 34;
const PER_FOLDER = 32;

/** lstat(2) by names in a buffer. */
class PlainLook implements FolderLook {
  facts = new fs.Stats();
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  look(names: Buffer, at: number): boolean {
    const name = names.toString('latin1', at, names.indexOf(0, at));
    const stat = fs.lstatSync(join(this.#root, name), { throwIfNoEntry: false });
    if (stat) this.facts = stat;
    return stat !== undefined;
  }

  close(): void {
    // Nothing is open.
  }
}

describe('a selection of an earlier build', () => {
  let scratch = '';
  let root = '';
  let saved: Buffer | undefined;

  before(() => {
    scratch = fs.realpathSync(fs.mkdtempSync(join(os.tmpdir(), 'strake-recall-')));
    root = join(scratch, 'context');
    for (let d = 0; d < FOLDERS; d++) {
      fs.mkdirSync(join(root, `d${d}/inner`), { recursive: true });
      for (let f = 0; f < PER_FOLDER; f++) fs.writeFileSync(join(root, `d${d}/f${f}`), `${d} ${f}`);
    }
    fs.symlinkSync('f0', join(root, 'd0/link'));
    fs.linkSync(join(root, 'd0/f1'), join(root, 'd1/twin'));
  });

  beforeEach(() => {
    saved = undefined;
    settle();
  });

  after(() => fs.rmSync(scratch, { recursive: true }));

  /** Lets the clock that stamps files tick. */
  function settle(): void {
    const probe = join(scratch, 'probe');
    const stamp = (): number => {
      fs.writeFileSync(probe, 'x');
      return fs.statSync(probe).ctimeMs;
    };
    const before = stamp();
    while (stamp() === before);
  }

  /** A build's view of the context. REMEMBERED: with what earlier ones noted. */
  async function select(
    { remembered, ignore = '', exclude = [] }: { remembered: boolean; ignore?: string; exclude?: readonly string[] },
    pattern = '.',
  ): Promise<{ recalled: 'whole' | 'partly' | 'no'; digest: string; paths: string[] }> {
    // As if long after all that was written.
    const table = new FileTable(remembered ? saved : undefined, Date.now() + 60_000);
    const seen = { listed: false };
    const tree = new LocalTree({
      root,
      table,
      ignore: ignoreRules(ignore, 'ignore file'),
      rules: ignore,
      keep: (kept) => Promise.resolve(void (saved = Buffer.concat([...kept.chunks()]))),
      openLook: (folder) => new PlainLook(folder),
      xattrs: () => undefined,
    });
    const children = tree.children.bind(tree);
    tree.children = (path) => {
      seen.listed = true;
      return children(path);
    };
    const sources = selectSource(tree, pattern, { exclude, parents: false, unpack: false, where: 'the context' });
    const below = sources[0]?.below;
    if (below instanceof EntryList) below.complete();
    const whole = below && 'digest' in below && below.digest !== undefined;
    const recalled = seen.listed ? 'no' : whole ? 'whole' : 'partly';
    const digest = await selectionDigest(sources);
    if (remembered) await tree.save();
    const facts = ({ path, type, mode, link, inode, mtime }: (typeof all)[number]): string =>
      `${path} ${type} ${mode} ${link ?? ''} ${inode ?? ''} ${mtime}`;
    const all = sources.flatMap((source) => Array.from(source.below, ({ entry }) => entry));
    return { recalled, digest, paths: all.map(facts) };
  }

  const edits: Record<string, [expected: 'whole' | 'partly' | 'no', edit: () => void]> = {
    nothing: ['whole', () => undefined],
    'a file written to': ['partly', () => fs.writeFileSync(join(root, 'd3/f3'), 'other')],
    'a file written to with the time it had': [
      'partly',
      () => {
        const { atime, mtime } = fs.statSync(join(root, 'd3/f3'));
        fs.writeFileSync(join(root, 'd3/f3'), '9 9');
        fs.utimesSync(join(root, 'd3/f3'), atime, mtime);
      },
    ],
    'a mode': ['partly', () => fs.chmodSync(join(root, 'd3/f3'), 0o755)],
    'a further name of a file': ['no', () => fs.linkSync(join(root, 'd3/f3'), join(root, 'd4/f3b'))],
    'a file replaced by rename': [
      'no',
      () => {
        fs.writeFileSync(join(scratch, 'new'), 'new');
        fs.renameSync(join(scratch, 'new'), join(root, 'd3/f3'));
      },
    ],
    'a new file deep down': ['no', () => fs.writeFileSync(join(root, 'd7/inner/new'), '')],
    'a file gone': ['no', () => fs.unlinkSync(join(root, 'd7/f7'))],
    'a link that leads elsewhere': [
      'no',
      () => {
        fs.unlinkSync(join(root, 'd0/link'));
        fs.symlinkSync('f9', join(root, 'd0/link'));
      },
    ],
    'a folder that is a link now': [
      'no',
      () => {
        fs.renameSync(join(root, 'd9'), join(scratch, 'd9'));
        fs.symlinkSync(join(scratch, 'd9'), join(root, 'd9'));
      },
    ],
    'the mode of the folder itself': ['no', () => fs.chmodSync(root, 0o700)],
  };
  for (const [name, [expected, edit]] of Object.entries(edits)) {
    it(`is what a walk finds: ${name}`, async () => {
      await select({ remembered: true });
      settle();
      edit();
      settle();
      const walked = await select({ remembered: false });
      for (const turn of [expected, 'whole']) {
        const { recalled, ...found } = await select({ remembered: true });
        assert.equal(recalled, turn);
        assert.deepEqual({ recalled: 'no', ...found }, walked);
      }
    });
  }

  it('is written once, where nothing changes: also one that is walked each time', async () => {
    for (const pattern of ['.', 'd2']) {
      const { digest } = await select({ remembered: true }, pattern);
      const written = saved;
      assert.equal((await select({ remembered: true }, pattern)).digest, digest);
      assert.equal(saved, written, pattern);
    }
  });

  it('counts for the same rules and exclusions only', async () => {
    const ways = [{}, { ignore: 'd5' }, { exclude: ['d6'] }, { ignore: 'd5', exclude: ['**/f1'] }];
    for (const way of ways) {
      assert.equal((await select({ remembered: true, ...way })).recalled, 'no');
    }
    for (const way of ways) {
      const { digest } = await select({ remembered: false, ...way });
      const again = await select({ remembered: true, ...way });
      assert.deepEqual([again.recalled, again.digest], ['whole', digest]);
    }
  });

  it('is not recalled where an exception may show what lies in a hidden folder', async () => {
    const ways = [{ ignore: 'd5\n!d5/inner/x' }, { exclude: ['d5', '!d5/inner/x'] }];
    for (const way of ways) await select({ remembered: true, ...way });
    fs.writeFileSync(join(root, 'd5/inner/x'), '');
    for (const way of ways) {
      const { paths } = await select({ remembered: true, ...way });
      assert.ok(paths.some((path) => path.startsWith('d5/inner/x ')));
    }
  });

  it('is forgotten with a damaged file', async () => {
    await select({ remembered: true });
    const { digest } = await select({ remembered: false });
    const whole = saved as Buffer;
    for (const length of [whole.length - 1, whole.length - 4000, 100]) {
      saved = whole.subarray(0, length);
      const again = await select({ remembered: true });
      assert.deepEqual([again.recalled, again.digest], ['no', digest]);
    }
  });
});
