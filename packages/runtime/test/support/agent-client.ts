import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { removeDeviceGuards } from '../../src/index.js';
import { plainContainerCommand } from '../../src/testing/index.js';
import type { ProbeReply, ProbeRequest, RunReply, RunRequest } from './agent.js';

const UNSHARE = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc'];

/**
 * Who an agent process runs as: root itself, an ordinary user in a user namespace, or root of a container without privileges, who
 * gets no namespaces.
 */
export type Identity = 'root' | 'user' | 'container';

/** An ordinary user that is there for the tests only, with ranges of ids of its own. */
export const TEST_USER = 'strake-test';

/** Why containers cannot be run here as IDENTITY, or undefined. */
export function obstacle(identity: Identity): string | undefined {
  if (process.getuid?.() !== 0) return 'the tests are not run by root';
  if (!fs.existsSync('/bin/busybox')) return 'there is no /bin/busybox';
  const trial = spawnSync('unshare', [...UNSHARE, 'true']);
  if (trial.status !== 0) return 'unshare does not work';
  if (identity !== 'user') return undefined;
  if (spawnSync('newuidmap').error) return 'there is no newuidmap';
  if (spawnSync('id', [TEST_USER]).status !== 0 && spawnSync('useradd', ['--create-home', TEST_USER]).status !== 0)
    return 'useradd does not work';
  const ranges = fs.readFileSync('/etc/subuid', 'utf8');
  return ranges.includes(`${TEST_USER}:`) ? undefined : 'the test user has no subordinate ids';
}

/** A process that runs containers at request. */
export class AgentClient {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #waiting = new Map<number, { resolve: (reply: object) => void; reject: (error: Error) => void }>();
  readonly #ready: Promise<void>;
  #next = 0;

  constructor(identity: Identity, executors: readonly string[]) {
    this.#folder = fs.mkdtempSync(path.join(os.tmpdir(), 'runtime-test-'));
    fs.chmodSync(this.#folder, 0o711);
    const agent = [
      process.execPath,
      '--enable-source-maps',
      fileURLToPath(new URL('./agent.js', import.meta.url)),
      this.#folder,
      ...executors,
    ];
    const start =
      identity === 'container'
        ? plainContainerCommand()
        : ['unshare', ...(identity === 'user' ? ['--user', '--map-root-user', '--map-auto'] : []), ...UNSHARE];
    const words = [...start, ...agent];
    if (identity === 'user') {
      const id = (flag: string): string => spawnSync('id', [flag, TEST_USER], { encoding: 'utf8' }).stdout.trim();
      const [uid, gid] = [id('-u'), id('-g')];
      fs.chownSync(this.#folder, Number(uid), Number(gid));
      words.unshift('setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups');
    }
    const [file = '', ...args] = words;
    const env = {
      PATH: process.env['PATH'],
      USER: TEST_USER,
      SECRET_OF_THE_BUILDER: 'harmful',
      ...(identity === 'user' ? { USER_XATTR: '1' } : {}),
    };
    this.#child = spawn(file, args, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' });
    this.#ready = new Promise((resolve, reject) => {
      this.#child.on('message', (message: { ready?: true; id?: number; reply?: object; failure?: string }) => {
        if (message.ready) resolve();
        if (message.id === undefined) return;
        const waiting = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        if (message.reply) waiting?.resolve(message.reply);
        else waiting?.reject(new Error(message.failure));
      });
      this.#child.on('exit', (code, signal) => {
        const error = new Error(`the agent ended: ${code ?? signal}`);
        reject(error);
        for (const { reject: refuse } of this.#waiting.values()) refuse(error);
      });
    });
    this.#ready.catch(() => undefined);
  }

  /** A folder that the agent can write. */
  get folder(): string {
    return this.#folder;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async run(request: RunRequest): Promise<RunReply> {
    return this.#ask({ request });
  }

  async probe(probe: ProbeRequest): Promise<ProbeReply> {
    return this.#ask({ probe });
  }

  async #ask<T>(message: object): Promise<T> {
    await this.#ready;
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: (reply) => resolve(reply as T), reject });
      this.#child.send({ id, ...message });
    });
  }

  async close(): Promise<void> {
    const ended = this.#child.exitCode !== null || this.#child.signalCode !== null;
    const exit = ended ? Promise.resolve() : new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    if (this.#child.connected) this.#child.disconnect();
    await exit;
    removeDeviceGuards(path.basename(this.#folder));
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }
}
