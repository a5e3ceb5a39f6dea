import { spawn } from 'node:child_process';
import { createReadStream, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

/** A web server on loopback for the files of a folder, with their times; what ends in `.git/...` is answered by Git. */
export class ServedFiles {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(folder: string): Promise<ServedFiles> {
    const server = createServer((asked, answer) => {
      const url = new URL(asked.url ?? '/', 'http://served');
      if (/\.git\//.test(url.pathname)) askGit(folder, url, asked, answer);
      else sendFile(path.join(folder, decodeURIComponent(url.pathname)), asked.method === 'HEAD', answer);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ServedFiles(server);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function sendFile(file: string, head: boolean, answer: ServerResponse): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (!stat?.isFile()) {
    answer.writeHead(404).end();
    return;
  }
  answer.writeHead(200, { 'content-length': stat.size, 'last-modified': stat.mtime.toUTCString() });
  if (head) answer.end();
  else createReadStream(file).pipe(answer);
}

/** Git's own server program, called as CGI: it answers what a client asks by http. */
function askGit(folder: string, url: URL, asked: IncomingMessage, answer: ServerResponse): void {
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'] ?? '',
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_COUNT: '2',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
      GIT_CONFIG_KEY_1: 'uploadpack.allowAnySHA1InWant',
      GIT_CONFIG_VALUE_1: 'true',
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: asked.method ?? 'GET',
      CONTENT_TYPE: asked.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: asked.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: [asked.headers['git-protocol'] ?? ''].flat().join(':'),
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  asked.pipe(child.stdin);
  child.stdin.on('error', () => undefined); // it may answer without reading everything
  let head: Buffer | undefined = Buffer.alloc(0);
  child.stdout.on('data', (chunk: Buffer) => {
    if (!head) {
      answer.write(chunk);
      return;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    let status = 200;
    for (const line of head.toString('latin1', 0, end).split('\r\n')) {
      const [name = '', value = ''] = line.split(/: (.*)/s);
      if (name.toLowerCase() === 'status') status = parseInt(value, 10);
      else answer.setHeader(name, value);
    }
    answer.writeHead(status);
    answer.write(head.subarray(end + 4));
    head = undefined;
  });
  child.on('close', () => answer.end());
}
