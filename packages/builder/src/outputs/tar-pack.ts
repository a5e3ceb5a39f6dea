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
    const feed = async (): Promise<void> => {
      for await (const chunk of content instanceof Uint8Array ? [content] : content) {
        signal.throwIfAborted();
        if (!sink.write(chunk)) {
          await new Promise<void>((drained) => {
            sink.once('drain', drained);
            sink.once('close', drained);
          });
        }
      }
      sink.end(undefined);
    };
    feed().catch((error: unknown) => {
      sink.destroy(error instanceof Error ? error : new Error(String(error)));
      reject(error instanceof Error ? error : new Error(String(error)));
    });
  });
}
