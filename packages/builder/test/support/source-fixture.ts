import { openStore, type Store } from '@strake/store';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import { dirname, join } from 'node:path';

import type { BuilderServices } from '../../src/services.js';

/** A scratch folder with a store, and services that need nothing else. */
export interface Fixture {
  readonly folder: string;
  readonly services: BuilderServices;
  readonly store: Store;
  readonly signal: AbortSignal;
  /** Writes files below the scratch folder; returns the path of the first folder named. */
  write(files: Readonly<Record<string, string | Uint8Array>>, below?: string): string;
  /** What a build does at its end: everything temporary goes. */
  cleanUp(): Promise<void>;
  /** Names of what is left in the store's folder for temporary files. */
  leftovers(): string[];
  remove(): Promise<void>;
}

export async function createFixture(overrides: Partial<BuilderServices> = {}): Promise<Fixture> {
  const folder = fs.realpathSync(fs.mkdtempSync(join(os.tmpdir(), 'strake-source-')));
  const store = await openStore({ root: join(folder, 'store'), workers: 1 });
  const cleanups: (() => Promise<void>)[] = [];
  const none = (): never => {
    throw new Error('not for this test');
  };
  const services: BuilderServices = {
    store,
    registry: none,
    sandbox: none,
    xattrs: () => undefined,
    secret: () => Promise.resolve(undefined),
    sshSocket: () => Promise.resolve(undefined),
    renewedCaches: new Set(),
    warned: new Set(),
    contacts: new Map(),
    emit: () => undefined,
    now: Date.now,
    onCleanup: (cleanup) => void cleanups.push(cleanup),
    environment: { PATH: process.env['PATH'] },
    ...overrides,
  };
  const cleanUp = async (): Promise<void> => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  };
  return {
    folder,
    services,
    store,
    signal: new AbortController().signal,
    write(files, below = 'context') {
      const root = join(folder, below);
      fs.mkdirSync(root, { recursive: true });
      for (const [name, content] of Object.entries(files)) {
        fs.mkdirSync(dirname(join(root, name)), { recursive: true });
        fs.writeFileSync(join(root, name), content);
      }
      return root;
    },
    cleanUp,
    leftovers: () => {
      const tmp = join(folder, 'store', 'tmp');
      return fs.existsSync(tmp) ? fs.readdirSync(tmp, { recursive: true }).map(String) : [];
    },
    async remove() {
      await cleanUp();
      await store.close();
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface TestServer {
  readonly url: string;
  readonly requests: http.IncomingMessage[];
  answer: (request: http.IncomingMessage, response: http.ServerResponse) => void;
  close(): Promise<void>;
}

/** An http server on loopback that notes what it is asked. */
export async function createServer(answer: TestServer['answer']): Promise<TestServer> {
  const requests: http.IncomingMessage[] = [];
  const test = { requests, answer, url: '', close: () => Promise.resolve() };
  const server = http.createServer((request, response) => {
    requests.push(request);
    test.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  test.close = () =>
    new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  return test;
}

/** Runs git with a configuration of its own. */
export function git(cwd: string, ...args: string[]): string {
  const env = {
    PATH: process.env['PATH'],
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: 'a',
    GIT_AUTHOR_EMAIL: 'a@example.com',
    GIT_COMMITTER_NAME: 'a',
    GIT_COMMITTER_EMAIL: 'a@example.com',
    GIT_AUTHOR_DATE: '1600000000 +0000',
    GIT_COMMITTER_DATE: '1600000000 +0000',
  };
  return execFileSync('git', ['-c', 'init.defaultBranch=main', '-c', 'protocol.file.allow=always', ...args], {
    cwd,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
}
