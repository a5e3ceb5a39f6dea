import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { errnoOf } from '@strake/core';

import type { ContainerSpec } from '../../src/index.js';
import type { Edit, RunReply, RunRequest } from './agent.js';
import { AgentClient, obstacle, type Identity } from './agent-client.js';

const BINARIES: Record<string, string> = {
  runc: '/usr/sbin/runc',
  'secretive-runc': '/usr/sbin/runc',
  crun: '/usr/bin/crun',
  native: '/usr/bin/unshare',
  chroot: process.execPath,
};
const NAMED = ['runc', 'crun', 'native'];
/** PATH for programs that are no busybox. */
export const GNU_PATH = 'PATH=/bin:/usr/bin';

/** Who runs which executor. `STRAKE_TEST_ALL` in the environment asks for every pair: some minutes more. */
const PAIRS: readonly (readonly [Identity, string])[] = process.env['STRAKE_TEST_ALL']
  ? (['root', 'user'] as const).flatMap((identity) => NAMED.map((name) => [identity, name] as const))
  : [
      ['root', 'runc'],
      ['root', 'native'],
      ['user', 'runc'],
    ];

/** What the tests of the contract work with. */
export interface ContractTools {
  readonly identity: Identity;
  readonly executor: string;
  /** There while a test runs. */
  readonly agent: AgentClient;
  /** A folder of the host that no container may change. */
  readonly outside: string;
  readonly run: (request: Omit<RunRequest, 'executor'>) => Promise<RunReply>;
  readonly sh: (script: string, spec?: Partial<ContainerSpec>, edits?: Edit[]) => Promise<RunReply>;
  /** Runs a script, which must succeed; what it printed. */
  readonly output: (script: string, spec?: Partial<ContainerSpec>, edits?: Edit[]) => Promise<string>;
}

/** The words of a process's command line; empty where it is gone. */
export function commandLine(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return '';
  }
}

/** Describes a part of what every executor does, whoever runs it. */
export function contract(suite: (tools: ContractTools) => void): void {
  for (const [identity, executor] of PAIRS) describeFor(identity, executor, suite);
}

/** Describes what one executor does that one of these runs. */
export function describeFor(identity: Identity, executor: string, suite: (tools: ContractTools) => void): void {
  describe(`executor ${executor} as ${identity}`, function () {
    this.timeout(30_000);
    let agent: AgentClient;
    let outside: string;

    before(function () {
      if (obstacle(identity) !== undefined || !fs.existsSync(BINARIES[executor] ?? '')) this.skip();
      agent = new AgentClient(identity, [executor]);
      outside = path.join(agent.folder, 'outside');
      fs.mkdirSync(outside, { mode: 0o777 });
      fs.chmodSync(outside, 0o777);
      fs.writeFileSync(path.join(outside, 'secret'), 'of the host');
    });
    after(async () => {
      if (obstacle(identity) === undefined) await (agent as AgentClient | undefined)?.close();
    });

    const run = async (request: Omit<RunRequest, 'executor'>): Promise<RunReply> => {
      const reply = await agent.run({ executor, ...request });
      assert.deepEqual(reply.leftovers, [], 'something is left');
      return reply;
    };
    const sh = async (script: string, spec: Partial<ContainerSpec> = {}, edits: Edit[] = []): Promise<RunReply> => {
      return run({ spec: { args: ['/bin/sh', '-c', script], ...spec }, edits });
    };
    /** Runs SCRIPT, which must succeed; what it printed. */
    const output = async (script: string, spec: Partial<ContainerSpec> = {}, edits: Edit[] = []): Promise<string> => {
      const reply = await sh(script, spec, edits);
      assert.deepEqual(
        { error: reply.error, status: reply.status, stderr: reply.stderr },
        { error: undefined, status: { exitCode: 0 }, stderr: '' },
      );
      return reply.stdout.trimEnd();
    };

    suite({
      identity,
      executor,
      get agent() {
        return agent;
      },
      get outside() {
        return outside;
      },
      run,
      sh,
      output,
    });
  });
}
