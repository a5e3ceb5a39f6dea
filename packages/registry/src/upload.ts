import {
  isStrakeError,
  StrakeError,
  throwIfAborted,
  type ByteStream,
  type Descriptor,
  type ImageReference,
} from '@strake/core';
import { readErrors } from './answers.js';
import { headBlob } from './blobs.js';
import { digestMismatch, registryError } from './errors.js';
import { isTransient } from './network-failure.js';
import { backoff, isRetryableStatus, pause, retryAfter } from './retry.js';
import type { Session } from './session.js';
import { Source } from './source.js';
import type { HttpResponse } from './transport.js';
import type { TransferOptions } from './types.js';
import { isSuccess, pushAction, UploadSession } from './upload-session.js';

/** Blobs up to this size go with the closing PUT: a round trip less. */
const SMALL = 64 * 1024;
/** The pieces to fall back to where a registry, or a proxy before it, refuses a whole body. */
const PIECE = 32 * 1024 * 1024;
/** An attempt after which the registry has this many bytes more does not count as a failure. */
const PROGRESS = 1024 * 1024;
const MAX_MOUNTS = 4;

export interface UploadOptions extends TransferOptions {
  readonly mountFrom?: readonly string[] | undefined;
}

interface Upload {
  readonly session: Session;
  readonly reference: ImageReference;
  readonly descriptor: Descriptor;
  readonly options: UploadOptions;
  readonly source: Source;
  readonly requests: UploadSession;
}

/** See {@link RegistryClient.pushBlob}. */
export async function uploadBlob(
  session: Session,
  reference: ImageReference,
  descriptor: Descriptor,
  open: () => ByteStream,
  options: UploadOptions = {},
): Promise<'exists' | 'mounted' | 'uploaded'> {
  const source = new Source(open, descriptor.size, `blob ${descriptor.digest}`);
  const requests = new UploadSession({ session, reference, signal: options.signal });
  const upload: Upload = { session, reference, descriptor, options, source, requests };
  try {
    if (await exists(upload)) return 'exists';
    if (await mount(upload)) return 'mounted';
    return await transfer(upload);
  } finally {
    await Promise.all([requests.cancel(), source.close()]);
  }
}

async function exists({ session, reference, descriptor, options, requests }: Upload): Promise<boolean> {
  try {
    return await headBlob(session, reference, descriptor.digest, { signal: options.signal, push: requests.scopes });
  } catch (error) {
    // Where looking is refused, the upload itself will say why.
    if (isStrakeError(error, 'REGISTRY_ERROR') || isStrakeError(error, 'REGISTRY_DENIED')) return false;
    throw error;
  }
}

/** Whether the registry took the blob over from another of its repositories. Any refusal only means no. */
async function mount({ reference, descriptor, options, requests }: Upload): Promise<boolean> {
  const others = [...new Set(options.mountFrom ?? [])].filter((name) => name !== reference.repository);
  for (const repository of others.slice(0, MAX_MOUNTS)) {
    try {
      if (await requests.mount(descriptor.digest, repository)) return true;
    } catch (error) {
      throwIfAborted(options.signal);
      if (!(error instanceof StrakeError) || error.code === 'REGISTRY_UNREACHABLE') throw error;
    }
  }
  return false;
}

/** Sends the bytes; after a broken connection goes on where the registry says it got to, else begins again. */
async function transfer(upload: Upload): Promise<'exists' | 'uploaded'> {
  const { session, descriptor, options, source, requests } = upload;
  const { policy } = session;
  let piece = Infinity;
  let received = 0;
  for (let failures = 0; ;) {
    if (!requests.isOpen) {
      received = 0;
      await requests.begin();
    }
    let verdict: Verdict;
    try {
      const response = await attempt(upload, received, piece);
      if (isSuccess(response)) {
        confirm(upload, response);
        return 'uploaded';
      }
      verdict = await judge(upload, response, received > 0);
    } catch (error) {
      throwIfAborted(options.signal);
      if (source.failure) throw source.failure.error;
      if (!isBroken(error)) throw error;
      verdict = { wait: backoff(policy, failures + 1), error };
    }
    if (verdict.tooLarge) {
      const smaller = Math.max(PIECE, requests.shortestChunk);
      if (piece <= smaller) throw verdict.error;
      piece = smaller;
    }
    if (failures + 1 >= policy.attempts) throw verdict.error;
    await pause(verdict.wait, options.signal);
    if (await exists(upload)) return 'exists';
    const known = descriptor.size <= SMALL || verdict.tooLarge ? undefined : await requests.received();
    failures = (known ?? 0) - received >= PROGRESS ? 0 : failures + 1;
    if (known === undefined || known > descriptor.size) await requests.cancel();
    received = requests.isOpen ? (known ?? 0) : 0;
  }
}

/** Sends what the registry has not got yet, and closes the upload. Resolves with the first answer that is no success, or the last. */
async function attempt(
  { descriptor, options, source, requests }: Upload,
  from: number,
  piece: number,
): Promise<HttpResponse> {
  const { digest, size } = descriptor;
  const read = (start: number, end: number) =>
    async function* (): AsyncGenerator<Uint8Array> {
      let position = start;
      for await (const chunk of source.range(start, end)) {
        yield chunk;
        position += chunk.length;
        options.onProgress?.(position);
      }
    };
  if (size <= SMALL) return requests.put(digest, { size, open: read(0, size) });
  for (let position = from; position < size;) {
    const end = Math.min(size, position + piece);
    const response = await requests.patch(position, end, size, read(position, end));
    if (!isSuccess(response)) return response;
    position = end;
  }
  return requests.put(digest);
}

function confirm({ session, descriptor, options }: Upload, response: HttpResponse): void {
  checkStored(session, descriptor, response);
  options.onProgress?.(descriptor.size);
}

/** Compares what the answer that closes an upload says was stored. @throws StrakeError `REGISTRY_ERROR` */
export function checkStored(session: Session, { digest }: Descriptor, response: HttpResponse): void {
  const told = response.header('docker-content-digest');
  if (told?.startsWith('sha256:') && told !== digest) {
    throw registryError(session.endpoint.registry, `it stored blob ${digest} as ${told.slice(0, 80)}`);
  }
}

/** How to go on after an attempt that failed: after WAIT milliseconds, with ERROR where there were too many. */
interface Verdict {
  readonly wait: number;
  readonly error: unknown;
  /** The body was too large for one request. */
  readonly tooLarge?: boolean;
}

/** Judges an answer that is no success; throws where trying again is of no use. */
async function judge(upload: Upload, response: HttpResponse, resumed: boolean): Promise<Verdict> {
  const { session, reference, descriptor, options, requests } = upload;
  const { registry } = session.endpoint;
  const { status } = response;
  const told = retryAfter(response.header('retry-after')) ?? 0;
  if (status === 404 || status === 400) {
    const { codes, detail } = await readErrors(response, [], options.signal);
    requests.forget();
    const wrong = codes.includes('DIGEST_INVALID');
    const error = wrong
      ? digestMismatch(`blob ${descriptor.digest}`, `${registry} found another digest in what was uploaded`)
      : registryError(
          registry,
          `it refuses blob ${descriptor.digest}: ${detail === '' ? `HTTP status ${status}` : detail}`,
        );
    // What was put together from pieces may have been put together wrongly, and an upload may have been forgotten.
    const again = resumed || (!wrong && (status === 404 || codes.some((code) => code.startsWith('BLOB_UPLOAD_'))));
    if (!again) throw error;
    return { wait: 0, error };
  }
  const error = await session.fail(response, pushAction(session, reference), { reference, signal: options.signal });
  if (status === 413) return { wait: 0, error, tooLarge: true };
  if (status === 416) return { wait: 0, error };
  if (isRetryableStatus(status) && told <= session.policy.longestWait) {
    return { wait: Math.max(told, backoff(session.policy, 1)), error };
  }
  throw error;
}

/** Whether an upload may go on after this: the connection broke while the registry was there. */
function isBroken(error: unknown): boolean {
  return isStrakeError(error, 'REGISTRY_UNREACHABLE') && isTransient(error.cause);
}
