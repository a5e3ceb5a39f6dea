import type { Digest } from '@strake/core';
import type { RecordStore } from '@strake/store';
import type { Stats } from 'node:fs';

/**
 * Told what a build looks at, each time before it is read: where all of that is as it was, the same build would come to the same
 * result. Content of the store that goes by its digest is not told.
 */
export interface Witness {
  /** A path of this machine, absolute, and what lstat(2) said of it; undefined: nothing can be seen there. */
  looked(path: string, stats: Stats | undefined): void;
  /** A path of this machine led, over all its links, to another. */
  led(path: string, real: string): void;
  record(key: Digest): void;
  /** A name, canonical, of the store's images. */
  name(name: string): void;
  /** Something that cannot be looked at again without doing it again: a stream, a server, a program. */
  elsewhere(): void;
}

/** RECORDS that tell WITNESS what is read of them. */
export function witnessedRecords(
  records: RecordStore,
  witness: Witness | undefined,
): Pick<RecordStore, 'get' | 'put' | 'touch'> {
  if (!witness) return records;
  return {
    get: (key) => {
      witness.record(key);
      return records.get(key);
    },
    put: (key, record) => records.put(key, record),
    touch: (key) => records.touch(key),
  };
}
