import { fileState, storeRoot } from '@strake/core';
import type { BuildEvidence } from '@strake/engine';
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Io } from '../io.js';
import { seconds } from '../print/seconds.js';
import { bootId, describeCall, fileNameOf } from './call.js';
import { FORMAT, keptFolder, type KeptCall } from './kept-call.js';

/** So many calls are kept, the last ones. */
const MOST = 128;
/** Bytes. */
const LARGEST = 2 << 20;

/** Keeps an answered call in the store that it used. What cannot be written is not kept. */
export function keepCall(
  evidence: BuildEvidence,
  said: { readonly stdout: string; readonly stderr: string; readonly took: number },
  env: readonly (readonly [name: string, value: string | undefined])[],
  io: Io,
): void {
  // Another version may build something else. What is not bundled has no program that would answer.
  const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'strake.cjs');
  const root = storeRoot(undefined, io.env);
  const call = describeCall({ ...io, argv: process.argv.slice(2) });
  const folder = keptFolder(root);
  const temporary = `${root}/tmp/repeat.${process.pid}.${process.hrtime.bigint()}`;
  try {
    const kept: KeptCall = {
      ...evidence,
      format: FORMAT,
      call,
      env: env.map(([name, value]) => [name, value ?? null]),
      boot: bootId(),
      seen: [...evidence.seen, [program, fileState(lstatSync(program))]],
      note: { files: evidence.note.files, content: { ...evidence.note.content } },
      stdout: said.stdout,
      stderr: aroundTime(said.stderr, said.took),
    };
    const text = JSON.stringify(kept);
    if (text.length > LARGEST) return;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, `${folder}/${fileNameOf(call)}`);
    forgetOld(folder);
  } catch {
    rmSync(temporary, { force: true });
  }
}

/** TEXT without the time that the build took, in its last line. */
function aroundTime(text: string, took: number): KeptCall['stderr'] {
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
