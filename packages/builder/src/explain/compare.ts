import { canonicalJson, type Digest } from '@strake/core';

import { compareFiles } from './files.js';
import { shownValue } from './secrets.js';
import type { SelectedFact, StepNote } from './types.js';

/** Where the files of a selection are looked up; undefined where they were not kept. */
export type FilesOf = (digest: Digest) => Promise<readonly SelectedFact[] | undefined>;

/** A step's instruction, without its number among the steps. */
function instruction({ name }: StepNote): string {
  return name.replace(/^\[(?:[^\]]* )?\s*\d+\/\d+\] /, '');
}

/** For each step of AFTER the step of BEFORE that stood in its place: the same instruction, else the next of its kind. */
export function matchSteps(before: readonly StepNote[], after: readonly StepNote[]): Map<StepNote, StepNote> {
  const matched = new Map<StepNote, StepNote>();
  const free = new Set(before);
  const match = (same: (a: StepNote, b: StepNote) => boolean): void => {
    for (const step of after) {
      if (matched.has(step)) continue;
      for (const old of free) {
        if (!same(old, step)) continue;
        matched.set(step, old);
        free.delete(old);
        break;
      }
    }
  };
  const kind = (step: StepNote): unknown => step.operation['kind'];
  match((a, b) => a.stage === b.stage && instruction(a) === instruction(b));
  match((a, b) => a.stage === b.stage && kind(a) === kind(b));
  return matched;
}

function environment(value: unknown): Map<string, string> {
  const entries = Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
  return new Map(entries.map((entry) => [entry.split('=', 1)[0] ?? '', entry.slice(entry.indexOf('=') + 1)]));
}

function compareEnvironment(before: unknown, after: unknown): string[] {
  const [old, now] = [environment(before), environment(after)];
  const found: string[] = [];
  for (const name of new Set([...old.keys(), ...now.keys()])) {
    const [a, b] = [old.get(name), now.get(name)];
    if (a === b) continue;
    if (a === undefined) found.push(`ARG or ENV ${name}=${shownValue(b ?? '')} is new`);
    else if (b === undefined) found.push(`ARG or ENV ${name}=${shownValue(a)} is gone`);
    else found.push(`ARG or ENV ${name}: ${shownValue(a)} → ${shownValue(b)}`);
  }
  return found;
}

/** Two texts without what they have in common at both ends, cut at blanks. */
function difference(before: string, after: string): string {
  const [a, b] = [before.split(' '), after.split(' ')];
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const part = (words: string[]): string => words.slice(start, words.length - end).join(' ') || '(nothing)';
  return `-${part(a)} +${part(b)}`;
}

function compareOperation(before: StepNote, after: StepNote): string[] {
  const [old, now] = [before.operation, after.operation];
  const found: string[] = [];
  if (instruction(before) !== instruction(after)) {
    found.push(`the instruction changed: ${difference(instruction(before), instruction(after))}`);
  }
  for (const name of new Set([...Object.keys(old), ...Object.keys(now)])) {
    const [a, b] = [canonicalJson(old[name] ?? null), canonicalJson(now[name] ?? null)];
    if (a === b) continue;
    if (name === 'env') found.push(...compareEnvironment(old[name], now[name]));
    else if (name === 'diffIds') found.push(...compareBase(old[name], now[name]));
    // What the command says stands in the instruction.
    else if (name !== 'args' || found.length === 0) found.push(`${name} changed: ${a} → ${b}`);
  }
  return found;
}

function compareBase(before: unknown, after: unknown): string[] {
  const top = (chain: unknown): string => {
    const last: unknown = Array.isArray(chain) ? chain.at(-1) : undefined;
    return typeof last === 'string' ? last.slice(0, 19) : 'empty';
  };
  return [`the base image changed: ${top(before)} → ${top(after)}`];
}

async function compareContent(
  what: string,
  before: Digest | undefined,
  after: Digest | undefined,
  filesOf: FilesOf,
): Promise<string[]> {
  if (before === after) return [];
  const [old, now] = [before && (await filesOf(before)), after && (await filesOf(after))];
  const changes = old && now ? compareFiles(old, now) : [];
  return changes.length > 0 ? changes : [`${what} changed`];
}

/** Why AFTER had to run, a line a reason. BEFORE: the same step of the build before; undefined where there was none. */
export async function explainStep(
  before: StepNote | undefined,
  after: StepNote,
  filesOf: FilesOf,
  known: boolean,
): Promise<string[]> {
  if (after.cached) return [];
  if (after.reason === 'renewed') return ['--no-cache'];
  if (!before) {
    if (after.reason === 'not-cacheable') return [];
    return [known ? 'the step is new' : 'no earlier build of this context and Dockerfile is known'];
  }
  if (before.key === after.key) {
    if (after.reason === 'not-cacheable') return [];
    return [after.reason === 'result-gone' ? 'its layers were removed' : 'its record was collected (strake prune)'];
  }
  const found = compareOperation(before, after);
  for (const name of new Set([...Object.keys(before.content), ...Object.keys(after.content)])) {
    found.push(...(await compareContent('what it reads', before.content[name], after.content[name], filesOf)));
  }
  for (const [i, input] of after.inputs.entries()) {
    const old = before.inputs[i];
    if (old?.digest === input.digest) continue;
    if (input.part)
      found.push(...(await compareContent(`what it takes from ${input.name}`, old?.digest, input.digest, filesOf)));
    else if (found.length === 0 || old?.name === input.name) found.push(`built on a step that changed: ${input.name}`);
  }
  return found.length > 0 ? found : ['its key changed'];
}
