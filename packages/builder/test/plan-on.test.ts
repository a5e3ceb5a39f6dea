import assert from 'node:assert/strict';
import fs from 'node:fs';

import type { Digest } from '@strake/core';
import { createSnapshotter, type LayerEntry, type Snapshotter } from '@strake/store';

import { selectSource } from '../src/copy/select.js';
import { pendingLayer, storedLayer, usableChain, type ChainResult, type LayerRef } from '../src/result.js';
import type { Sandbox } from '../src/services.js';
import { copyVertex } from '../src/steps/copy.js';
import { workdirVertex } from '../src/steps/workdir.js';
import { openTree } from '../src/source/context.js';
import { createFixture, type Fixture } from './support/source-fixture.js';

const folder = (path: string): LayerEntry => ({
  ...{ path, type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 1 },
});
const text = (path: string, value: string): LayerEntry => {
  const bytes = Buffer.from(value);
  const facts = { mode: 0o644, uid: 0, gid: 0, size: bytes.length, mtime: 1 };
  return { path, type: 'file', ...facts, content: { kind: 'bytes', bytes } };
};

interface Case {
  readonly what: string;
  /** What the RUN below does, in the upper folder of its overlay. */
  readonly run: (upper: string) => void;
  readonly source?: string;
  readonly destination?: string;
  readonly chown?: string;
  /** A WORKDIR in place of a COPY. */
  readonly workdir?: { readonly path: string; readonly user: string };
  /** Whether the RUN's layer must be waited for. */
  readonly waits?: boolean;
  /** The message of the error that it ends with. */
  readonly fails?: RegExp;
}

const CASES: readonly Case[] = [
  { what: 'a new folder', run: (upper) => fs.mkdirSync(`${upper}/app/modules`, { recursive: true }) },
  {
    what: 'a folder that the RUN has made, with files of its own',
    run: (upper) => {
      fs.mkdirSync(`${upper}/app/src/sub`, { recursive: true });
      fs.chmodSync(`${upper}/app/src`, 0o700);
      fs.writeFileSync(`${upper}/app/src/a`, 'old');
      fs.writeFileSync(`${upper}/app/src/other`, 'other');
    },
  },
  {
    what: 'a folder of the base with another mode',
    run: (upper) => fs.mkdirSync(`${upper}/there`, { mode: 0o711 }),
    destination: '/there',
  },
  { what: 'a file in a folder', run: () => undefined, source: 'src/a', destination: '/there/' },
  {
    what: 'a file in the place of a folder',
    run: (upper) => fs.mkdirSync(`${upper}/app/src/a`, { recursive: true }),
    fails: /cannot replace to directory \/app\/src\/a with file/,
  },
  {
    what: 'a link that the RUN has made',
    run: (upper) => fs.symlinkSync('there', `${upper}/app`),
    waits: true,
  },
  { what: 'the name of a user of the base', run: () => undefined, chown: 'old' },
  {
    what: 'the name of a user that the RUN has made',
    run: (upper) => {
      fs.mkdirSync(`${upper}/etc`);
      fs.writeFileSync(`${upper}/etc/passwd`, 'new:x:7:8::/:/bin/sh\n');
    },
    chown: 'new',
    waits: true,
  },
  {
    what: 'a WORKDIR in a folder with the set-group-ID bit',
    run: (upper) => {
      fs.mkdirSync(`${upper}/shared`);
      fs.chmodSync(`${upper}/shared`, 0o2775);
    },
    workdir: { path: '/shared/deep/er', user: 'old' },
  },
];

describe('a layer planned on one that is still being written', () => {
  let fixture: Fixture;
  let snapshotter: Snapshotter;
  let root = '';
  let base: Digest;
  /** Whether the layer below was waited for before that on top of it was written, or refused. */
  let waited: boolean | undefined;

  before(async () => {
    fixture = await createFixture({ now: () => 1_700_000_000_000 });
    const { store } = fixture;
    snapshotter = createSnapshotter({ store, kind: 'overlay', userNamespace: process.geteuid?.() !== 0 });
    root = fixture.write({ 'src/a': 'a', 'src/sub/b': 'b', 'src/sub/deep/c': 'c' });
    const passwd = text('etc/passwd', 'old:x:5:6::/:/bin/sh\n');
    base = (await store.layers.write([folder('etc'), passwd, folder('there'), text('there/x', 'x')])).diffId;
  });
  after(async () => {
    await snapshotter.close?.();
    await fixture.remove();
  });

  const step = { id: 'step', name: 'STEP', caching: 'renew' } as const;
  const parent = { id: 'parent', name: 'RUN', inputs: [], caching: 'none', key: () => ({ operation: {} }) } as const;

  async function topLayer(one: Case, below: ChainResult): Promise<Digest> {
    const { services, signal } = fixture;
    const on = { ...parent, run: () => Promise.resolve(below) };
    const make = async (): Promise<ChainResult> => {
      if (one.workdir)
        return workdirVertex({ ...step, parent: on, ...one.workdir }, services).run([below], { signal, key: base });
      const tree = await openTree(root, services, signal);
      const select = { exclude: [], parents: false, unpack: false, where: 'the context' };
      const find = (): Promise<ReturnType<typeof selectSource>> =>
        Promise.resolve(selectSource(tree, one.source ?? 'src', select));
      const { destination = '/app/src', chown } = one;
      const source = { kind: 'outside', find, online: false } as const;
      const facts = { destination, chown, mode: undefined, chmod: undefined };
      const vertex = copyVertex({ ...step, parent: on, stage: undefined, source, ...facts }, services);
      await vertex.key(signal);
      return vertex.run([below], { signal, key: base });
    };
    const { layers } = await make();
    return (layers.at(-1) as LayerRef).diffId();
  }

  it('is there also where the one below cannot be written in the end', async () => {
    const { signal, cleanUp } = fixture;
    const snapshot = await snapshotter.prepare([base]);
    await snapshotter.freeze(snapshot.id);
    let fail: (error: Error) => void = () => undefined;
    const sandbox: Sandbox = {
      run: () => Promise.reject(new Error('not for this test')),
      commit: () => new Promise((_, reject) => (fail = reject)),
      outline: (id, paths) => snapshotter.outline(id, paths),
    };
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.prependListener('unhandledRejection', note);
    try {
      const pending = pendingLayer(snapshot.id, sandbox, signal);
      await topLayer(CASES[0] as Case, { layers: [storedLayer(base), pending] });
      fail(new Error('no space left'));
      await assert.rejects(pending.diffId(), /no space left/);
      // By the next turn Node has told of what nobody handles.
      await new Promise((resolve) => setImmediate(resolve));
      await cleanUp();
      assert.deepEqual(unhandled, []);
    } finally {
      process.off('unhandledRejection', note);
      await snapshotter.discard(snapshot.id);
    }
  });

  for (const one of CASES) {
    it(`${one.what}${one.waits ? ': waits for it' : ''}`, async () => {
      const { store, signal, cleanUp } = fixture;
      const snapshot = await snapshotter.prepare([base]);
      one.run(snapshot.mount.kind === 'overlay' ? (snapshot.mount.upper ?? '') : '');
      await snapshotter.freeze(snapshot.id);
      let open: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => (open = resolve));
      const sandbox: Sandbox = {
        run: () => Promise.reject(new Error('not for this test')),
        commit: (id) => gate.then(() => snapshotter.commit(id)),
        outline: (id, paths) => snapshotter.outline(id, paths),
      };
      const pending = pendingLayer(snapshot.id, sandbox, signal);
      const below: ChainResult = { layers: [storedLayer(base), pending] };
      let asked = false;
      const { usable } = pending;
      pending.usable = (own) => {
        asked = true;
        open();
        return usable(own);
      };
      waited = undefined;
      const { write } = store.layers;
      store.layers.write = async (...given) => {
        const info = await write.apply(store.layers, given);
        waited ??= asked;
        return info;
      };
      try {
        if (one.fails) {
          await assert.rejects(topLayer(one, below), one.fails);
          assert.equal(asked, false);
          return;
        }
        const early = await topLayer(one, below);
        assert.equal(waited, one.waits ?? false);
        open();
        const written = { layers: (await usableChain(below, signal)).map(storedLayer) };
        await cleanUp();
        assert.equal(early, await topLayer(one, written));
      } finally {
        open();
        store.layers.write = write;
      }
    });
  }
});
