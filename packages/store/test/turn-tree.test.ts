import assert from 'node:assert/strict';
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';

import { bytesOfText, textOfBytes, type Digest } from '@strake/core';
import { getXattr, setXattr } from '@strake/sys';
import fc from 'fast-check';

import { createSnapshotter, type LayerEntry, type Snapshotter } from '../src/index.js';
import { MOST_PATHS } from '../src/snapshot/tree-history.js';
import type { FileStore } from '../src/store.js';
import { changeSomething, linesOf } from './random-changes.js';
import { layer } from './random-layer.js';
import { file, folder, hardlink, link, whiteout, withFolder, withStore } from './support.js';

const KEPT = 150;

/** What makes it less work to change a tree than to unpack it. */
const kept = (): LayerEntry[] => [folder('keep'), ...Array.from({ length: KEPT }, (_, n) => file(`keep/${n}`, `${n}`))];

const copies = (store: FileStore): Snapshotter => createSnapshotter({ store, kind: 'copy', userNamespace: false });

/** The names of each file, in lines. */
function namesOfFiles(root: string): string[] {
  const names = new Map<number, string[]>();
  const visit = (folder: string): void => {
    for (const bytes of readdirSync(bytesOfText(`${root}${folder}`), { encoding: 'buffer' })) {
      const path = `${folder}/${textOfBytes(bytes)}`;
      const stats = lstatSync(bytesOfText(`${root}${path}`));
      if (stats.isDirectory()) visit(path);
      else names.set(stats.ino, [...(names.get(stats.ino) ?? []), `${path} ${Math.floor(stats.mtimeMs / 1000)}`]);
    }
  };
  visit('');
  return [...names.values()].map((group) => group.sort().join(' = ')).sort();
}

async function rootOf(snapshotter: Snapshotter, chain: readonly Digest[]): Promise<{ id: string; root: string }> {
  const { id, mount } = await snapshotter.prepare(chain);
  return { id, root: mount.kind === 'bind' ? mount.source : '' };
}

/** A step on a chain: the chain with its layer. */
async function step(
  snapshotter: Snapshotter,
  chain: readonly Digest[],
  change: (root: string) => void,
): Promise<Digest[]> {
  const { id, root } = await rootOf(snapshotter, chain);
  change(root);
  await snapshotter.freeze(id);
  const { diffId } = await snapshotter.commit(id);
  return [...chain, diffId];
}

describe('trees that steps have left', () => {
  it('are made those of other chains, as if these had been unpacked', async function () {
    this.timeout(240_000);
    const seed = fc.nat();
    const action = fc.record({
      from: fc.nat(),
      length: fc.nat(),
      layers: fc.array(layer, { maxLength: 2 }),
      changes: fc.array(seed, { maxLength: 12 }),
    });
    let prepared = 0;
    let trees = 0;
    await withStore((store) =>
      fc.assert(
        fc.asyncProperty(layer, fc.array(action, { minLength: 2, maxLength: 6 }), async (base, actions) => {
          const snapshotter = copies(store);
          const { diffId } = await store.layers.write([...kept(), ...base.filter(({ path }) => path !== 'keep')]);
          const chains = [[diffId]];
          const inodes = new Set<number>();
          for (const { from, length, layers, changes } of actions) {
            const other = chains[from % chains.length] ?? [];
            const chain = other.slice(0, 1 + (length % other.length));
            for (const entries of layers) chain.push((await store.layers.write(entries)).diffId);
            const { id, root } = await rootOf(snapshotter, chain);
            prepared++;
            inodes.add(lstatSync(`${root}/keep/1`).ino);
            const fresh = await snapshotter.mountReadOnly(chain);
            const unpacked = fresh.kind === 'bind' ? fresh.source : '';
            assert.deepEqual(linesOf(root).sort(), linesOf(unpacked).sort());
            assert.deepEqual(namesOfFiles(root), namesOfFiles(unpacked));
            for (const one of changes) {
              let state = one;
              changeSomething(root, (limit) => {
                state = (Math.imul(state, 1103515245) + 12345) >>> 0;
                return (state >>> 8) % limit;
              });
            }
            const wanted = linesOf(root).sort();
            await snapshotter.freeze(id);
            chain.push((await snapshotter.commit(id)).diffId);
            const after = await snapshotter.mountReadOnly(chain);
            assert.deepEqual(linesOf(after.kind === 'bind' ? after.source : '').sort(), wanted);
            chains.push(chain);
          }
          trees += inodes.size;
          await snapshotter.close?.();
        }),
        { numRuns: 20 },
      ),
    );
    // Else this has tested nothing.
    assert.ok(trees < prepared * 0.6, `${prepared} snapshots on ${trees} trees`);
  });

  it('lose what a step did that is in no layer: sockets, times and attributes of folders', () =>
    withStore(async (store) => {
      const snapshotter = copies(store);
      const base = [...kept(), folder('d', { mode: 0o750, mtime: 77 }), file('d/f', '1'), folder('e', { mtime: 78 })];
      const chain = [(await store.layers.write(base)).diffId];
      let inode = 0;
      const listening: { close(): void }[] = [];
      await step(snapshotter, chain, (root) => {
        inode = lstatSync(`${root}/keep/1`).ino;
        listening.push(createServer().listen(`${root}/e/socket`));
        setXattr(`${root}/d`, 'user.mark', Buffer.from('1'));
        chmodSync(`${root}/d`, 0o777);
        writeFileSync(`${root}/d/new`, '');
      });
      const { root } = await rootOf(snapshotter, chain);
      for (const one of listening) one.close();
      assert.equal(lstatSync(`${root}/keep/1`).ino, inode);
      assert.deepEqual(readdirSync(`${root}/d`), ['f']);
      assert.deepEqual(readdirSync(`${root}/e`), []);
      assert.equal(getXattr(`${root}/d`, 'user.mark'), undefined);
      const facts = ['d', 'e'].map((name) => lstatSync(`${root}/${name}`));
      assert.deepEqual(
        facts.map(({ mode, mtimeMs }) => [mode & 0o777, mtimeMs]),
        [
          [0o750, 77_000],
          [0o755, 78_000],
        ],
      );
    }));

  it('have what lay in a folder that was something else for a while', () =>
    withStore(async (store) => {
      const snapshotter = copies(store);
      const write = async (...entries: LayerEntry[]): Promise<Digest> => (await store.layers.write(entries)).diffId;
      const base = await write(...kept(), folder('c'), file('c/a', '1'));
      // By steps, there and back.
      const made = await step(snapshotter, [base], (root) => {
        rmSync(`${root}/c`, { recursive: true });
        writeFileSync(`${root}/c`, '');
      });
      await step(snapshotter, made, (root) => {
        rmSync(`${root}/c`);
        mkdirSync(`${root}/c`);
      });
      const first = await rootOf(snapshotter, [base]);
      assert.deepEqual(readdirSync(`${first.root}/c`), ['a']);
      await snapshotter.freeze(first.id);
      const again = [base, (await snapshotter.commit(first.id)).diffId];
      // By layers.
      const layers = [base, await write(file('c', '')), await write(file('c/b', ''))];
      const second = await rootOf(snapshotter, layers);
      assert.deepEqual(readdirSync(`${second.root}/c`), ['b']);
      await snapshotter.freeze(second.id);
      await snapshotter.commit(second.id);
      assert.deepEqual(readdirSync(`${(await rootOf(snapshotter, again)).root}/c`), ['a']);
    }));

  it('are looked at wherever they were made anew, so that the next layer is right', () =>
    withStore(async (store) => {
      const snapshotter = copies(store);
      const base = (await store.layers.write([...kept(), file('c/d/e/x', '1')])).diffId;
      const made = await step(snapshotter, [base], (root) => {
        rmSync(`${root}/c`, { recursive: true });
        writeFileSync(`${root}/c`, '');
      });
      await step(snapshotter, made, (root) => {
        rmSync(`${root}/c`);
        mkdirSync(`${root}/c/d/e`, { recursive: true });
        writeFileSync(`${root}/c/d/e/y`, '');
      });
      const chain = await step(snapshotter, [base], (root) => {
        assert.deepEqual(readdirSync(`${root}/c/d/e`), ['x']);
        writeFileSync(`${root}/new`, '');
      });
      const view = await store.layers.view(chain.slice(1));
      assert.deepEqual(
        [...view.walk('')].map(({ path }) => path),
        ['', 'new'],
      );
    }));

  it('never have anything done to them through a link', () =>
    withFolder((outside) =>
      withStore(async (store) => {
        const snapshotter = copies(store);
        writeFileSync(`${outside}/file`, 'mine');
        const chain = [(await store.layers.write([...kept(), link('d', outside)])).diffId];
        await step(snapshotter, chain, (root) => {
          rmSync(`${root}/d`);
          mkdirSync(`${root}/d`);
          writeFileSync(`${root}/d/file`, "the step's");
        });
        const { root } = await rootOf(snapshotter, chain);
        assert.ok(lstatSync(`${root}/d`).isSymbolicLink());
        assert.equal(readFileSync(`${outside}/file`, 'utf8'), 'mine');
      }),
    ));

  it('are told apart from those of the same layers in another order, and found by what they share', () =>
    withStore(async (store) => {
      const snapshotter = copies(store);
      const [base, one, two, gone] = await Promise.all(
        [kept(), [file('x', '1')], [hardlink('y', 'keep/1'), file('x', '2')], [whiteout('x'), whiteout('keep/3')]].map(
          async (entries) => (await store.layers.write(entries)).diffId,
        ),
      );
      const at = async (
        chain: (Digest | undefined)[],
      ): Promise<{ inode: number; x: string; names: number; kept: number }> => {
        let seen = { inode: 0, x: '', names: 0, kept: 0 };
        await step(snapshotter, chain as Digest[], (root) => {
          const { ino: inode, nlink: names } = lstatSync(`${root}/keep/1`);
          const { length } = readdirSync(`${root}/keep`);
          seen = {
            inode,
            x: readdirSync(root).includes('x') ? readFileSync(`${root}/x`, 'utf8') : '',
            names,
            kept: length,
          };
        });
        return seen;
      };
      const first = await at([base, one]);
      assert.deepEqual(first, { inode: first.inode, x: '1', names: 1, kept: KEPT });
      assert.deepEqual(await at([base, two, one]), { ...first, names: 2 });
      assert.deepEqual(await at([base, one, two]), { ...first, x: '2', names: 2 });
      assert.deepEqual(await at([base, two, gone]), { ...first, x: '', names: 2, kept: KEPT - 1 });
      assert.deepEqual(await at([base]), { ...first, x: '' });
    }));

  it('go with the layer whose they are, out of the way of those who could have made them another', () =>
    withStore(async (store) => {
      const snapshotter = copies(store);
      const base = (await store.layers.write(kept())).diffId;
      const [, first] = await step(snapshotter, [base], (root) => writeFileSync(`${root}/one`, ''));
      await step(snapshotter, [base, first as Digest], (root) => writeFileSync(`${root}/two`, ''));
      const lease = await store.lease([base]);
      const removing: string[] = [];
      await store.collect({
        selections: [],
        removeTree: async (path) => {
          removing.push(path);
          rmSync(`${path}/keep/1`);
          // What another build does at that time.
          const { root } = await rootOf(copies(store), [base]);
          assert.equal(readdirSync(`${root}/keep`).length, KEPT);
          await snapshotter.removeTree(path);
        },
      });
      assert.equal(removing.length, 1);
      await lease.release();
    }));

  it('stay where a layer is collected that they could be made to end with', () =>
    withStore(async (store) => {
      const snapshotter = copies(store);
      const base = (await store.layers.write(kept())).diffId;
      const chain = await step(snapshotter, [base], (root) => writeFileSync(`${root}/one`, ''));
      const last = await step(snapshotter, chain, (root) => writeFileSync(`${root}/two`, ''));
      const lease = await store.lease([base, last.at(-1) as Digest]);
      const nothing = (): Promise<void> => Promise.reject(new Error('there is no tree to be removed'));
      await store.collect({ selections: [], removeTree: nothing });
      assert.equal(await store.layers.info(chain[1] as Digest), undefined);
      assert.ok(await store.layers.info(base));
      const { root } = await rootOf(snapshotter, [base]);
      assert.deepEqual(readdirSync(root), ['keep']);
      await lease.release();
    }));

  it('are unpacked anew where more has happened to them than is noted', () =>
    withStore(async (store) => {
      const snapshotter = copies(store);
      const many = Array.from({ length: MOST_PATHS + 1 }, (_, n) => file(`many/${n}`, ''));
      const chain = [(await store.layers.write([...kept(), folder('many'), ...many])).diffId];
      let inode = 0;
      await step(snapshotter, chain, (root) => {
        inode = lstatSync(`${root}/keep/1`).ino;
        for (const { path } of many) chmodSync(`${root}/${path}`, 0o600);
      });
      const { root } = await rootOf(snapshotter, chain);
      assert.notEqual(lstatSync(`${root}/keep/1`).ino, inode);
      assert.equal(lstatSync(`${root}/many/1`).mode & 0o777, 0o644);
    })).timeout(60_000);
});
