import { StrakeError, throwIfAborted, type ByteStream, type Digest, type ImageReference } from '@strake/core';
import { repositoryAt } from './endpoint.js';
import { registryError } from './errors.js';
import { mergeScopes, repositoryScope, type Scopes } from './scope.js';
import type { Session, SessionRequest } from './session.js';
import { discard, type HttpResponse } from './transport.js';

/** How long, in milliseconds, the registry is given to forget an upload that was given up. */
const FAREWELL = 1000;
const BINARY = 'application/octet-stream';

export interface UploadTarget {
  readonly session: Session;
  readonly reference: ImageReference;
  readonly signal?: AbortSignal | undefined;
}

/** The requests of one upload (OCI distribution-spec, "Pushing blobs in chunks"). Answers are the caller's to judge. */
export class UploadSession {
  readonly scopes: Scopes;
  readonly #target: UploadTarget;
  /** Where the next request goes; undefined where no upload is open. Its query is the registry's state: never touched. */
  #location: URL | undefined;
  #shortest = 0;

  constructor(target: UploadTarget) {
    this.#target = target;
    this.scopes = repositoryScope(repositoryAt(target.session.endpoint, target.reference), true);
  }

  get isOpen(): boolean {
    return this.#location !== undefined;
  }

  /** The least bytes that a chunk other than the last one may have. */
  get shortestChunk(): number {
    return this.#shortest;
  }

  /**
   * Begins an upload.
   * @throws StrakeError as the answer demands
   */
  async begin(): Promise<void> {
    const { session, reference } = this.#target;
    const request = this.#begin('blobs/uploads/', this.scopes);
    const response = await session.send(request);
    if (response.status !== 202) throw await session.fail(response, pushAction(session, reference), request);
    await discard(response);
    this.#opened(response);
  }

  /** Asks to take a blob over from another repository. Where the registry begins an upload instead, that one is open then. */
  async mount(digest: Digest, repository: string): Promise<boolean> {
    const { session } = this.#target;
    const source = repositoryAt(session.endpoint, { repository });
    const scopes = mergeScopes(this.scopes, repositoryScope(source));
    const query = `mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(source)}`;
    const response = await session.send(this.#begin(`blobs/uploads/?${query}`, scopes));
    await discard(response);
    if (response.status === 202) {
      await this.cancel();
      this.#opened(response);
    }
    return response.status === 201;
  }

  /** Sends the bytes from START to END of a blob of SIZE bytes. A success moves the upload on and leaves no body to read. */
  async patch(start: number, end: number, size: number, body: () => ByteStream): Promise<HttpResponse> {
    const partial = start > 0 || end < size;
    const response = await this.#stream(body, {
      ...this.#request('PATCH', this.#location),
      headers: {
        'content-type': BINARY,
        'content-length': String(end - start),
        ...(partial ? { 'content-range': `${start}-${end - 1}` } : {}),
      },
    });
    if (!isSuccess(response)) return response;
    await discard(response);
    this.#move(response);
    return response;
  }

  /** Sends a whole blob of which nobody knows yet how large it is. Answers as `patch`; there is no second attempt. */
  async patchWhole(body: ByteStream): Promise<HttpResponse> {
    const { session } = this.#target;
    const request = this.#request('PATCH', this.#location);
    const response = await session.send({ ...request, headers: { 'content-type': BINARY }, body });
    if (!isSuccess(response)) return response;
    await discard(response);
    this.#move(response);
    return response;
  }

  /** Closes the upload of DIGEST, with the whole body where there is one. */
  async put(digest: Digest, body?: { readonly size: number; readonly open: () => ByteStream }): Promise<HttpResponse> {
    const { session } = this.#target;
    const location = this.#location;
    const url =
      location && new URL(`${location.href}${location.search === '' ? '?' : '&'}digest=${encodeURIComponent(digest)}`);
    const request = { ...this.#request('PUT', url), headersTimeout: session.transport.timeouts.commit };
    const response =
      body && body.size > 0
        ? await this.#stream(body.open, {
            ...request,
            headers: { 'content-type': BINARY, 'content-length': String(body.size) },
          })
        : await session.send({ ...request, once: true });
    if (!isSuccess(response)) return response;
    await discard(response);
    this.#location = undefined;
    return response;
  }

  /** How many bytes the registry has of the open upload, undefined where it cannot tell. */
  async received(): Promise<number | undefined> {
    if (!this.#location) return undefined;
    try {
      const response = await this.#target.session.send({ ...this.#request('GET', this.#location), once: true });
      await discard(response);
      const range = /^(?:bytes=)?0-(\d{1,15})$/.exec(response.header('range') ?? '');
      if (!isSuccess(response) || !range) return undefined;
      this.#move(response);
      // Docker's registry says "0-0" of nothing as well as of one byte.
      return range[1] === '0' ? undefined : Number(range[1]) + 1;
    } catch (error) {
      throwIfAborted(this.#target.signal);
      if (!(error instanceof StrakeError)) throw error;
      return undefined;
    }
  }

  /** Nothing is open any more at the registry, so that nothing is left to cancel. */
  forget(): void {
    this.#location = undefined;
  }

  /** Tells the registry to forget the open upload. That it does not answer is no failure: it forgets by itself, later. */
  async cancel(): Promise<void> {
    const location = this.#location;
    this.#location = undefined;
    if (!location) return;
    const signal = AbortSignal.timeout(FAREWELL);
    const farewell = this.#target.session.send({ ...this.#request('DELETE', location), signal, once: true });
    await farewell.then(discard, () => undefined);
  }

  /** Sends a body that is a stream; after a 401 once more with a new authorization and the same bytes. */
  async #stream(body: () => ByteStream, request: SessionRequest): Promise<HttpResponse> {
    const { session } = this.#target;
    const response = await session.send({ ...request, body: body() });
    if (response.status !== 401 || !(await session.reauthorize(response, request))) return response;
    await discard(response);
    return session.send({ ...request, body: body() });
  }

  #begin(target: string, scopes: Scopes): SessionRequest {
    return { ...this.#request('POST', target), scopes, headers: { 'content-length': '0' } };
  }

  #opened(response: HttpResponse): void {
    const { registry } = this.#target.session.endpoint;
    if (response.header('location') === undefined)
      throw registryError(registry, 'it began an upload and did not say where');
    this.#move(response);
    const shortest = response.header('oci-chunk-min-length') ?? '';
    this.#shortest = /^\d{1,12}$/.test(shortest) ? Number(shortest) : 0;
  }

  #move(response: HttpResponse): void {
    const location = response.header('location');
    if (location !== undefined) this.#location = this.#target.session.resolveLocation(location, response.url);
  }

  #request(method: SessionRequest['method'], target: string | URL | undefined): SessionRequest {
    if (target === undefined) throw new Error('no upload is open');
    const { reference, signal } = this.#target;
    return { method, target, reference, scopes: this.scopes, signal };
  }
}

/** Whether an answer says that what was asked for is done. */
export function isSuccess(response: HttpResponse): boolean {
  return response.status >= 200 && response.status <= 204;
}

/** What a refused upload was to do, for messages. */
export function pushAction(session: Session, reference: ImageReference): string {
  return `push to ${session.endpoint.registry}/${reference.repository}`;
}
