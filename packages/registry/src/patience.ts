/** Bytes: a server that sends less in the time `slow` keeps a build for nothing. */
const LEAST = 1024;
/** Answers that announce another one (RFC 9110, 15.2). */
const MOST_INTERIM = 100;

/** A server that goes on sending and gets nowhere. */
export class Dawdling extends Error {
  override readonly name = 'Dawdling';
  readonly code = 'DAWDLING';
}

/**
 * The chunks of BODY, as long as 1 KiB of them comes in SLOW milliseconds. Only the time that is spent on waiting for it counts.
 * @throws Dawdling
 */
export async function* steady(body: AsyncIterable<Buffer>, slow: number): AsyncGenerator<Buffer, void, undefined> {
  let waited = 0;
  let had = 0;
  let since = performance.now();
  for await (const chunk of body) {
    waited += performance.now() - since;
    had += chunk.length;
    if (waited >= slow) {
      if (had < LEAST) throw new Dawdling(`it sends less than ${LEAST} bytes in ${slow / 1000} s`);
      waited = had = 0;
    }
    yield chunk;
    since = performance.now();
  }
}

/** Is told of each interim answer to one request. SLOW: milliseconds that all of them may take; undefined: while it uploads. @throws Dawdling */
export function interimLimit(slow: number | undefined): () => void {
  const began = performance.now();
  let count = 0;
  return () => {
    if (++count > MOST_INTERIM || (slow !== undefined && performance.now() - began > slow)) {
      throw new Dawdling('it sends interim answers without end');
    }
  };
}
