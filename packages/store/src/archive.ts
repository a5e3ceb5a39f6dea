import type { ByteStream } from '@strake/core';

import type { FileBlobs } from './blobs.js';
import { layerInvalid } from './errors.js';
import { TarParser } from './tar/parser.js';
import type { Archive, ArchiveEntry } from './types.js';

/** How many entries of an archive are kept, and how many characters of names and attributes. */
export interface ArchiveLimits {
  readonly entries: number;
  readonly text: number;
}

/** A bomb of headers takes some 500 bytes an entry. */
const LIMITS: ArchiveLimits = { entries: 500_000, text: 128 << 20 };

/** Stores the bytes of a tar, and reads its entries as they pass. See `Store.archive`. */
export async function readArchive(
  blobs: FileBlobs,
  tar: ByteStream,
  signal?: AbortSignal,
  limits: ArchiveLimits = LIMITS,
): Promise<Archive> {
  const entries: ArchiveEntry[] = [];
  let text = 0;
  const parser = new TarParser((entry) => {
    const { digest, xattrs, ...facts } = entry;
    const attributes = xattrs && Object.entries(xattrs);
    text += facts.name.length + (facts.link?.length ?? 0);
    for (const [name, value] of attributes ?? []) text += name.length + value.length;
    if (entries.length >= limits.entries) throw layerInvalid(`it has too many entries, more than ${limits.entries}`);
    if (text > limits.text) throw layerInvalid('the names and attributes in it are too large');
    const hex = digest?.toString('hex');
    entries.push({
      ...facts,
      ...(xattrs && { xattrs }),
      ...(hex !== undefined && { digest: `sha256:${hex}` as const }),
    });
  });
  const parsed = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of tar) {
      parser.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      yield chunk;
      // As with BuildKit what follows the end is not looked at, damaged or not.
      if (parser.atEnd) return;
    }
    parser.end();
  };
  const { digest } = await blobs.put(parsed(), undefined, signal);
  return { blob: digest, entries };
}
