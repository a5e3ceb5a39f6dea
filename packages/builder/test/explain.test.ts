import assert from 'node:assert/strict';

import { digestOf } from '@strake/core';
import fc from 'fast-check';

import { explainStep } from '../src/explain/compare.js';
import { compareFiles } from '../src/explain/files.js';
import { diffInstructions, shownChanges } from '../src/explain/instruction-diff.js';
import { likeness, matchSteps } from '../src/explain/match.js';
import { maskSecrets, notedValue } from '../src/explain/secrets.js';
import type { SeenVariable, SelectedFact, StepNote, StepReason } from '../src/explain/types.js';

function step(name: string, more: Partial<StepNote> = {}): StepNote {
  const key = digestOf(`${name} ${JSON.stringify(more)}`);
  const text = name.replace(/^\[.*?\] /, '');
  const operation = { kind: text.split(' ')[0] };
  return {
    id: '1',
    name,
    stage: '',
    key,
    cached: false,
    duration: 1,
    reason: 'no-record',
    ...(text.startsWith('FROM') ? {} : { instruction: { text, variables: [] } }),
    operation,
    content: {},
    inputs: [],
    ...more,
  };
}

const file = (path: string, digest: string, mode = 0o644): SelectedFact => [path, 'file', mode, 0, 0, 1, '', digest];
const nothing = { pair: (): Promise<undefined> => Promise.resolve(undefined) };
const texts = (reasons: readonly StepReason[]): string[] => reasons.map(({ text }) => text);

describe('explanations', () => {
  it('name files and which of their facts changed', () => {
    const before = [file('a', 'x'), file('b', 'x'), file('c', 'x'), file('d', 'x')];
    assert.deepEqual(compareFiles(before, before), []);
    const changed = compareFiles(before, [file('a', 'y'), file('b', 'x', 0o755), file('c', 'x'), file('e', 'x')]);
    assert.deepEqual(texts(changed), ['a changed (content)', 'b changed (mode 644 → 755)', 'e is new', 'd is gone']);
    assert.deepEqual(changed[1], {
      kind: 'file',
      path: 'b',
      change: 'changed',
      facts: [{ fact: 'mode', before: '644', after: '755' }],
      text: 'b changed (mode 644 → 755)',
    });
    const many = compareFiles(
      [],
      Array.from({ length: 30 }, (_, i) => file(`f${i}`, 'x')),
    );
    assert.equal(many.at(-1)?.text, 'and 10 more');
  });

  it('compare a step with the one that stood in its place', () => {
    const [a, b] = [step('[2/3] RUN a'), step('[3/3] RUN b')];
    const [added, a2, b2] = [step('[2/4] RUN new'), step('[3/4] RUN a'), step('[4/4] RUN b')];
    const matched = matchSteps([a, b], [added, a2, b2]);
    assert.equal(matched.get(a2), a);
    assert.equal(matched.get(b2), b);
    assert.equal(matched.get(added), undefined);
    const renamed = step('[one 2/3] RUN a', { stage: 'one' });
    assert.equal(matchSteps([a], [renamed]).get(renamed), a);
    assert.equal(likeness([a, b], [added, a2]), 1);
  });

  it('tell variables of ARG and of ENV, with both values, of secrets neither', async () => {
    const variables = (...values: [string, string, 'ARG' | 'ENV'][]): Partial<StepNote> => ({
      instruction: {
        text: 'RUN x',
        variables: values.map(([name, value, from]): SeenVariable => [name, notedValue(name, value), from]),
      },
    });
    const before = step('RUN x', variables(['A', '1', 'ARG'], ['GONE', 'g', 'ENV'], ['DB_PASSWORD', 'old', 'ARG']));
    const after = step('RUN x', variables(['A', '2', 'ARG'], ['NEW', 'n', 'ENV'], ['DB_PASSWORD', 'new', 'ARG']));
    const reasons = await explainStep(before, after, nothing, true);
    assert.deepEqual(texts(reasons), [
      'ARG A: "1" → "2"',
      'ENV GONE="g" is gone',
      'ARG DB_PASSWORD: (hidden) → (hidden)',
      'ENV NEW="n" is new',
    ]);
    const [, , secret] = reasons;
    assert.ok(secret?.kind === 'variable' && secret.hidden && secret.before === undefined);
    assert.doesNotMatch(JSON.stringify([before, after, reasons]), /"(?:old|new)"/);
  });

  it('mask the values of secrets wherever a note has them', () => {
    const note = { name: 'COPY s3cr3t/x /', args: ['curl', 'API_TOKEN=abc PATH=/bin'] };
    assert.deepEqual(maskSecrets(note, ['s3cr3t', 'x']), {
      name: 'COPY (hidden)/x /',
      args: ['curl', 'API_TOKEN=(hidden) PATH=/bin'],
    });
  });

  it('show what of an instruction changed, in each place', async () => {
    const diff = (a: string, b: string): string => shownChanges(diffInstructions(a, b));
    assert.equal(diff('RUN make a && make b', 'RUN make a && make c'), '-b +c');
    assert.equal(diff('RUN --network=none a b', 'RUN a b --fast'), '---network=none … +--fast');
    assert.equal(diff('RUN a  b', 'RUN a b'), '');
    const changed = await explainStep(step('[2/2] RUN one'), step('[2/2] RUN two'), nothing, true);
    assert.deepEqual(changed, [
      { kind: 'instruction', changes: [{ before: 'one', after: 'two' }], text: 'the instruction changed: -one +two' },
    ]);
  });

  it('the words of a diff put together are both texts', () => {
    const words = fc.array(fc.constantFrom('a', 'b', 'c', 'dd'), { maxLength: 12 }).map((some) => some.join(' '));
    fc.assert(
      fc.property(words, words, (a, b) => {
        const changes = diffInstructions(a, b);
        assert.equal(changes.length === 0, a === b);
        const [gone, come] = [changes.map(({ before }) => before), changes.map(({ after }) => after)];
        const count = (text: string): number => text.split(' ').filter((word) => word !== '').length;
        const sum = (some: readonly string[]): number => some.reduce((total, text) => total + count(text), 0);
        // What both have in common is as long in either.
        assert.equal(count(a) - sum(gone), count(b) - sum(come));
      }),
    );
  });

  it('name settings once, and only where the instruction does not say so', async () => {
    const run = (text: string, operation: Record<string, unknown>): StepNote =>
      step(text, { operation: { kind: 'run', args: [text], ...operation } });
    const user = await explainStep(run('RUN x', { user: '' }), run('RUN x', { user: 'app' }), nothing, true);
    assert.deepEqual(texts(user), ['USER: none → app']);
    const both = await explainStep(
      run('RUN x', { network: 'default', cwd: '/' }),
      run('RUN --network=none x', { network: 'none', cwd: '/app' }),
      nothing,
      true,
    );
    assert.deepEqual(texts(both), ['the instruction changed: +--network=none', 'WORKDIR: / → /app']);
    const script = await explainStep(
      step('RUN <<EOF', { operation: { kind: 'run', args: ['sh', '-c', 'a\nb\n'] } }),
      step('RUN <<EOF', { operation: { kind: 'run', args: ['sh', '-c', 'a\nc\n'] } }),
      nothing,
      true,
    );
    assert.deepEqual(texts(script), ['the command changed: -b +c']);
  });

  it('tell of new steps, --no-cache, collected records, new base images', async () => {
    const one = step('RUN x');
    const only = async (...args: Parameters<typeof explainStep>): Promise<string> =>
      (await explainStep(...args)).map(({ kind }) => kind).join();
    assert.equal(await only(undefined, one, nothing, true), 'new-step');
    assert.equal(await only(undefined, one, nothing, false), 'first-build');
    assert.equal(await only(one, { ...one, reason: 'renewed' }, nothing, true), 'no-cache');
    assert.equal(await only(one, one, nothing, true), 'record-collected');
    assert.equal(await only(one, { ...one, reason: 'result-gone' }, nothing, true), 'layers-removed');
    assert.equal(await only(one, { ...one, cached: true }, nothing, true), '');
    const base = (name: string, diffId: string): StepNote =>
      step(`[1/2] FROM ${name}`, { operation: { kind: 'layers', diffIds: [digestOf(diffId)] } });
    assert.match(texts(await explainStep(base('x', '1'), base('x', '2'), nothing, true)).join(), /changed: sha256:/);
    const digest = (text: string): string => `x:1@${digestOf(text)}`;
    const named = await explainStep(base(digest('1'), '1'), base(digest('2'), '2'), nothing, true);
    assert.deepEqual(named[0]?.kind === 'base' && [named[0].before, named[0].after], [digest('1'), digest('2')]);
  });
});
