import { canonicalJson, type Digest } from '@strake/core';

import { compareFiles } from './files.js';
import { diffInstructions, shownChanges } from './instruction-diff.js';
import { displayedText, instructionText } from './match.js';
import { isHidden, shownValue } from './secrets.js';
import type { SelectionNotes } from './selection-notes.js';
import type { PlainReason, SeenVariable, StepNote, StepReason } from './types.js';

/** Parts of an operation that follow from what the instruction says: told only where that did not change. */
const FROM_INSTRUCTION = ['args', 'destination', 'chown', 'chmod', 'link', 'mounts', 'network', 'security', 'path'];

function compareVariables(before: readonly SeenVariable[], after: readonly SeenVariable[]): StepReason[] {
  const old = new Map(before.map((one) => [one[0], one]));
  const now = new Map(after.map((one) => [one[0], one]));
  const found: StepReason[] = [];
  for (const name of new Set([...old.keys(), ...now.keys()])) {
    const [, a] = old.get(name) ?? [];
    const [, b, variable] = now.get(name) ?? [name, undefined, old.get(name)?.[2] ?? 'ENV'];
    if (a === b) continue;
    const hidden = isHidden(a ?? b ?? '') || isHidden(b ?? '');
    const shown =
      a === undefined
        ? `=${shownValue(b ?? '')} is new`
        : b === undefined
          ? `=${shownValue(a)} is gone`
          : `: ${shownValue(a)} → ${shownValue(b)}`;
    const values = hidden ? {} : { before: a, after: b };
    found.push({ kind: 'variable', variable, name, ...values, hidden, text: `${variable} ${name}${shown}` });
  }
  return found;
}

function shownSetting(value: unknown): string {
  if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) return 'none';
  const text = typeof value === 'string' ? value : canonicalJson(value);
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}

function compareBase(before: StepNote, after: StepNote): StepReason {
  const top = ({ operation: { diffIds } }: StepNote): string => {
    const last: unknown = Array.isArray(diffIds) ? diffIds.at(-1) : undefined;
    return typeof last === 'string' ? last : 'empty';
  };
  const named = (step: StepNote): string | undefined => /\S+@sha256:[0-9a-f]{64}/.exec(step.name)?.[0];
  const [a, b] = [named(before) ?? top(before), named(after) ?? top(after)];
  const short = (text: string): string => text.replace(/(sha256:[0-9a-f]{12})[0-9a-f]+/, '$1');
  return { kind: 'base', before: a, after: b, text: `the base image changed: ${short(a)} → ${short(b)}` };
}

function compareOperation(before: StepNote, after: StepNote): StepReason[] {
  const [old, now] = [before.operation, after.operation];
  const found: StepReason[] = [];
  const written = diffInstructions(instructionText(before), instructionText(after));
  const changed = old['diffIds'] === undefined && written.length > 0;
  if (changed) {
    found.push({ kind: 'instruction', changes: written, text: `the instruction changed: ${shownChanges(written)}` });
  }
  found.push(...compareVariables(before.instruction?.variables ?? [], after.instruction?.variables ?? []));
  const explained = found.length > 0;
  for (const name of new Set([...Object.keys(old), ...Object.keys(now)])) {
    const [a, b] = [old[name], now[name]];
    if (canonicalJson(a ?? null) === canonicalJson(b ?? null)) continue;
    if (name === 'diffIds') found.push(compareBase(before, after));
    else if (name === 'args' && !explained) found.push(compareCommands(a, b));
    else if (!explained || !FROM_INSTRUCTION.includes(name)) {
      const [from, to] = [shownSetting(a), shownSetting(b)];
      const text = `${SETTINGS[name] ?? name}: ${from} → ${to}`;
      found.push({ kind: 'setting', name, before: from, after: to, text });
    }
  }
  if (found.length > 0 || displayedText(before.name) === displayedText(after.name)) return found;
  const shown = diffInstructions(displayedText(before.name), displayedText(after.name));
  return [{ kind: 'instruction', changes: shown, text: `the instruction changed: ${shownChanges(shown)}` }];
}

/** Names of settings for people. */
const SETTINGS: Readonly<Record<string, string>> = {
  cwd: 'WORKDIR',
  user: 'USER',
  epoch: 'SOURCE_DATE_EPOCH',
  hosts: '--add-host',
  ulimits: '--ulimit',
  shmSize: '--shm-size',
  hostname: 'the host name',
  version: 'the way in which Strake runs it',
};

/** Of a heredoc the text, and a command behind another SHELL. */
function compareCommands(before: unknown, after: unknown): StepReason {
  const text = (args: unknown): string => (Array.isArray(args) ? args.map(String).join(' ') : '');
  const changes = diffInstructions(text(before), text(after));
  return { kind: 'instruction', changes, text: `the command changed: ${shownChanges(changes)}` };
}

async function compareContent(
  what: string,
  before: Digest | undefined,
  after: Digest | undefined,
  files: Pick<SelectionNotes, 'pair'>,
): Promise<StepReason[]> {
  if (before === after) return [];
  const pair = before && after && (await files.pair(before, after));
  const changes = pair ? compareFiles(...pair) : [];
  return changes.length > 0 ? changes : [{ kind: 'content', text: `${what} changed` }];
}

const reason = (kind: PlainReason, text: string): StepReason[] => [{ kind, text }];

/** Why AFTER had to run. BEFORE: the same step of the build before; undefined where there was none. */
export async function explainStep(
  before: StepNote | undefined,
  after: StepNote,
  files: Pick<SelectionNotes, 'pair'>,
  known: boolean,
): Promise<StepReason[]> {
  if (after.cached) return [];
  if (after.reason === 'renewed') return reason('no-cache', '--no-cache');
  if (!before) {
    if (after.reason === 'not-cacheable') return [];
    return known
      ? reason('new-step', 'the step is new')
      : reason('first-build', 'no earlier build of this context and Dockerfile is known');
  }
  if (before.key === after.key) {
    if (after.reason === 'not-cacheable') return [];
    return after.reason === 'result-gone'
      ? reason('layers-removed', 'its layers were removed')
      : reason('record-collected', 'its record was collected (strake prune)');
  }
  const found = compareOperation(before, after);
  for (const name of new Set([...Object.keys(before.content), ...Object.keys(after.content)])) {
    found.push(...(await compareContent('what it reads', before.content[name], after.content[name], files)));
  }
  const parents: StepReason[] = [];
  for (const [i, input] of after.inputs.entries()) {
    const old = before.inputs[i];
    if (old?.digest === input.digest) continue;
    if (input.part) {
      found.push(...(await compareContent(`what it takes from ${input.name}`, old?.digest, input.digest, files)));
    } else {
      const text = `built on a step that changed: ${input.name}`;
      parents.push({ kind: 'parent', step: input.name, text });
    }
  }
  // What the step itself can do nothing for comes last.
  found.push(...parents);
  return found.length > 0 ? found : reason('unknown', 'its key changed');
}
