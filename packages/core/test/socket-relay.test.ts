import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

import { createSocketRelay } from '../src/index.js';

describe('a relay between sockets', () => {
  let folder: string;
  beforeEach(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), 'strake-relay-'))));
  afterEach(() => fs.rmSync(folder, { recursive: true }));
  const at = (name: string): string => path.join(folder, name);

  it('passes bytes on in both directions, and ends both sides when it is closed', async () => {
    const server = net.createServer((socket) => socket.on('data', (data) => socket.write(`heard ${data.toString()}`)));
    await new Promise<void>((resolve) => server.listen(at('server'), resolve));
    const relay = createSocketRelay(at('server'));
    await relay.listen(at('relay'));
    const client = net.connect(at('relay'));
    client.write('this');
    assert.equal(String((await once(client, 'data'))[0]), 'heard this');
    const ended = once(client, 'close');
    await relay.close();
    await ended;
    assert.equal(fs.existsSync(at('relay')), false);
    // Resolves only once the relay has let go of its side.
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  it('ends connections where nobody listens', async () => {
    const relay = createSocketRelay(at('nobody'));
    await relay.listen(at('relay'));
    await once(net.connect(at('relay')), 'close');
    await relay.close();
  });

  it('tells where it cannot listen', async () => {
    await assert.rejects(createSocketRelay(at('nobody')).listen(at('no/folder')), { code: /ENOENT|EACCES/ });
  });
});
