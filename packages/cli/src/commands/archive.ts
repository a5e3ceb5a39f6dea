import fs from 'node:fs';
import path from 'node:path';
import { isStrakeError, openPipe } from '@strake/core';
import { ENGINE_FLAGS } from '../args/engine-flags.js';
import { positionals } from '../args/positionals.js';
import { choice } from '../args/values.js';
import type { Command } from '../command.js';
import { fileUnreadable, outputToTerminal, usage } from '../errors.js';
import { writeLine, type Io } from '../io.js';
import { familiar } from '../print/names.js';
import { withEngine } from '../with-engine.js';

export const save: Command = {
  usage: 'save [OPTIONS] NAME',
  about:
    'Writes an image of the store to an archive, which strake load, docker load, skopeo and others read. Without -o it goes to\n' +
    'standard output.',
  flags: [
    { name: 'output', short: 'o', kind: 'string', value: 'FILE', help: 'Write to this file' },
    { name: 'format', kind: 'string', value: 'KIND', help: 'docker (default), or oci for a plain OCI image layout' },
    ...ENGINE_FLAGS,
  ],
  async run(args, io) {
    const [name] = positionals(args, 'name');
    const format = choice(args.string('format') ?? 'docker', ['docker', 'oci'] as const, '--format');
    const file = args.string('output') ?? '-';
    if (file === '') throw usage('--output: the value is empty');
    if (file === '-' && io.stdout.isTerminal) throw outputToTerminal(format);
    const dest = file === '-' ? file : path.resolve(io.cwd, file);
    await withEngine(args, io, (engine) => engine.save(name, { dest, format, signal: io.signal }));
    return 0;
  },
};

/** The archive to be loaded. @throws StrakeError `FILE_UNREADABLE`, `USAGE` */
async function input(file: string | undefined, io: Io): Promise<AsyncIterable<Uint8Array>> {
  if (file !== undefined && file !== '-') {
    const absolute = path.resolve(io.cwd, file);
    try {
      if (fs.statSync(absolute).isFIFO()) return await openPipe(absolute, 'read', { signal: io.signal });
      return (await fs.promises.open(absolute)).createReadStream({ highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>;
    } catch (error) {
      if (isStrakeError(error)) throw error;
      throw fileUnreadable(file, error);
    }
  }
  const stdin = io.stdin();
  if (stdin.isTTY) throw usage('the archive is missing', 'Name it with -i FILE, or redirect standard input from it.');
  return stdin as unknown as AsyncIterable<Uint8Array>;
}

export const load: Command = {
  usage: 'load [OPTIONS]',
  about:
    'Brings the images of an archive into the store: what strake save, docker save, skopeo, or a build with an output of type oci\n' +
    'or docker have written, compressed or not.',
  flags: [
    { name: 'input', short: 'i', kind: 'string', value: 'FILE', help: 'The archive (default: standard input)' },
    { name: 'tag', short: 't', kind: 'string', value: 'NAME', help: 'Name the image so, whatever the archive says' },
    { name: 'quiet', short: 'q', kind: 'boolean', help: 'Print nothing but digests' },
    ...ENGINE_FLAGS,
  ],
  async run(args, io) {
    positionals(args);
    const archive = await input(args.string('input'), io);
    const images = await withEngine(args, io, (engine) =>
      engine.load(archive, { name: args.string('tag') || undefined, signal: io.signal }),
    );
    for (const { name, target } of images) {
      writeLine(io.stdout, args.boolean('quiet') ? target.digest : `loaded ${familiar(name)} ${target.digest}`);
    }
    return 0;
  },
};
