import { fileState, storeRoot } from '@strake/core';
import type { BuildEvidence } from '@strake/engine';
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Io } from '../io.js';
import { seconds } from '../print/seconds.js';
import { bootId, describeCall, fileNameOf } from './call.js';
import { FORMAT, keptFolder, type KeptAnswer, type KeptCall } from './kept-call.js';

/** So many calls are kept, the last ones. */
const MOST = 128;
/** Bytes. */
const LARGEST = 2 << 20;

/** What a call was answered with: the text, and milliseconds. */
export interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  readonly took: number;
  readonly evidence: BuildEvidence;
  readonly env: readonly (readonly [name: string, value: string | undefined])[];
}

/**
 * Keeps this process's call, which ran nothing, in the store that it used: with ANSWER, or that it is to be made again. What cannot be
 * written is not kept.
 */
export function keepCall(answer: Answer | undefined, io: Io): void {
  const root = storeRoot(undefined, io.env);
  const folder = keptFolder(root);
  const temporary = `${root}/tmp/repeat.${process.pid}.${process.hrtime.bigint()}`;
  const call = describeCall({ ...io, argv: process.argv.slice(2) });
  try {
    const text = JSON.stringify(
      (answer ? { format: FORMAT, call, ...answerOf(answer) } : { format: FORMAT }) satisfies KeptCall,
    );
    if (text.length > LARGEST) return;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, `${folder}/${fileNameOf(call)}`);
    forgetOld(folder);
  } catch {
    rmSync(temporary, { force: true });
  }
}

/** Forgets this process's call, which ran something. */
export function forgetCall(io: Io): void {
  const name = fileNameOf(describeCall({ ...io, argv: process.argv.slice(2) }));
  rmSync(`${keptFolder(storeRoot(undefined, io.env))}/${name}`, { force: true });
}

function answerOf({ evidence, env, stdout, stderr, took }: Answer): Omit<KeptAnswer, 'format' | 'call'> {
  // Another version may build something else. What is not bundled has no program that would answer.
  const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'strake.cjs');
  return {
    ...evidence,
    env: env.map(([name, value]) => [name, value ?? null]),
    boot: bootId(),
    seen: [...evidence.seen, [program, fileState(lstatSync(program))]],
    note: { files: evidence.note.files, content: { ...evidence.note.content } },
    stdout,
    stderr: aroundTime(stderr, took),
  };
}

/** TEXT without the time that the build took, in its last line. */
function aroundTime(text: string, took: number): KeptAnswer['stderr'] {
  const time = ` in ${seconds(took)}`;
  const at = text.lastIndexOf(time);
  return at < 0 ? [text] : [text.slice(0, at + ' in '.length), text.slice(at + time.length)];
}

function forgetOld(folder: string): void {
  const names = readdirSync(folder);
  if (names.length <= MOST) return;
  const aged = names
    .map((name) => ({ name, made: statSync(`${folder}/${name}`).mtimeMs }))
    .sort((a, b) => a.made - b.made);
  for (const { name } of aged.slice(0, names.length - MOST / 2)) rmSync(`${folder}/${name}`, { force: true });
}
