import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { digestOf, isDigest, type Digest } from '@strake/core';
import { repositoryScope } from '../scope.js';
import { TestGuard, type TestAuth } from './auth.js';
import { TestContents } from './contents.js';
import { manifestSubject, referrersIndex, tagPage } from './lists.js';
import { refuse, TestUploads, type UploadsOptions } from './uploads.js';

/** A request that a test registry got. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

/**
 * Sees each request before the test registry does. Resolves with true where it answered (or broke the connection) itself.
 */
export type Interceptor = (
  request: IncomingMessage,
  response: ServerResponse,
) => boolean | undefined | Promise<boolean | undefined>;

export interface TestRegistryOptions extends UploadsOptions {
  readonly auth?: TestAuth | undefined;
  /** Key and certificate (PEM) to speak https with. */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined;
  /** Whether `/referrers/` and OCI-Subject are answered. */
  readonly referrers?: boolean | undefined;
  /** Whether Docker-Content-Digest is left out. */
  readonly noDigestHeader?: boolean | undefined;
}

/** A registry in memory, on a loopback port of its own, that speaks the real protocol. */
export interface TestRegistry {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  readonly contents: TestContents;
  readonly guard: TestGuard;
  readonly uploads: TestUploads;
  readonly requests: readonly SeenRequest[];
  /** Puts an interceptor before all others. Returns the function that takes it away again. */
  intercept(interceptor: Interceptor): () => void;
  /** Breaks all connections and stops. */
  close(): Promise<void>;
}

/** Starts a test registry. */
export async function startTestRegistry(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const contents = new TestContents();
  const guard = new TestGuard(options.auth);
  const uploads = new TestUploads(contents, options);
  const requests: SeenRequest[] = [];
  const interceptors: Interceptor[] = [];
  const sockets = new Set<Socket>();

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    requests.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers });
    for (const interceptor of interceptors) if (await interceptor(request, response)) return;
    await answer({ contents, guard, uploads, options }, request, response);
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    handle(request, response).catch(() => response.destroy());
  };
  const server: Server = options.tls ? createSecureServer(options.tls, listener) : createServer(listener);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    contents,
    guard,
    uploads,
    requests,
    intercept(interceptor) {
      interceptors.unshift(interceptor);
      return () => void interceptors.splice(interceptors.indexOf(interceptor), 1);
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

interface Parts {
  readonly contents: TestContents;
  readonly guard: TestGuard;
  readonly uploads: TestUploads;
  readonly options: TestRegistryOptions;
}

async function answer(parts: Parts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { contents, guard, uploads } = parts;
  const url = new URL(request.url ?? '/', 'http://test');
  const method = request.method ?? '';
  if (url.pathname === '/token') return guard.token(request, response, url, (await readAll(request)).toString('utf8'));
  if (url.pathname === '/v2/' || url.pathname === '/v2') {
    if (guard.admit(request, response, undefined)) response.writeHead(200).end('{}');
    return;
  }
  const match = /^\/v2\/(.+?)\/(blobs\/uploads|blobs|manifests|tags|referrers)\/(.*)$/.exec(url.pathname);
  if (!match) return refuse(response, 404, 'NAME_UNKNOWN');
  const [, name = '', kind = '', rest = ''] = match;
  const reading = method === 'GET' || method === 'HEAD';
  const upload = kind === 'blobs/uploads';
  if (!guard.admit(request, response, repositoryScope(name, upload || !reading))) return;
  if (upload && rest === '') return uploads.begin(request, response, name, url);
  if (upload) return uploads.proceed(request, response, name, rest, url);
  if (kind === 'blobs') return getBlob(parts, request, response, name, rest);
  if (kind === 'tags') return tagPage(contents.repositories.get(name), response, name, url);
  if (kind === 'referrers' && parts.options.referrers && isDigest(rest)) {
    return referrersIndex(contents.repository(name), response, rest);
  }
  if (kind !== 'manifests') return refuse(response, 404, 'UNSUPPORTED');
  if (method === 'PUT') return putManifest(parts, request, response, name, rest);
  return getManifest(parts, request, response, name, rest);
}

async function getBlob(
  { contents }: Parts,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  digest: string,
): Promise<void> {
  const known = isDigest(digest) && contents.repositories.get(name)?.blobs.has(digest);
  const blob = known ? contents.blobs.get(digest) : undefined;
  if (!blob) return refuse(response, 404, 'BLOB_UNKNOWN');
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (from > 0 && from >= blob.size) return void response.writeHead(416).end();
  response.writeHead(from > 0 ? 206 : 200, {
    'content-type': 'application/octet-stream',
    'content-length': blob.size - from,
    'docker-content-digest': digest,
    ...(from > 0 ? { 'content-range': `bytes ${from}-${blob.size - 1}/${blob.size}` } : {}),
  });
  if (request.method === 'HEAD') response.end();
  else await pipeline(blob.open(from, blob.size), response);
}

function getManifest(
  { contents, options }: Parts,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  reference: string,
): void {
  const repository = contents.repositories.get(name);
  if (!repository) return refuse(response, 404, 'NAME_UNKNOWN');
  const text = decodeURIComponent(reference);
  const digest = isDigest(text) ? text : repository.tags.get(text);
  const manifest = digest && repository.manifests.get(digest);
  if (!manifest) return refuse(response, 404, 'MANIFEST_UNKNOWN');
  response.writeHead(200, {
    'content-type': manifest.mediaType,
    'content-length': manifest.bytes.length,
    ...(options.noDigestHeader ? {} : { 'docker-content-digest': digest }),
  });
  response.end(request.method === 'HEAD' ? undefined : manifest.bytes);
}

async function putManifest(
  { contents, options }: Parts,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  reference: string,
): Promise<void> {
  const bytes = await readAll(request);
  const digest: Digest = digestOf(bytes);
  const text = decodeURIComponent(reference);
  if (isDigest(text) && text !== digest) return refuse(response, 400, 'DIGEST_INVALID');
  const repository = contents.repository(name);
  repository.manifests.set(digest, { mediaType: request.headers['content-type'] ?? '', bytes });
  if (!isDigest(text)) repository.tags.set(text, digest);
  const subject = options.referrers ? manifestSubject(bytes) : undefined;
  response.writeHead(201, {
    location: `/v2/${name}/manifests/${digest}`,
    'docker-content-digest': digest,
    ...(subject === undefined ? {} : { 'oci-subject': subject }),
  });
  response.end();
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
