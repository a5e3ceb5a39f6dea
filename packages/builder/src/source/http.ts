import { canonicalJson, cancelled, digestOf, Hasher, throwIfAborted, type ByteStream, type Digest } from '@strake/core';
import type { IncomingMessage } from 'node:http';

import { gunzip } from '../copy/gunzip.js';
import { builderError } from '../errors.js';
import type { BuilderServices } from '../services.js';
import { downloadFailed, networkFailure } from './http-failure.js';
import { HTTP_TIMEOUTS, httpGet, type HttpTimeouts } from './http-request.js';

/** A file of the web, in the store. */
export interface Download {
  readonly blob: Digest;
  readonly size: number;
  /** Seconds since 1970, from Last-Modified; undefined where the server does not say. */
  readonly modified: number | undefined;
}

export interface DownloadOptions {
  /** What the bytes must have; anything else is forgotten. */
  readonly checksum?: Digest | undefined;
  readonly timeouts?: HttpTimeouts | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is remembered of an address, in the store's records. The address itself, which may hold a password, is not. */
interface Remembered extends Download {
  readonly kind: 'http';
  readonly etag: string | undefined;
  /** As sent; only where it proves that the content is the same (RFC 9110, section 8.8.2.2). */
  readonly lastModified: string | undefined;
}

/** As Go's net/http. */
const MAX_REDIRECTS = 10;
/** A Last-Modified that is older than this when it is sent is not that of a file that still changes. */
const SETTLED = 60_000;

/**
 * Downloads a file into the store, unless the server says (ETag, Last-Modified), or a checksum proves, that what an earlier
 * build downloaded is still right. Secrets `HTTP_AUTH_HEADER_<host>` and `HTTP_AUTH_TOKEN_<host>` are sent, as by BuildKit.
 * @throws StrakeError `DOWNLOAD_FAILED`, `CHECKSUM_MISMATCH`
 */
export async function download(url: URL, services: BuilderServices, options: DownloadOptions = {}): Promise<Download> {
  const { store, witness } = services;
  witness?.elsewhere();
  const { checksum, signal } = options;
  const key = digestOf(canonicalJson({ kind: 'http', url: url.href }));
  const remembered = await recall(services, key);
  if (remembered) await hold(services, remembered.blob);
  if (remembered && remembered.blob === checksum) return remembered;
  const known = checksum === undefined ? remembered : undefined;
  const answer = await request(url, services, options, known);
  try {
    if (known && isUnchanged(answer, known)) {
      answer.destroy();
      store.records.touch(key);
      return known;
    }
    const modified = Date.parse(answer.headers['last-modified'] ?? '');
    const put = await store.blobs.put(content(url, answer, checksum), undefined, signal);
    await hold(services, put.digest);
    const fresh: Remembered = {
      kind: 'http',
      blob: put.digest,
      size: put.size,
      modified: Number.isNaN(modified) ? undefined : Math.floor(modified / 1000),
      etag: strongPart(answer.headers.etag),
      lastModified:
        Date.parse(answer.headers.date ?? '') - modified >= SETTLED ? answer.headers['last-modified'] : undefined,
    };
    await store.records.put(key, fresh);
    return fresh;
  } catch (error) {
    throw signal?.aborted ? cancelled(signal) : networkFailure(url, error);
  } finally {
    answer.destroy();
  }
}

/** Keeps garbage collection away from a blob until the build ends. */
async function hold({ store, onCleanup }: BuilderServices, blob: Digest): Promise<void> {
  const lease = await store.lease([blob]);
  onCleanup(() => lease.release());
}

async function recall({ store }: BuilderServices, key: Digest): Promise<Remembered | undefined> {
  const record = await store.records.get<Remembered>(key);
  return record?.kind === 'http' && (await store.blobs.size(record.blob)) === record.size ? record : undefined;
}

function strongPart(etag: string | undefined): string | undefined {
  const value = etag?.replace(/^W\//, '');
  return value === undefined || !/^"[\x21\x23-\x7e\x80-\xff]*"$/.test(value) ? undefined : value;
}

/** Whether an answer speaks of what is remembered: not modified, or of the same ETag (some servers ignore the question). */
function isUnchanged(answer: IncomingMessage, known: Remembered): boolean {
  return answer.statusCode === 304 || (known.etag !== undefined && strongPart(answer.headers.etag) === known.etag);
}

/** Asks, and follows redirects. The answer is 200, or 304 where KNOWN was asked about. */
async function request(
  start: URL,
  services: BuilderServices,
  { timeouts = HTTP_TIMEOUTS, checksum, signal }: DownloadOptions,
  known: Remembered | undefined,
): Promise<IncomingMessage> {
  const authorization = await authorizationFor(start, services);
  let url = start;
  for (let redirects = 0; ; redirects++) {
    throwIfAborted(signal);
    const headers: Record<string, string> = {
      'user-agent': 'strake',
      accept: '*/*',
      'accept-encoding': 'identity',
      ...(known?.etag !== undefined ? { 'if-none-match': known.etag } : {}),
      ...(known?.etag === undefined && known?.lastModified !== undefined
        ? { 'if-modified-since': known.lastModified }
        : {}),
      // Whoever is redirected to does not get what was meant for the first.
      ...(authorization !== undefined && url.origin === start.origin ? { authorization } : {}),
    };
    let answer: IncomingMessage;
    try {
      answer = await httpGet(url, { headers, timeouts, signal, proxyFor: services.proxyFor });
    } catch (error) {
      throw signal?.aborted ? cancelled(signal) : networkFailure(url, error);
    }
    const status = answer.statusCode ?? 0;
    if (status === 200 || (status === 304 && known)) return answer;
    answer.destroy();
    if (![301, 302, 303, 307, 308].includes(status)) {
      throw downloadFailed(
        url,
        `the server answered ${status} ${(answer.statusMessage ?? '').replace(/[^\x20-\x7e]/g, '')}`.trim(),
        status === 401 || status === 403
          ? `Give what it asks for as the secret HTTP_AUTH_TOKEN_${url.hostname} or HTTP_AUTH_HEADER_${url.hostname}.`
          : 'Check the address.',
      );
    }
    if (redirects >= MAX_REDIRECTS) throw downloadFailed(start, `more than ${MAX_REDIRECTS} redirects`);
    url = redirectTarget(url, answer.headers.location, checksum !== undefined);
  }
}

function redirectTarget(from: URL, location: string | undefined, verified: boolean): URL {
  const refuse = (why: string, hint = 'The redirect was not followed.'): never => {
    throw downloadFailed(from, `the server redirects ${why}`, hint);
  };
  if (location === undefined || !URL.canParse(location, from.href)) return refuse('to what is no address');
  const to = new URL(location, from);
  if (to.protocol !== 'http:' && to.protocol !== 'https:') refuse(`to ${to.protocol}, not to http or https`);
  if (from.protocol === 'https:' && to.protocol === 'http:' && !verified) {
    refuse(`to ${to.host} without encryption`, 'With --checksum it can be followed: then nobody can change the file.');
  }
  return to;
}

async function authorizationFor(url: URL, { secret }: BuilderServices): Promise<string | undefined> {
  const header = await secret(`HTTP_AUTH_HEADER_${url.hostname}`);
  const token = header ? undefined : await secret(`HTTP_AUTH_TOKEN_${url.hostname}`);
  const value = header ? text(header) : token ? `Bearer ${text(token)}` : undefined;
  if (value !== undefined && /[^\t\x20-\x7e]/.test(value)) {
    throw downloadFailed(
      url,
      'the secret for its host holds characters that no HTTP header can have',
      'Check the secret.',
    );
  }
  return value;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8').trim();
}

/** The bytes of an answer: whole, or an error before its end is reported. */
async function* content(url: URL, answer: IncomingMessage, checksum: Digest | undefined): AsyncGenerator<Uint8Array> {
  const stated = answer.headers['content-length'];
  let size = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of answer as ByteStream) {
      size += chunk.length;
      yield chunk;
    }
    if (stated !== undefined && size !== Number(stated)) {
      throw downloadFailed(url, `the answer ended after ${size} of ${stated} bytes`);
    }
  };
  const hasher = checksum === undefined ? undefined : new Hasher();
  // Go's client, which BuildKit uses, undoes this one encoding.
  const encoded = answer.headers['content-encoding']?.toLowerCase() === 'gzip';
  for await (const chunk of encoded ? decoded(url, counted()) : counted()) {
    hasher?.update(chunk);
    yield chunk;
  }
  const actual = hasher?.digest();
  if (actual !== checksum) {
    throw builderError(
      'CHECKSUM_MISMATCH',
      `the file at ${url.host}${url.pathname} is not what --checksum says: expected ${checksum ?? ''}, got ${actual ?? ''}`,
      { hint: 'It was changed or replaced, or the checksum is that of another version. Nothing of it was kept.' },
    );
  }
}

async function* decoded(url: URL, stream: ByteStream): AsyncGenerator<Uint8Array> {
  try {
    yield* gunzip(stream);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('Z_'))) throw error;
    throw downloadFailed(url, 'its gzip encoding is damaged', 'Nothing of it was used.', error);
  }
}
