import { lookup } from 'node:dns/promises';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';

import { allowedBy, mayResolveTo, type EgressRule } from './egress-rules.js';

/** What a step has asked of its proxy. */
export interface HostContact {
  readonly host: string;
  readonly port: number;
  readonly allowed: boolean;
  /** How often. */
  readonly count: number;
}

/** An http(s) proxy for one step, which lets it reach the hosts of an allowlist and writes down what it asked for. */
export interface EgressProxy {
  /** Serves what connects to LISTENER, which may listen in another network namespace. */
  serve(listener: net.Server): void;
  contacts(): readonly HostContact[];
  close(): void;
}

export interface EgressOptions {
  readonly rules: readonly EgressRule[];
  /** A proxy of this machine that everything must go through: `http://[user:password@]host:port`. */
  readonly upstream?: URL | undefined;
}

/** No step can make the list of its contacts longer than this. */
const MAX_CONTACTS = 1000;
/** Connections at a time, from the step and onward: they are this process's memory and descriptors. */
const MAX_CONNECTIONS = 1024;
/** Headers that are for one hop (RFC 9110, section 7.6.1). */
const HOP = ['connection', 'keep-alive', 'proxy-authorization', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade']; // prettier-ignore

/** Makes the proxy of one step (RFC 9110, sections 7.1 and 9.3.6). */
export function createEgressProxy({ rules, upstream }: EgressOptions): EgressProxy {
  const contacts = new Map<string, { host: string; port: number; allowed: boolean; count: number }>();
  const sockets = new Set<Duplex>();
  const hold = (socket: Duplex): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  };
  const note = (host: string, port: number, allowed: boolean): void => {
    const key = `${host} ${port} ${allowed}`;
    const known = contacts.get(key);
    if (known) known.count++;
    else if (contacts.size < MAX_CONTACTS) contacts.set(key, { host, port, allowed, count: 1 });
  };
  /** The addresses that a host may be reached at; undefined where it may not. */
  const admit = async (host: string, port: number): Promise<string | undefined> => {
    const rule = allowedBy(rules, host, port);
    let address: string | undefined;
    if (rule && upstream) address = host;
    else if (rule) {
      const found = await lookup(host, { all: true }).catch(() => []);
      address = found.map((one) => one.address).find((one) => mayResolveTo(rule, one));
      if (found.length > 0 && address === undefined) {
        note(host, port, false);
        return undefined;
      }
    }
    note(host, port, rule !== undefined);
    return address ?? (rule ? '' : undefined);
  };

  const server = http.createServer((request, response) => void forward(request, response));
  server.on('connect', (request: IncomingMessage, socket: Duplex, head: Buffer) => void tunnel(request, socket, head));
  server.on('connection', hold);
  server.on('clientError', (_error, socket) => socket.destroy());

  const tunnel = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const { host, port } = authority(request.url ?? '', 443);
    const address = host === undefined ? undefined : await admit(host, port);
    if (host === undefined || address === undefined || address === '') {
      socket.end(plainAnswer(address === '' ? 502 : 403, explanation(host, port, address)));
      return;
    }
    const onward = upstream ? net.connect(portOf(upstream), upstream.hostname) : net.connect(port, address);
    hold(onward);
    onward.once('close', () => socket.destroy());
    socket.once('close', () => onward.destroy());
    onward.once('connect', () => {
      if (upstream) onward.write(connectRequest(host, port, upstream));
      // An upstream's answer to CONNECT is what the step gets for an answer.
      else socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) onward.write(head);
      onward.pipe(socket);
      socket.pipe(onward);
    });
  };

  const forward = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = URL.canParse(request.url ?? '') ? new URL(request.url ?? '') : undefined;
    const port = url ? portOf(url) : 80;
    const host = url?.protocol === 'http:' ? unbracketed(url.hostname) : undefined;
    const address = host === undefined ? undefined : await admit(host, port);
    if (!url || host === undefined || address === undefined || address === '') {
      const text = explanation(host, port, address);
      response.writeHead(address === '' ? 502 : 403, { 'content-type': 'text/plain' }).end(`${text}\n`);
      return;
    }
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !HOP.includes(name)));
    if (upstream && upstream.username !== '') headers['proxy-authorization'] = basic(upstream);
    const onward = http.request({
      host: upstream ? upstream.hostname : address,
      port: upstream ? portOf(upstream) : port,
      method: request.method,
      path: upstream ? url.href : `${url.pathname}${url.search}`,
      headers: { ...headers, host: url.host },
      agent: false,
    });
    let whole = (): boolean => false;
    onward.on('response', (answer) => {
      const status = answer.statusCode ?? 0;
      // Node takes such a status, and throws where it is handed on.
      if (status < 100) return void onward.destroy(new Error(`status ${status}`));
      const kept = Object.entries(answer.headers).filter(([name]) => !HOP.includes(name));
      response.writeHead(status, Object.fromEntries(kept));
      whole = () => answer.complete;
      answer.pipe(response);
    });
    const fail = (): void => {
      response.writeHead(502, { 'content-type': 'text/plain' }).end(`${host}:${port} does not answer\n`);
    };
    onward.on('error', () => {
      if (!response.headersSent) fail();
      // What comes behind a whole answer is nobody's.
      else if (!whole()) response.destroy();
    });
    // Without an answer, as when a server wants to speak something else (101).
    onward.on('close', () => {
      if (!response.headersSent) fail();
    });
    response.once('close', () => onward.destroy());
    request.pipe(onward);
  };

  const listeners: net.Server[] = [];
  return {
    serve(listener) {
      listeners.push(listener);
      listener.on('connection', (socket) => {
        if (sockets.size < MAX_CONNECTIONS) server.emit('connection', socket);
        else socket.destroy();
      });
    },
    contacts: () => [...contacts.values()],
    close() {
      for (const listener of listeners) listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function explanation(host: string | undefined, port: number, address: string | undefined): string {
  if (host === undefined) return 'strake: this proxy takes CONNECT and http:// addresses';
  if (address === '') return `strake: ${host} cannot be found`;
  return `strake: ${host}:${port} is not among the hosts that --allow-host lets steps reach`;
}

/** `host:port` of a CONNECT request. */
function authority(text: string, defaultPort: number): { host: string | undefined; port: number } {
  const [, host, port] = /^(\[[^\]]+\]|[^:/@\s]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  return {
    host: host === undefined ? undefined : unbracketed(host),
    port: port === undefined ? defaultPort : Number(port),
  };
}

function unbracketed(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

function portOf(url: URL): number {
  return Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
}

function basic({ username, password }: URL): string {
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

function connectRequest(host: string, port: number, upstream: URL): string {
  const target = `${net.isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  const lines = [`CONNECT ${target} HTTP/1.1`, `Host: ${target}`];
  if (upstream.username !== '') lines.push(`Proxy-Authorization: ${basic(upstream)}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function plainAnswer(status: number, text: string): string {
  const body = `${text}\n`;
  return `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;
}
