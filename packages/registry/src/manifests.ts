import {
  digestOf,
  familiarName,
  isDigest,
  StrakeError,
  throwIfAborted,
  type Descriptor,
  type Digest,
  type ImageReference,
} from '@strake/core';
import { digestMismatch, manifestInvalid, registryError } from './errors.js';
import { bareType, checkManifest, MANIFEST_TYPES } from './manifest-check.js';
import { networkFailure } from './network-failure.js';
import { Dawdling } from './patience.js';
import { backoff, pause } from './retry.js';
import { repositoryScope } from './scope.js';
import { repositoryAt } from './endpoint.js';
import type { Session, SessionRequest } from './session.js';
import { discard, type HttpResponse } from './transport.js';
import type { TransferOptions } from './types.js';

/** The specification wants at least 4 MiB; more than this is no manifest. */
const MAX_MANIFEST = 16 * 1024 * 1024;

/** What a manifest is fetched by, and checked against. */
export interface Expected {
  readonly digest: Digest;
  readonly size?: number;
}

/** A manifest's bytes with the descriptor that was found to be true of them. */
export interface FetchedManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

function request(method: 'GET' | 'HEAD', reference: ImageReference, digest: Digest | undefined): SessionRequest {
  return {
    method,
    reference,
    target: `manifests/${encodeURIComponent(digest ?? reference.tag ?? 'latest')}`,
    headers: { accept: MANIFEST_TYPES.join(', ') },
    immutable: digest !== undefined,
  };
}

/** See {@link RegistryClient.manifest}. */
export async function getManifest(
  session: Session,
  reference: ImageReference,
  expected: Expected | undefined,
  options: TransferOptions = {},
): Promise<FetchedManifest> {
  const digest = expected?.digest ?? reference.digest;
  const name = familiarName(reference);
  const ask = { ...request('GET', reference, digest), signal: options.signal };
  const { response, bytes } = await fetchWhole(session, reference, ask, options);
  const actual = digestOf(bytes);
  const told = response.header('docker-content-digest');
  if (digest !== undefined && actual !== digest) {
    throw digestMismatch(`the manifest of ${name}`, `its digest is ${actual} instead of ${digest}`);
  }
  if (digest === undefined && isDigest(told) && told !== actual) {
    throw digestMismatch(`the manifest of ${name}`, `its digest is ${actual}, the registry says ${told}`);
  }
  if (expected?.size !== undefined && bytes.length !== expected.size) {
    throw digestMismatch(`the manifest of ${name}`, `it has ${bytes.length} bytes instead of ${expected.size}`);
  }
  const mediaType = checkManifest(reference, bytes, response.header('content-type'));
  return { descriptor: { mediaType, digest: actual, size: bytes.length }, bytes };
}

/** A manifest's whole body; a connection that breaks on the way is a reason to ask again. */
async function fetchWhole(
  session: Session,
  reference: ImageReference,
  ask: SessionRequest,
  options: TransferOptions,
): Promise<{ readonly response: HttpResponse; readonly bytes: Buffer }> {
  for (let attempt = 1; ; attempt++) {
    const response = await session.send(ask);
    if (response.status !== 200) throw await session.fail(response, `pull ${familiarName(reference)}`, ask, reference);
    const chunks: Buffer[] = [];
    let size = 0;
    // A length that is a lie would be waited for until the connection counts as dead, and then again.
    if (Number(response.header('content-length') ?? 0) > MAX_MANIFEST) {
      response.body.destroy();
      throw manifestInvalid(reference, `it is larger than ${MAX_MANIFEST} bytes`);
    }
    try {
      for await (const chunk of response.chunks()) {
        size += chunk.length;
        if (size > MAX_MANIFEST) throw manifestInvalid(reference, `it is larger than ${MAX_MANIFEST} bytes`);
        chunks.push(chunk);
        options.onProgress?.(size);
      }
      return { response, bytes: Buffer.concat(chunks, size) };
    } catch (error) {
      response.body.destroy();
      throwIfAborted(options.signal);
      if (error instanceof StrakeError) throw error;
      if (attempt >= session.policy.attempts || error instanceof Dawdling)
        throw networkFailure(session.endpoint.registry, error);
    }
    await pause(backoff(session.policy, attempt), options.signal);
  }
}

/** See {@link RegistryClient.resolve}. */
export async function headManifest(
  session: Session,
  reference: ImageReference,
  options: TransferOptions = {},
): Promise<Descriptor | undefined> {
  const ask = { ...request('HEAD', reference, reference.digest), signal: options.signal };
  const response = await session.send(ask);
  await discard(response);
  if (response.status === 404) return undefined;
  const digest = response.header('docker-content-digest');
  const mediaType = bareType(response.header('content-type'));
  const length = response.header('content-length') ?? '';
  const complete = isDigest(digest) && MANIFEST_TYPES.includes(mediaType) && /^\d{1,9}$/.test(length);
  if (response.status !== 200 || !complete) {
    // Some registries leave HEAD or its headers out; and the answer to a GET says what is wrong.
    try {
      return (await getManifest(session, reference, undefined, options)).descriptor;
    } catch (error) {
      if (error instanceof StrakeError && error.code === 'IMAGE_NOT_FOUND') return undefined;
      throw error;
    }
  }
  if (reference.digest !== undefined && digest !== reference.digest) {
    throw digestMismatch(`the manifest of ${familiarName(reference)}`, `the registry answers with ${digest}`);
  }
  return { mediaType, digest, size: Number(length) };
}

/** Uploads a manifest under the reference's tag, else its digest. Resolves with the answer's OCI-Subject header. */
export async function putManifest(
  session: Session,
  reference: ImageReference,
  descriptor: Descriptor,
  bytes: Uint8Array,
  options: TransferOptions = {},
): Promise<string | undefined> {
  const name = familiarName(reference);
  const actual = digestOf(bytes);
  if (actual !== descriptor.digest || bytes.length !== descriptor.size) {
    throw digestMismatch(`the manifest to be pushed as ${name}`, `its digest is ${actual}, not ${descriptor.digest}`);
  }
  const ask: SessionRequest = {
    method: 'PUT',
    reference,
    target: `manifests/${encodeURIComponent(reference.tag ?? descriptor.digest)}`,
    headers: { 'content-type': descriptor.mediaType },
    body: bytes,
    signal: options.signal,
    scopes: repositoryScope(repositoryAt(session.endpoint, reference), true),
    headersTimeout: session.transport.timeouts.commit,
  };
  const response = await session.send(ask);
  if (response.status < 200 || response.status > 204) throw await session.fail(response, `push ${name}`, ask);
  await discard(response);
  const told = response.header('docker-content-digest');
  if (isDigest(told) && told !== actual) {
    throw registryError(session.endpoint.registry, `it stored ${name} as ${told} instead of ${actual}`);
  }
  options.onProgress?.(bytes.length);
  return response.header('oci-subject');
}
