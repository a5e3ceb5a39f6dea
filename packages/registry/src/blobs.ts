import {
  isStrakeError,
  StrakeError,
  throwIfAborted,
  verified,
  type ByteStream,
  type Descriptor,
  type Digest,
  type ImageReference,
} from '@strake/core';
import { blobNotFound, digestMismatch } from './errors.js';
import { networkFailure } from './network-failure.js';
import { Dawdling } from './patience.js';
import { backoff, pause } from './retry.js';
import type { Session, SessionRequest } from './session.js';
import { discard, type HttpResponse } from './transport.js';
import type { TransferOptions } from './types.js';

/** A connection that brought this many bytes does not count as a failure: so each resumption makes real progress. */
const PROGRESS = 1024 * 1024;

function request(method: 'GET' | 'HEAD', reference: ImageReference, digest: Digest): SessionRequest {
  return {
    method,
    reference,
    target: `blobs/${digest}`,
    // Stored bytes are wanted: a compressed transfer would have another digest.
    headers: { 'accept-encoding': 'identity' },
    immutable: true,
  };
}

/** See {@link RegistryClient.hasBlob}. */
export async function headBlob(
  session: Session,
  reference: ImageReference,
  digest: Digest,
  options: TransferOptions & { readonly push?: SessionRequest['scopes'] } = {},
): Promise<boolean> {
  const ask: SessionRequest = {
    ...request('HEAD', reference, digest),
    signal: options.signal,
    ...(options.push ? { scopes: options.push } : {}),
  };
  const response = await session.send(ask);
  if (response.status === 200 || response.status === 404) {
    await discard(response);
    return response.status === 200;
  }
  throw await session.fail(response, `look for a blob in ${session.endpoint.registry}/${reference.repository}`, ask);
}

/**
 * A blob's bytes from the first of SESSIONS that has it (mirrors before the registry itself), checked against the
 * descriptor. Where a connection breaks, the rest is asked for, of the next session where this one fails again.
 */
export function getBlob(
  sessions: readonly Session[],
  reference: ImageReference,
  descriptor: Descriptor,
  options: TransferOptions = {},
): ByteStream {
  return verified(resumed(sessions, reference, descriptor, options), descriptor, 'blob');
}

async function* resumed(
  sessions: readonly Session[],
  reference: ImageReference,
  descriptor: Descriptor,
  options: TransferOptions,
): AsyncGenerator<Uint8Array> {
  let offset = 0;
  let at = 0;
  let failures = 0;
  for (;;) {
    const session = sessions[at];
    if (!session) throw new Error('no session to get a blob from');
    const start = offset;
    let broken: unknown;
    try {
      const response = await open(session, reference, descriptor, offset, options);
      for await (const chunk of bodyFrom(response, descriptor, offset)) {
        offset += chunk.length;
        options.onProgress?.(offset);
        yield chunk;
      }
      if (offset >= descriptor.size) return;
      broken = new Error('the body ended early');
    } catch (error) {
      throwIfAborted(options.signal);
      if (isStrakeError(error, 'DIGEST_MISMATCH')) throw error;
      broken = error;
    }
    const last = at === sessions.length - 1;
    failures = offset - start >= PROGRESS ? 1 : failures + 1;
    const hopeless = broken instanceof StrakeError || broken instanceof Dawdling || failures >= session.policy.attempts;
    if (hopeless && last) throw truncated(session, descriptor, offset, broken);
    if (hopeless) {
      at++;
      failures = 0;
    } else await pause(backoff(session.policy, failures), options.signal);
  }
}

function truncated(session: Session, descriptor: Descriptor, offset: number, error: unknown): StrakeError {
  if (error instanceof StrakeError) return error;
  const failure = networkFailure(session.endpoint.registry, error);
  return failure.with({
    message: `${failure.message}, after ${offset} of ${descriptor.size} bytes of ${descriptor.digest}`,
  });
}

/** Asks for a blob from OFFSET on, and resolves with an answer of status 200 or 206. */
async function open(
  session: Session,
  reference: ImageReference,
  descriptor: Descriptor,
  offset: number,
  options: TransferOptions,
): Promise<HttpResponse> {
  const plain = request('GET', reference, descriptor.digest);
  const ask: SessionRequest = {
    ...plain,
    signal: options.signal,
    headers: { ...plain.headers, ...(offset > 0 ? { range: `bytes=${offset}-` } : {}) },
  };
  const response = await session.send(ask);
  if (response.status === 200 || (response.status === 206 && offset > 0)) return response;
  if (response.status === 404) {
    await discard(response);
    throw blobNotFound(reference, descriptor.digest);
  }
  if (response.status === 416) {
    await discard(response);
    throw digestMismatch(
      `blob ${descriptor.digest}`,
      `the registry has ${offset} bytes of it or fewer, not ${descriptor.size}`,
    );
  }
  throw await session.fail(response, `pull a layer of ${session.endpoint.registry}/${reference.repository}`, ask);
}

/** The bytes of an answer from OFFSET on: what comes before is skipped where the server sent everything again. */
async function* bodyFrom(response: HttpResponse, descriptor: Descriptor, offset: number): AsyncGenerator<Uint8Array> {
  let skip: number;
  try {
    const length = response.header('content-length');
    let whole = length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
    if (response.status === 206) {
      const range = /^bytes (\d{1,15})-(\d{1,15})\/(?:(\d{1,15})|\*)$/.exec(response.header('content-range') ?? '');
      if (!range || Number(range[1]) > offset) throw new Error('the server sent another range than was asked for');
      skip = offset - Number(range[1]);
      whole = range[3] === undefined ? undefined : Number(range[3]);
    } else skip = offset;
    // One that says it has more is refused by what comes, at the byte too many.
    if (whole !== undefined && whole < descriptor.size && response.header('content-encoding') === undefined) {
      throw digestMismatch(`blob ${descriptor.digest}`, `it has ${whole} bytes instead of ${descriptor.size}`);
    }
    for await (const chunk of response.chunks()) {
      if (skip >= chunk.length) skip -= chunk.length;
      else {
        yield skip > 0 ? chunk.subarray(skip) : chunk;
        skip = 0;
      }
    }
  } finally {
    response.body.destroy();
  }
}
