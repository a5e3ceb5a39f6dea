import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP, type Socket } from 'node:net';
import tls from 'node:tls';

/** How long to wait, in milliseconds, before a silent peer counts as gone. */
export interface HttpTimeouts {
  /** Until a connection stands, TLS included. */
  readonly connect: number;
  /** Between two pieces of an answer, its head included. */
  readonly stall: number;
  /** From the connection until the head of the answer is whole, and the time in which its body must bring {@link LEAST} bytes. */
  readonly slow: number;
}

export const HTTP_TIMEOUTS: HttpTimeouts = { connect: 30_000, stall: 60_000, slow: 120_000 };

/** Bytes: a server that sends less in the time `slow` keeps a build for nothing. */
const LEAST = 1024;
/** Answers that announce another one (RFC 9110, 15.2). */
const MOST_INTERIM = 100;

export interface HttpOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly timeouts: HttpTimeouts;
  readonly proxyFor?: ((url: URL) => URL | undefined) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A peer that was silent for too long. */
export class HttpTimeout extends Error {
  override readonly name = 'HttpTimeout';
}

/** A proxy that does not let through. */
export class ProxyRefusal extends Error {
  override readonly name = 'ProxyRefusal';
}

/**
 * One GET, directly or through a proxy: no redirects, no retries, no decoding. The caller must read or destroy the answer; the
 * connection ends with it. Rejects with Node's own errors, {@link HttpTimeout} and {@link ProxyRefusal}.
 */
export async function httpGet(url: URL, options: HttpOptions): Promise<IncomingMessage> {
  const proxy = options.proxyFor?.(url);
  const headers: Record<string, string> = { ...options.headers };
  if (url.username !== '' || url.password !== '') headers['authorization'] = basicCredentials(url);
  const target = { host: hostOf(url), port: portOf(url), path: `${url.pathname}${url.search}` };
  if (!proxy) return exchange(url.protocol, { ...target, headers: { ...headers, host: url.host } }, options);
  if (url.protocol === 'https:') {
    const socket = await tunnel(proxy, url, options);
    const createConnection = (): tls.TLSSocket =>
      tls.connect({ socket, ...serverName(url), ALPNProtocols: ['http/1.1'] });
    return exchange('https:', { ...target, headers: { ...headers, host: url.host }, createConnection }, options);
  }
  return exchange(
    proxy.protocol,
    {
      host: hostOf(proxy),
      port: portOf(proxy),
      path: `${url.origin}${target.path}`,
      headers: { ...headers, host: url.host, ...proxyCredentials(proxy) },
    },
    options,
  );
}

/** The value of an Authorization header for the user name and password in an address (RFC 7617). */
function basicCredentials(url: URL): string {
  const decode = (text: string): string => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };
  return `Basic ${Buffer.from(`${decode(url.username)}:${decode(url.password)}`).toString('base64')}`;
}

function proxyCredentials(proxy: URL): Record<string, string> {
  return proxy.username === '' && proxy.password === '' ? {} : { 'proxy-authorization': basicCredentials(proxy) };
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function portOf(url: URL): number {
  return Number(url.port || (url.protocol === 'https:' ? 443 : 80));
}

function serverName(url: URL): { servername?: string } {
  return isIP(hostOf(url)) === 0 ? { servername: hostOf(url) } : {};
}

function exchange(
  protocol: string,
  request: http.RequestOptions & https.RequestOptions,
  { timeouts, signal }: HttpOptions,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const made = (protocol === 'https:' ? https : http).request({
      method: 'GET',
      maxHeaderSize: 64 << 10,
      // Without createConnection: a connection of its own, that ends with the answer.
      ...(request.createConnection ? {} : { agent: false }),
      ...request,
      ...(signal ? { signal } : {}),
    });
    limitSilence(made, timeouts);
    made.on('error', reject);
    made.on('response', resolve);
    made.end();
  });
}

/** A connection to the host of URL that a proxy makes (RFC 9110, CONNECT). */
function tunnel(proxy: URL, url: URL, { timeouts, signal }: HttpOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const authority = `${url.hostname}:${portOf(url)}`;
    const made = (proxy.protocol === 'https:' ? https : http).request({
      method: 'CONNECT',
      host: hostOf(proxy),
      port: portOf(proxy),
      path: authority,
      headers: { host: authority, ...proxyCredentials(proxy) },
      agent: false,
      ...(signal ? { signal } : {}),
    });
    limitSilence(made, timeouts);
    made.on('error', reject);
    made.on('connect', (answer, socket: Socket) => {
      if (answer.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new ProxyRefusal(`the proxy ${proxy.host} answered ${answer.statusCode ?? 0}`));
    });
    made.end();
  });
}

/** Ends an exchange whose connection does not come to stand, or over which nothing comes. */
function limitSilence(request: http.ClientRequest, timeouts: HttpTimeouts): void {
  const connecting = setTimeout(() => {
    request.destroy(new HttpTimeout(`no connection within ${timeouts.connect / 1000} s`));
  }, timeouts.connect);
  const stop = (): void => clearTimeout(connecting);
  let answer: IncomingMessage | undefined;
  let interim = 0;
  let had = 0;
  const seconds = timeouts.slow / 1000;
  const drip = setInterval(() => {
    const now = request.socket?.bytesRead ?? 0;
    // Nothing is read of an answer while nobody takes it.
    const reading = answer?.complete === false && answer.readableLength < answer.readableHighWaterMark;
    if (!answer) request.destroy(new HttpTimeout(`there is no whole answer after ${seconds} s`));
    else if (reading && now - had < LEAST) {
      answer.destroy(new HttpTimeout(`less than ${LEAST} bytes came in ${seconds} s`));
    }
    had = now;
  }, timeouts.slow);
  request.on('information', () => {
    if (++interim > MOST_INTERIM) request.destroy(new HttpTimeout('the server sends interim answers without end'));
  });
  request.on('socket', (socket) => {
    if (!socket.connecting && !('encrypted' in socket)) stop();
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', stop);
    socket.setTimeout(timeouts.stall, () => {
      (answer ?? request).destroy(new HttpTimeout(`nothing came for ${timeouts.stall / 1000} s`));
    });
  });
  request.on('response', (message) => {
    answer = message;
    stop();
  });
  request.on('connect', () => {
    stop();
    clearInterval(drip);
  });
  request.on('close', () => {
    stop();
    clearInterval(drip);
  });
}
