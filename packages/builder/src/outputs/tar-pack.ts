import type { ByteStream } from '@strake/core';
import type { Header, Pack } from 'tar-stream';

type TarHeader = Partial<Header> & Pick<Header, 'name'>;

/** Adds an entry without content. */
export function packHeader(pack: Pack, header: TarHeader): Promise<void> {
  return new Promise((resolve, reject) => {
    pack.entry(header, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

/** Resolves when SINK takes more, or will never do so again. */
function drained(sink: ReturnType<Pack['entry']>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      sink.removeListener('drain', done);
      sink.removeListener('close', done);
      resolve();
    };
    sink.once('drain', done);
    sink.once('close', done);
  });
}

/** Adds a file, no faster than the tar is read. */
export async function packFile(
  pack: Pack,
  header: TarHeader & { readonly size: number },
  content: ByteStream | Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const sink = pack.entry(header, (error) => {
      if (error) reject(error);
      else resolve();
    });
    // It ends with the tar, where that cannot be written any further.
    sink.once('error', reject);
    const feed = async (): Promise<void> => {
      for await (const chunk of content instanceof Uint8Array ? [content] : content) {
        signal.throwIfAborted();
        if (sink.destroyed) return;
        if (!sink.write(chunk)) await drained(sink);
      }
      sink.end(undefined);
    };
    feed().catch((error: unknown) => {
      sink.destroy(error instanceof Error ? error : new Error(String(error)));
      reject(error instanceof Error ? error : new Error(String(error)));
    });
  });
}
