import { setMaxListeners } from 'node:events';
import { cancelled, throwIfAborted } from '@strake/core';
import type { Agent, Dispatcher, Pool, ProxyAgent } from 'undici';
import { interimLimit, steady } from './patience.js';
import type { ProxyChooser } from './proxy.js';

/** How long to wait, in milliseconds, before a silent peer counts as gone. */
export interface Timeouts {
  /** Until a connection stands (TLS included). */
  readonly connect: number;
  /** Until the head of an answer arrives after a request is sent; also how long an upload may stand still. */
  readonly headers: number;
  /** Between two pieces of a body. */
  readonly body: number;
  /** Until a finished upload is confirmed: registries on object stores copy it first. */
  readonly commit: number;
  /** In which a body must bring 1 KiB, and a head be whole whatever comes before it. */
  readonly slow: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = {
  connect: 15_000,
  headers: 60_000,
  body: 60_000,
  commit: 300_000,
  slow: 120_000,
};
/** How long the rest of an answer that nobody reads is waited for, to use its connection again. Milliseconds. */
const DISCARDING = 5000;

export type Headers = Readonly<Record<string, string>>;

/** One HTTP exchange: no redirects, retries or credentials yet. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers?: Headers;
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Certificates are not checked. */
  readonly insecure?: boolean;
  /** Instead of the timeout for headers. */
  readonly headersTimeout?: number | undefined;
}

export interface HttpResponse {
  readonly status: number;
  readonly url: URL;
  readonly body: Dispatcher.ResponseData['body'];
  /** The body's chunks, from a server that does not dawdle. */
  chunks(): AsyncGenerator<Buffer>;
  /** All values of a header, joined with commas; undefined where it is missing. */
  header(name: string): string | undefined;
}

export interface TransportOptions {
  readonly connections: number;
  readonly timeouts: Timeouts;
  readonly userAgent: string;
  readonly proxies: ProxyChooser;
  readonly certificateAuthorities?: readonly string[] | undefined;
}

interface Parts {
  readonly Agent: typeof Agent;
  readonly ProxyAgent: typeof ProxyAgent;
  readonly Pool: typeof Pool;
  readonly rootCertificates: readonly string[];
  readonly connect: Dispatcher['connect'];
  readonly request: (this: Dispatcher, options: Dispatcher.RequestOptions) => Promise<Dispatcher.ResponseData>;
}

/** Connections to any number of hosts, pooled and limited per host. undici is loaded with the first request. */
export class Transport {
  readonly #options: TransportOptions;
  readonly #dispatchers = new Map<string, Dispatcher>();
  #parts: Promise<Parts> | undefined;
  #closed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  get timeouts(): Timeouts {
    return this.#options.timeouts;
  }

  /** Whether requests to URL go through a proxy. */
  proxied(url: URL): boolean {
    return this.#options.proxies.choose(url) !== undefined;
  }

  /**
   * Sends a request and resolves with the head of the answer. The caller must read or `discard` the body.
   * @throws StrakeError `CANCELLED`; undici's and Node's own errors for failures of the network
   */
  async request(request: HttpRequest): Promise<HttpResponse> {
    throwIfAborted(request.signal);
    const { url, signal } = request;
    const parts = await (this.#parts ??= loadParts());
    const dispatcher = this.#dispatcher(parts, url, request.insecure ?? false);
    const { timeouts, userAgent } = this.#options;
    // undici listens to the signal once a request: Node would warn of a leak from the eleventh on.
    if (signal) setMaxListeners(0, signal);
    const whole = request.body === undefined || typeof request.body === 'string' || request.body instanceof Uint8Array;
    try {
      const { statusCode, headers, body } = await parts.request.call(dispatcher, {
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method: request.method,
        headers: { 'user-agent': userAgent, ...request.headers },
        body: (request.body ?? null) as Dispatcher.DispatchOptions['body'],
        // undici closes the connection after each HEAD unless told otherwise; a push asks with HEAD for every blob.
        reset: false,
        headersTimeout: request.headersTimeout ?? timeouts.headers,
        bodyTimeout: timeouts.body,
        onInfo: interimLimit(whole ? timeouts.slow : undefined),
        ...(signal ? { signal } : {}),
      });
      // A body that is given up (of an answer to HEAD, say) fails, and must not end the process where nobody listens.
      body.on('error', () => undefined);
      return {
        status: statusCode,
        url,
        body,
        chunks: () => steady(body as AsyncIterable<Buffer>, timeouts.slow),
        header(name) {
          const value = headers[name];
          return Array.isArray(value) ? value.join(', ') : value;
        },
      };
    } catch (error) {
      if (signal?.aborted) throw cancelled(signal);
      throw error;
    }
  }

  /** Ends all connections at once. */
  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#dispatchers.values()];
    this.#dispatchers.clear();
    await Promise.all(all.map(async (dispatcher) => dispatcher.destroy()));
  }

  #dispatcher(parts: Parts, url: URL, insecure: boolean): Dispatcher {
    if (this.#closed) throw new Error('the registry client is closed');
    const proxy = this.#options.proxies.choose(url);
    const key = `${insecure ? 'insecure' : 'checked'} ${proxy ? `${proxy.href} ${url.protocol}` : ''}`;
    let dispatcher = this.#dispatchers.get(key);
    if (dispatcher) return dispatcher;
    const { connections, timeouts, certificateAuthorities } = this.#options;
    const tls = {
      timeout: timeouts.connect,
      rejectUnauthorized: !insecure,
      ...(certificateAuthorities?.length ? { ca: [...parts.rootCertificates, ...certificateAuthorities] } : {}),
    };
    // A parked connection is kept for less time than servers and balancers usually keep it.
    const common = { connections, pipelining: 1, keepAliveTimeout: 4000, maxHeaderSize: 64 * 1024 };
    dispatcher = proxy
      ? new parts.ProxyAgent({
          ...common,
          uri: proxy.href,
          requestTls: tls,
          proxyTls: { timeout: timeouts.connect },
          // Many proxies tunnel to port 443 only: plain http is asked for in the old way.
          proxyTunnel: url.protocol === 'https:',
          // ProxyAgent calls the method that only the whole of undici puts on its classes.
          clientFactory: (origin, settings) =>
            Object.assign(new parts.Pool(origin, settings), { connect: parts.connect }),
        })
      : new parts.Agent({ ...common, connect: tls });
    this.#dispatchers.set(key, dispatcher);
    return dispatcher;
  }
}

async function loadParts(): Promise<Parts> {
  const [tls, agent, proxyAgent, pool, connect, request] = await Promise.all([
    import('node:tls'),
    import('undici/lib/dispatcher/agent.js'),
    import('undici/lib/dispatcher/proxy-agent.js'),
    import('undici/lib/dispatcher/pool.js'),
    import('undici/lib/api/api-connect.js'),
    import('undici/lib/api/api-request.js'),
  ]);
  return {
    Agent: agent.default,
    ProxyAgent: proxyAgent.default,
    Pool: pool.default,
    connect: connect.default,
    request: request.default,
    rootCertificates: tls.rootCertificates,
  };
}

/** Reads the rest of a small body and forgets it, so that the connection can be used again; a large or slow one is cut off. */
export async function discard(response: HttpResponse): Promise<void> {
  try {
    await response.body.dump({ limit: 64 * 1024, signal: AbortSignal.timeout(DISCARDING) });
  } catch {
    response.body.destroy();
  }
}

/** Up to LIMIT bytes of a body; what is beyond is cut off with its connection. A body that breaks counts as far as it came. */
export async function readCapped(response: HttpResponse, limit: number, signal?: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response.chunks()) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= limit) break;
    }
  } catch {
    response.body.destroy();
    throwIfAborted(signal);
  }
  return Buffer.concat(chunks).subarray(0, limit);
}
