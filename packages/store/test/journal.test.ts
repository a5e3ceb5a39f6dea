import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { digestOf } from '@strake/core';

import { collectJournal, measureJournal } from '../src/gc/journal.js';
import { FACTS } from '../src/journal.js';
import { fileNameOf, journalFolder } from '../src/layout.js';
import { openStore, type FileStore } from '../src/store.js';

const DAY = 86_400_000;
const LIMITS = { age: 60 * DAY, notes: 10, bytes: 10_000 };

describe('notes of builds', () => {
  let root: string;
  let store: FileStore;
  beforeEach(async () => {
    root = mkdtempSync(path.join(tmpdir(), 'strake-notes-'));
    store = await openStore({ root });
  });
  afterEach(async () => {
    await store.close();
    rmSync(root, { recursive: true, force: true });
  });

  const now = Date.now();
  const age = (file: string, days: number): void => {
    const time = (now - days * DAY) / 1000;
    utimesSync(path.join(journalFolder(store.layout), file), time, time);
  };
  const note = async (name: string, days: number, ...facts: string[]): Promise<void> => {
    for (const one of facts) await store.journal.writeFacts(digestOf(one), one);
    await store.journal.write(name, { steps: [{ content: { source: facts.map((one) => digestOf(one)) } }] });
    age(fileNameOf(name), days);
    for (const one of facts) age(`${FACTS}${digestOf(one).slice(7)}`, days);
  };
  const left = (): string[] => readdirSync(journalFolder(store.layout)).sort();
  const names = (...texts: string[]): string[] =>
    texts
      .map((text) => (text.startsWith('=') ? `${FACTS}${digestOf(text.slice(1)).slice(7)}` : fileNameOf(text)))
      .sort();

  it('go when they are old, and facts with the last note that speaks of them', async () => {
    await note('old', 70, 'of the old', 'of both');
    await note('new', 1, 'of both');
    await store.journal.writeFacts(digestOf('running'), 'of a build that has not ended');
    await collectJournal(store.layout, now, LIMITS);
    assert.deepEqual(left(), names('new', '=of both', '=running'));
    assert.equal(await store.journal.facts(digestOf('of both')), 'of both');
    assert.equal(await store.journal.read('old'), undefined);
    await collectJournal(store.layout, now + 2 * DAY, LIMITS);
    assert.deepEqual(left(), names('new', '=of both'));
  });

  it('keep the facts that others are a change of', async () => {
    for (const [like, of] of [
      ['spoken of', 'base'],
      ['forgotten', 'other base'],
    ] as const) {
      await store.journal.writeFacts(digestOf(of), of);
      await store.journal.writeFacts(digestOf(like), { like: digestOf(of), changed: [] });
    }
    await store.journal.write('note', { steps: [{ content: { source: digestOf('spoken of') } }] });
    await collectJournal(store.layout, now + 2 * DAY, LIMITS);
    assert.deepEqual(left(), names('note', '=spoken of', '=base'));
  });

  it('stay within their limits, the newest last', async () => {
    for (let i = 0; i < 14; i++) await note(`note ${i}`, i);
    await collectJournal(store.layout, now, LIMITS);
    assert.deepEqual(left(), names(...Array.from({ length: 10 }, (_, i) => `note ${i}`)));
    for (let i = 0; i < 4; i++) await note(`big ${i}`, i, `${i}`.repeat(4000));
    await collectJournal(store.layout, now, LIMITS);
    const { size } = await measureJournal(store.layout);
    assert.ok(size <= LIMITS.bytes, String(size));
    const facts = left().filter((name) => name.startsWith(FACTS));
    assert.deepEqual(facts, names(...[0, 1].map((i) => `=${`${i}`.repeat(4000)}`)));
  });

  it('of a store without any are no matter', async () => {
    await collectJournal(store.layout, now);
    assert.deepEqual(await measureJournal(store.layout), { count: 0, size: 0 });
  });
});
