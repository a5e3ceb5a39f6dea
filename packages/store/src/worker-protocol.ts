import type { Digest, StrakeErrorFields } from '@strake/core';

import type { EntryBatch } from './layer/entry-batch.js';
import type { FormerFiles } from './layer/former-contents.js';
import type { ImportJob } from './layer/layer-importer.js';
import type { CommitJob } from './snapshot/commit.js';
import type { CommitCopyJob } from './snapshot/commit-copy.js';
import type { TurnJob } from './snapshot/turn-tree.js';
import type { UnpackJob } from './snapshot/unpack.js';

/** What a job that makes a layer gives: the tar is at its temporary place and not yet renamed. */
export interface MadeLayer {
  readonly diffId: Digest;
  readonly size: number;
}

/** What a job that digests files gives: 32 bytes each, zeros for what could not be read. */
export interface DigestedFiles {
  readonly digests: Uint8Array;
}

/** A part of a tar to be compressed: the bytes from START to END, apart from what lies before them. */
export interface CompressJob {
  readonly path: string;
  readonly start: number;
  readonly end: number;
  readonly last: boolean;
  readonly compression: 'gzip' | 'zstd';
  readonly level: number;
}

/** What a job that compresses gives. */
export interface CompressedPart {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Of the uncompressed bytes; 0 where the format has checksums of its own. */
  readonly crc32: number;
}

/** The work of a worker thread. Paths are absolute; those to be written do not exist yet. */
export type Job =
  | {
      readonly kind: 'write';
      readonly tarPath: string;
      readonly indexPath: string;
      readonly blobs: string;
      readonly former: FormerFiles | undefined;
      /** Whether the digests of all files are asked for. */
      readonly digests?: boolean | undefined;
    }
  | { readonly kind: 'import'; readonly job: ImportJob; readonly indexPath: string }
  | {
      readonly kind: 'commit';
      readonly job: CommitJob;
      readonly tarPath: string;
      readonly indexPath: string;
      readonly blobs: string;
    }
  | {
      readonly kind: 'commit-copy';
      readonly job: CommitCopyJob;
      readonly tarPath: string;
      readonly indexPath: string;
      readonly blobs: string;
    }
  | {
      readonly kind: 'amend';
      readonly former: FormerFiles;
      readonly entries: EntryBatch;
      readonly tarPath: string;
      readonly indexPath: string;
      readonly blobs: string;
    }
  | { readonly kind: 'digest'; readonly root: string; readonly paths: string }
  | { readonly kind: 'compress'; readonly job: CompressJob }
  | { readonly kind: 'unpack'; readonly job: UnpackJob }
  | { readonly kind: 'turn'; readonly job: TurnJob }
  | { readonly kind: 'remove'; readonly path: string };

/** What a job gives; the others give nothing. */
export type ResultOf<J extends Job> = J extends { readonly kind: 'digest' }
  ? DigestedFiles
  : J extends { readonly kind: 'compress' }
    ? CompressedPart
    : MadeLayer;

/** What any job gives. */
export type JobResult = MadeLayer | DigestedFiles | CompressedPart | undefined;

/** To the worker. `cancel` is a shared number that is not 0 once the job is cancelled. */
export type Request =
  | { readonly type: 'start'; readonly job: Job; readonly cancel: Int32Array }
  | { readonly type: 'batch'; readonly batch: EntryBatch }
  | { readonly type: 'end' };

/**
 * From the worker. `taken` asks for the next batch; where the job was asked for digests, with those of the batch's files, 32 bytes each.
 * `read`: all content has been taken.
 */
export type Response =
  | { readonly type: 'taken'; readonly digests?: Uint8Array | undefined }
  | { readonly type: 'read' }
  | { readonly type: 'done'; readonly result: JobResult }
  | { readonly type: 'failed'; readonly error: PlainError };

/** An error as it crosses to the other thread. */
export interface PlainError {
  readonly strake?: StrakeErrorFields | undefined;
  readonly message: string;
  readonly code?: string | undefined;
  readonly stack?: string | undefined;
}
