import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { connect, createServer as createSocketServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findProgram } from './programs.js';

/** bcrypt, cost 4, of "correct horse". */
const HTPASSWD = 'me:$2b$04$MGdZBhuH.w3YkI341kBW7uUfc6JEs8iE8IjJkoLlSHhpbKjvQwPbO\n';

/** The one account of a registry with authentication. */
export const ACCOUNT = { username: 'me', password: 'correct horse' } as const;

/** A docker-registry of its own behind a proxy that records what is asked of it. */
export class DockerRegistry {
  /** Its name in references. */
  readonly host: string;
  /** `METHOD path status` of each request that was answered, in order. */
  readonly requests: string[] = [];
  readonly #proxy: Server;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(host: string, proxy: Server, child: ChildProcess, folder: string, requests: string[]) {
    this.host = host;
    this.#proxy = proxy;
    this.#child = child;
    this.#folder = folder;
    this.requests = requests;
  }

  static async start(options: { readonly auth?: boolean } = {}): Promise<DockerRegistry> {
    const program = findProgram('docker-registry');
    if (program === undefined) throw new Error('docker-registry is not installed');
    const folder = mkdtempSync(path.join(tmpdir(), 'strake-e2e-registry-'));
    const port = await freePort();
    writeFileSync(path.join(folder, 'htpasswd'), HTPASSWD);
    const config = {
      version: '0.1',
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: path.join(folder, 'storage') }, delete: { enabled: true } },
      http: { addr: `127.0.0.1:${port}` },
      ...(options.auth ? { auth: { htpasswd: { realm: 'test', path: path.join(folder, 'htpasswd') } } } : {}),
    };
    writeFileSync(path.join(folder, 'config.yml'), JSON.stringify(config));
    const child = spawn(program, ['serve', path.join(folder, 'config.yml')], { stdio: 'ignore' });
    await listening(child, port);
    const requests: string[] = [];
    const proxy = recordingProxy(port, requests);
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    return new DockerRegistry(host, proxy, child, folder, requests);
  }

  /** Forgets the requests so far. */
  forget(): void {
    this.requests.length = 0;
  }

  async close(): Promise<void> {
    this.#proxy.closeAllConnections();
    await new Promise((resolve) => this.#proxy.close(resolve));
    if (this.#child.exitCode === null) {
      const ended = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill();
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Hands requests on with their Host header, so that the registry's Location headers lead back here. */
function recordingProxy(port: number, requests: string[]): Server {
  return createServer((asked, answer) => {
    const { method, url, headers } = asked;
    const onward = request({ host: '127.0.0.1', port, method, path: url, headers }, (answered) => {
      requests.push(`${method} ${url} ${answered.statusCode}`);
      answer.writeHead(answered.statusCode ?? 502, answered.headers);
      answered.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    asked.on('error', () => onward.destroy());
    asked.pipe(onward);
  });
}

async function freePort(): Promise<number> {
  const server = createSocketServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves when something listens at the port, rejects when the process ended before. */
async function listening(child: ChildProcess, port: number): Promise<void> {
  while (child.exitCode === null) {
    const up = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('error', () => resolve(false));
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
    });
    if (up) return;
    await pause(10);
  }
  throw new Error(`docker-registry ended with status ${child.exitCode}`);
}
