import fs from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Pack } from 'tar-stream';

import { openPipe } from '@strake/core';

import { builderError } from '../errors.js';
import { outputFailure } from './output-failure.js';
import type { OutputContext } from './output.js';

/**
 * Writes a tar to a file (whole or not at all) or to stdout.
 * @throws StrakeError `OUTPUT_INVALID` where the file cannot be written, `DISK_FULL`
 */
export async function writeTo(
  dest: string,
  { stdout, signal }: OutputContext,
  fill: (pack: Pack) => Promise<void>,
): Promise<void> {
  const { pack: createPack } = await import('tar-stream');
  const pack = createPack();
  const toFile = dest !== '-';
  const temporary = join(dirname(dest), `.strake-${process.pid}-${Math.random().toString(36).slice(2)}`);
  const info = toFile ? await stat(dest).catch(() => undefined) : undefined;
  if (info?.isDirectory()) {
    throw builderError('OUTPUT_INVALID', `destination "${dest}" is a folder`, { hint: 'Name a file: dest=image.tar.' });
  }
  // A pipe or device is written to as it is.
  const direct = info !== undefined && !info.isFile();
  try {
    const sink = toFile ? await fileSink(direct ? dest : temporary, info?.isFIFO() === true, signal) : stdout;
    const piped = pipeline(pack as AsyncIterable<Uint8Array>, sink, { signal, end: toFile });
    piped.catch(() => undefined);
    const filled = fill(pack).then(
      () => {
        pack.finalize();
      },
      (error: unknown) => {
        pack.destroy(error instanceof Error ? error : new Error(String(error)));
        throw error;
      },
    );
    await Promise.all([filled, piped]);
    if (toFile && !direct) await rename(temporary, dest);
  } catch (error) {
    if (toFile && !direct) await rm(temporary, { force: true });
    throw outputFailure(toFile ? dest : 'standard output', error);
  }
}

async function fileSink(path: string, isPipe: boolean, signal: AbortSignal): Promise<Writable> {
  return isPipe ? openPipe(path, 'write', { signal }) : fs.createWriteStream(path);
}
