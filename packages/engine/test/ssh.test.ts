import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { checkSshSources, createSshSockets } from '../src/ssh-sockets.js';

/** Not synchronous: the socket is served by this very process. */
const run = promisify(execFile);

describe('ssh sockets', () => {
  let folder: string;
  const cleanups: (() => Promise<void>)[] = [];
  const cleanup = { add: (one: () => Promise<void>) => void cleanups.push(one) };

  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'strake-test-'));
  });
  afterEach(async () => {
    for (const one of cleanups.splice(0)) await one();
    fs.rmSync(folder, { recursive: true });
  });

  function makeKey(passphrase: string): string {
    const key = path.join(folder, 'key');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-C', 'a test key', '-f', key]);
    return key;
  }

  it('a key file is offered by an agent of its own, which ends with the build', async () => {
    const sockets = createSshSockets([{ id: 'default', paths: [makeKey('')] }], {}, cleanup);
    const socket = await sockets('default');
    assert.ok(socket);
    const env = { ...process.env, SSH_AUTH_SOCK: socket.path };
    const { stdout: listed } = await run('ssh-add', ['-l'], { env });
    assert.match(listed, /a test key/);
    const places = [socket.path];
    for (const one of cleanups.splice(0)) await one();
    for (const place of places) assert.ok(!fs.existsSync(path.dirname(place)));
    await assert.rejects(run('ssh-add', ['-l'], { env }));
  });

  it('a key with a passphrase, or no key at all, is refused at once', async () => {
    const locked = createSshSockets([{ id: 'a', paths: [makeKey('secret words')] }], {}, cleanup);
    await assert.rejects(locked('a'), { code: 'SSH_INVALID' });
    const missing = createSshSockets([{ id: 'a', paths: [path.join(folder, 'none')] }], {}, cleanup);
    await assert.rejects(missing('a'), { code: 'SSH_INVALID' });
  });

  it('agents and keys are looked for before anything is built', async () => {
    await checkSshSources([{ id: 'a', paths: [makeKey('')] }], {});
    const missing = { id: 'a', paths: [path.join(folder, 'none')] };
    await assert.rejects(checkSshSources([missing], {}), { code: 'SSH_INVALID' });
    await assert.rejects(checkSshSources([{ id: 'default', paths: [] }], {}), { message: /SSH_AUTH_SOCK is not set/ });
  });

  it('without an agent it says how to start one; ids that were not given are not there', async () => {
    const sockets = createSshSockets([{ id: 'default', paths: [] }], {}, cleanup);
    await assert.rejects(sockets('default'), { code: 'SSH_INVALID' });
    assert.equal(await sockets('other'), undefined);
  });
});
