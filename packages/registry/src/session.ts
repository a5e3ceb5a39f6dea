import { abortable, cancelled, type ImageReference, type StrakeError } from '@strake/core';
import { failureOf } from './answers.js';
import { Authorizer, type Need } from './authorizer.js';
import { repositoryAt, type Endpoint, type Scheme } from './endpoint.js';
import { registryError } from './errors.js';
import { isCertificateProblem, networkFailure } from './network-failure.js';
import { followRedirect } from './redirect.js';
import { withRetries, type RetryPolicy } from './retry.js';
import { repositoryScope, type Scopes } from './scope.js';
import { discard, type Headers, type HttpRequest, type HttpResponse, type Transport } from './transport.js';
import type { Credentials } from './types.js';

const MAX_REDIRECTS = 5;
/**
 * How long the preferred scheme is waited for before the other one is tried beside it. Milliseconds. A slow network must not
 * make a registry that speaks https appear as one that does not.
 */
const HEAD_START = { http: 300, https: 5000 } as const;

export interface SessionRequest {
  readonly method: HttpRequest['method'];
  /** What follows `/v2/<repository>/`, or the address that the registry gave. */
  readonly target: string | URL;
  readonly reference: Pick<ImageReference, 'repository'>;
  readonly headers?: Headers;
  readonly body?: HttpRequest['body'];
  readonly signal?: AbortSignal | undefined;
  /** Beyond pulling from the repository. */
  readonly scopes?: Scopes;
  /** The content is checked against a digest, so that unencrypted hosts may be redirected to. */
  readonly immutable?: boolean;
  /** A single attempt: the caller has its own way to go on. */
  readonly once?: boolean;
  readonly headersTimeout?: number | undefined;
}

interface Link {
  readonly base: URL;
  readonly authorizer: Authorizer;
}

export interface SessionOptions {
  readonly transport: Transport;
  readonly endpoint: Endpoint;
  readonly policy: RetryPolicy;
  readonly lookUp: (repository: string) => Promise<Credentials | undefined>;
  readonly onWarning: (message: string) => void;
}

/** Speaks to one endpoint: finds its scheme, is let in, follows redirects, tries again. */
export class Session {
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  readonly policy: RetryPolicy;
  readonly #options: SessionOptions;
  readonly #foreign = new Map<string, Authorizer>();
  #link: Promise<Link> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.endpoint = options.endpoint;
    this.transport = options.transport;
    this.policy = options.policy;
  }

  /**
   * Sends a request and resolves with the head of the last answer, whatever its status; the caller reads or discards the body.
   * @throws StrakeError `REGISTRY_UNREACHABLE`, `REGISTRY_UNAUTHORIZED` and others of the token service, `CANCELLED`
   */
  async send(request: SessionRequest): Promise<HttpResponse> {
    const { signal, target } = request;
    let url: URL | undefined;
    try {
      const link = await this.#connect(signal);
      url = typeof target === 'string' ? this.#url(link, request.reference, target) : target;
      const address = url;
      const response =
        request.once || !isReplayable(request)
          ? await this.#exchange(link, address, request)
          : await withRetries(this.policy, signal, discard, () => this.#exchange(link, address, request));
      this.#warn(response);
      return response;
    } catch (error) {
      if (signal?.aborted) throw cancelled(signal);
      throw networkFailure(this.endpoint.registry, error, this.transport.proxied(url ?? this.#home));
    }
  }

  /** The error for an answer that is no success; reads its body. With a reference, 404 means that the image is not there. */
  async fail(
    response: HttpResponse,
    action: string,
    request: { readonly reference: Pick<ImageReference, 'repository'>; readonly signal?: AbortSignal | undefined },
    image?: ImageReference,
  ): Promise<StrakeError> {
    const { authorizer } = await this.#connect(request.signal);
    return failureOf(response, {
      registry: this.endpoint.registry,
      action,
      anonymous: await authorizer.anonymous(request.reference.repository),
      secrets: authorizer.secrets,
      signal: request.signal,
      ...(image ? { reference: image } : {}),
    });
  }

  /** After a 401 to a request whose body cannot be sent again by `send`: whether a better authorization was got. */
  async reauthorize(response: HttpResponse, request: SessionRequest): Promise<boolean> {
    const { authorizer } = await this.#connect(request.signal);
    const need = this.#need(request);
    const used = await authorizer.authorization(need, request.signal);
    const next = await authorizer.renew(need, used, response.header('www-authenticate'), request.signal);
    return next !== undefined;
  }

  /** An address that the registry gave in LOCATION, resolved; one with https lost on the way back (a proxy's fault) gets it again. */
  resolveLocation(location: string, from: URL): URL {
    if (!URL.canParse(location, from.href)) throw registryError(this.endpoint.registry, 'it sent an invalid Location');
    const next = new URL(location, from);
    return followRedirect(this.endpoint, from, next, false);
  }

  async #exchange(link: Link, url: URL, request: SessionRequest): Promise<HttpResponse> {
    let address = url;
    let authorizer: Authorizer | undefined = url.origin === link.base.origin ? link.authorizer : undefined;
    for (let hop = 0; ; hop++) {
      const response = await this.#authorized(authorizer, link, address, request);
      const location = response.header('location');
      const redirected = [301, 302, 303, 307, 308].includes(response.status) && location !== undefined;
      if (!redirected || !isReplayable(request)) return response;
      if (request.method !== 'GET' && request.method !== 'HEAD' && response.status < 307) return response;
      await discard(response);
      if (hop === MAX_REDIRECTS) throw registryError(this.endpoint.registry, 'it redirects without end');
      if (!URL.canParse(location, address.href))
        throw registryError(this.endpoint.registry, 'it redirects to an invalid address');
      const next = followRedirect(this.endpoint, address, new URL(location, address), request.immutable ?? false);
      // Once the origin is left, credentials stay behind, even where a redirect leads back.
      if (next.origin !== address.origin) authorizer = undefined;
      address = next;
    }
  }

  async #authorized(
    authorizer: Authorizer | undefined,
    link: Link,
    url: URL,
    request: SessionRequest,
  ): Promise<HttpResponse> {
    const need = this.#need(request);
    const home = url.hostname === link.base.hostname;
    const send = async (authorization: string | undefined): Promise<HttpResponse> =>
      this.transport.request({
        method: request.method,
        url,
        headers: { ...request.headers, ...(authorization === undefined ? {} : { authorization }) },
        body: request.body,
        signal: request.signal,
        insecure: this.endpoint.insecure && home,
        headersTimeout: request.headersTimeout,
      });
    const known = authorizer ?? this.#foreign.get(url.origin);
    const used = await known?.authorization(need, request.signal);
    const response = await send(used);
    if (response.status !== 401 || !isReplayable(request)) return response;
    const header = response.header('www-authenticate');
    const renewed = await (known ?? this.#stranger(url)).renew(need, used, header, request.signal);
    if (renewed === undefined) return response;
    await discard(response);
    return send(renewed);
  }

  /** For a host that the registry redirected to and that wants a token: an anonymous one is all that it gets. */
  #stranger(url: URL): Authorizer {
    const { transport, policy, endpoint } = this.#options;
    const authorizer = new Authorizer({
      transport,
      policy,
      registry: endpoint.registry,
      base: new URL(url.origin),
      insecure: false,
      lookUp: async () => undefined,
    });
    if (this.#foreign.size < 64) this.#foreign.set(url.origin, authorizer);
    return authorizer;
  }

  #need(request: SessionRequest): Need {
    const { repository } = request.reference;
    return { repository, scopes: request.scopes ?? repositoryScope(repositoryAt(this.endpoint, request.reference)) };
  }

  #url(link: Link, reference: Pick<ImageReference, 'repository'>, path: string): URL {
    const repository = reference.repository === '' ? '' : repositoryAt(this.endpoint, reference);
    const { mirrorOf } = this.endpoint;
    const ns = mirrorOf === undefined ? '' : `${path.includes('?') ? '&' : '?'}ns=${encodeURIComponent(mirrorOf)}`;
    return new URL(`/v2/${repository === '' ? '' : `${repository}/`}${path}${ns}`, link.base);
  }

  /** The address to be used before it is known which scheme it is. */
  get #home(): URL {
    return new URL(`${this.endpoint.schemes[0] ?? 'https'}://${this.endpoint.host}`);
  }

  async #connect(signal: AbortSignal | undefined): Promise<Link> {
    // Not bound to the caller's signal: others may wait for the same answer, and `close` of the transport ends it.
    let link = this.#link;
    if (!link) {
      link = this.#race();
      this.#link = link;
      link.catch(() => {
        if (this.#link === link) this.#link = undefined;
      });
    }
    return abortable(link, signal);
  }

  /** The first of the endpoint's schemes that answers; the second is tried when the first failed or took too long. */
  async #race(): Promise<Link> {
    const [first, second] = this.endpoint.schemes;
    if (first === undefined) throw new Error('an endpoint without a scheme');
    if (second === undefined) return this.#ping(first);
    const loser = new AbortController();
    const failures: unknown[] = [];
    let startSecond: () => void = () => undefined;
    const mayStart = new Promise<void>((resolve) => (startSecond = resolve));
    const timer = setTimeout(startSecond, HEAD_START[first]);
    const guarded = async (scheme: Scheme, at: number): Promise<Link> => {
      try {
        return await this.#ping(scheme, loser.signal);
      } catch (error) {
        failures[at] = error;
        startSecond();
        throw error;
      }
    };
    try {
      return await Promise.any([guarded(first, 0), mayStart.then(() => guarded(second, 1))]);
    } catch {
      const [one, two] = failures;
      throw one instanceof WantsTls || isCertificateProblem(two) ? two : one;
    } finally {
      clearTimeout(timer);
      loser.abort();
    }
  }

  async #ping(scheme: Scheme, signal?: AbortSignal): Promise<Link> {
    const { transport, policy, endpoint, lookUp } = this.#options;
    const base = new URL(`${scheme}://${endpoint.host}`);
    // Only broken connections are retried here: an unhappy status tells enough, and the request proper will see it again.
    // With a second scheme to try, not even these.
    const attempts = endpoint.schemes.length > 1 ? 1 : policy.attempts;
    const response = await withRetries({ ...policy, attempts, longestWait: 0 }, signal, discard, () =>
      transport.request({ method: 'GET', url: new URL('/v2/', base), signal, insecure: endpoint.insecure }),
    );
    await discard(response);
    const location = response.header('location') ?? '';
    if (scheme === 'http' && endpoint.schemes.includes('https')) {
      // A TLS port that is spoken to in plain text answers 400; others redirect.
      if (response.status === 400 || response.status === 426 || /^https:/i.test(location)) {
        throw new WantsTls();
      }
    }
    const authorizer = new Authorizer({
      transport,
      policy,
      registry: endpoint.registry,
      base,
      insecure: endpoint.insecure,
      lookUp,
    });
    if (response.status === 401) authorizer.learn(response.header('www-authenticate'));
    this.#warn(response);
    return { base, authorizer };
  }

  #warn(response: HttpResponse): void {
    const header = response.header('warning');
    if (header === undefined) return;
    for (const match of header.slice(0, 4096).matchAll(/(?:^|,\s*)299 [^ "]* "((?:[^"\\]|\\.)*)"/g)) {
      this.#options.onWarning((match[1] ?? '').replace(/\\(.)/g, '$1'));
    }
  }
}

/** Plain http got an answer that points to https. */
class WantsTls extends Error {}

/** Whether a request can be sent once more as it is. */
function isReplayable(request: SessionRequest): boolean {
  return request.body === undefined || typeof request.body === 'string' || request.body instanceof Uint8Array;
}
