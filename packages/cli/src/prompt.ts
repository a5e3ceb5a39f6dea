import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { Io } from './io.js';

/** Asks on the terminal and returns the line typed. What is typed for a `secret` is not shown. */
export async function ask(question: string, io: Io, options: { readonly secret?: boolean } = {}): Promise<string> {
  // readline echoes by writing to its output; for a secret nothing gets through.
  const output = new Writable({
    write(chunk: Uint8Array, _encoding, done) {
      if (!options.secret) io.stderr.write(chunk);
      done();
    },
  });
  const lines = createInterface({ input: io.stdin(), output, terminal: true });
  try {
    if (options.secret) io.stderr.write(question);
    return await lines.question(options.secret ? '' : question, { signal: io.signal });
  } finally {
    lines.close();
    if (options.secret) io.stderr.write('\n');
  }
}
