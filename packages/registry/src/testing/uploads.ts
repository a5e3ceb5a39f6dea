import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Hasher, isDigest, type Digest } from '@strake/core';
import { memoryBlob, type TestContents } from './contents.js';

/** An upload that is under way: what came so far. */
export interface Upload {
  readonly chunks: Buffer[];
  readonly hasher: Hasher;
}

export interface UploadsOptions {
  /** Bytes of blobs are hashed and counted, but not kept: for tests with large ones. */
  readonly discard?: boolean | undefined;
  /** How Location is written; absolute by default. */
  readonly relativeLocations?: boolean | undefined;
  readonly refuseMounts?: boolean | undefined;
  readonly shortestChunk?: number | undefined;
}

/** Answers with errors as the specification has them. */
export function refuse(response: ServerResponse, status: number, code: string, message: string = code): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}

/** The uploads that are under way at a test registry. Each request's address carries a state that the next one must bring back. */
export class TestUploads {
  readonly open: Map<string, Upload> = new Map();
  readonly #contents: TestContents;
  readonly #options: UploadsOptions;

  constructor(contents: TestContents, options: UploadsOptions) {
    this.#contents = contents;
    this.#options = options;
  }

  /** POST: a mount, or a new upload. */
  begin(request: IncomingMessage, response: ServerResponse, name: string, url: URL): void {
    const digest = url.searchParams.get('mount');
    const from = url.searchParams.get('from');
    request.resume();
    if (isDigest(digest) && from !== null && !this.#options.refuseMounts) {
      if (this.#contents.repositories.get(from)?.blobs.has(digest)) {
        this.#contents.repository(name).blobs.add(digest);
        return this.#created(response, name, digest);
      }
    }
    const id = randomUUID();
    this.open.set(id, { chunks: [], hasher: new Hasher() });
    this.#accepted(request, response, name, id, 202);
  }

  /** GET, PATCH, PUT and DELETE of an upload. */
  async proceed(request: IncomingMessage, response: ServerResponse, name: string, id: string, url: URL): Promise<void> {
    const upload = this.open.get(id);
    if (!upload) {
      request.resume();
      return refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN');
    }
    if (request.method === 'DELETE') {
      this.open.delete(id);
      response.writeHead(204).end();
      return;
    }
    if (request.method === 'GET') return this.#accepted(request, response, name, id, 204);
    // A state that is not brought back unchanged shows a client that puts addresses together by itself.
    if (url.searchParams.get('state') !== `${upload.hasher.size}/+&=`) {
      request.resume();
      return refuse(response, 400, 'BLOB_UPLOAD_INVALID', 'the state of the upload does not match');
    }
    const range = /^(\d+)-\d+$/.exec(request.headers['content-range'] ?? '');
    if (range && Number(range[1]) !== upload.hasher.size) {
      request.resume();
      response.writeHead(416, { range: `0-${upload.hasher.size - 1}` }).end();
      return;
    }
    for await (const chunk of request as AsyncIterable<Buffer>) {
      upload.hasher.update(chunk);
      if (!this.#options.discard) upload.chunks.push(chunk);
    }
    if (request.method === 'PATCH') return this.#accepted(request, response, name, id, 202);
    const { size } = upload.hasher;
    const digest = upload.hasher.digest();
    this.open.delete(id);
    if (url.searchParams.get('digest') !== digest) return refuse(response, 400, 'DIGEST_INVALID');
    const blob = this.#options.discard
      ? { ...memoryBlob(Buffer.alloc(0)), size }
      : memoryBlob(Buffer.concat(upload.chunks));
    this.#contents.addVirtualBlob(name, digest, blob);
    return this.#created(response, name, digest);
  }

  #created(response: ServerResponse, name: string, digest: Digest): void {
    response.writeHead(201, { location: `/v2/${name}/blobs/${digest}`, 'docker-content-digest': digest });
    response.end();
  }

  #accepted(request: IncomingMessage, response: ServerResponse, name: string, id: string, status: number): void {
    const size = this.open.get(id)?.hasher.size ?? 0;
    const path = `/v2/${name}/blobs/uploads/${id}?state=${encodeURIComponent(`${size}/+&=`)}`;
    const { relativeLocations, shortestChunk } = this.#options;
    response.writeHead(status, {
      location: relativeLocations ? path : `http://${request.headers.host ?? ''}${path}`,
      range: `0-${Math.max(0, size - 1)}`,
      ...(shortestChunk === undefined ? {} : { 'oci-chunk-min-length': String(shortestChunk) }),
    });
    response.end();
  }
}
