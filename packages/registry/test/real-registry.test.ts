import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { collect, MediaType, parseReference } from '@strake/core';
import { login } from '../src/index.js';
import { descriptorOf, noise, rejectsWith, stream, testClient } from './support.js';

const installed = (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
  try {
    accessSync(join(folder, 'docker-registry'), constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

/** bcrypt, cost 4, of "correct horse". */
const HTPASSWD = 'me:$2b$04$MGdZBhuH.w3YkI341kBW7uUfc6JEs8iE8IjJkoLlSHhpbKjvQwPbO\n';

async function freePort(): Promise<number> {
  const server = createServer();
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
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`docker-registry ended with status ${child.exitCode}`);
}

describe(`docker-registry${installed ? '' : ' (not installed: skipped; Debian has it as docker-registry)'}`, function () {
  for (const auth of [false, true]) {
    describe(auth ? 'with basic authentication' : 'for everybody', function () {
      let folder: string;
      let child: ChildProcess | undefined;
      let host: string;
      const credentials = auth ? { username: 'me', password: 'correct horse' } : undefined;

      before(async function () {
        if (!installed) this.skip();
        folder = await mkdtemp(join(tmpdir(), 'strake-registry-'));
        const port = await freePort();
        host = `127.0.0.1:${port}`;
        await writeFile(join(folder, 'htpasswd'), HTPASSWD);
        const config = {
          version: '0.1',
          log: { level: 'error', accesslog: { disabled: true } },
          storage: { filesystem: { rootdirectory: join(folder, 'storage') }, delete: { enabled: true } },
          http: { addr: host },
          ...(auth ? { auth: { htpasswd: { realm: 'test', path: join(folder, 'htpasswd') } } } : {}),
        };
        await writeFile(join(folder, 'config.yml'), JSON.stringify(config));
        child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], { stdio: 'ignore' });
        await listening(child, port);
      });
      after(async () => {
        if (child && child.exitCode === null) {
          const ended = new Promise((resolve) => child?.once('exit', resolve));
          child.kill();
          await ended;
        }
        if (folder) await rm(folder, { recursive: true, force: true });
      });

      it('takes and gives an image', async () => {
        const client = testClient({ login: credentials });
        const reference = parseReference(`${host}/team/app:v1`);
        const layer = noise(5_000_000);
        const config = Buffer.from('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}');
        const layers = [descriptorOf(layer), descriptorOf('')];
        const manifest = Buffer.from(
          JSON.stringify({
            schemaVersion: 2,
            mediaType: MediaType.ociManifest,
            config: descriptorOf(config, MediaType.ociConfig),
            layers,
          }),
        );
        const descriptor = descriptorOf(manifest, MediaType.ociManifest);
        assert.equal(await client.resolve(reference), undefined);
        assert.equal(await client.pushBlob(reference, descriptorOf(layer), stream(layer)), 'uploaded');
        assert.equal(await client.pushBlob(reference, descriptorOf(config), stream(config)), 'uploaded');
        assert.equal(await client.pushBlob(reference, descriptorOf(''), stream(Buffer.alloc(0))), 'uploaded');
        assert.equal(await client.pushBlob(reference, descriptorOf(layer), stream(layer)), 'exists');
        await client.pushManifest(reference, descriptor, manifest);
        assert.deepEqual(await client.resolve(reference), descriptor);
        assert.deepEqual((await client.manifest(reference)).descriptor, descriptor);
        assert.ok((await collect(client.blob(reference, descriptorOf(layer)), 1e7)).equals(layer));
        const other = parseReference(`${host}/other:v1`);
        const mountFrom = ['nowhere', 'team/app'];
        assert.equal(await client.pushBlob(other, descriptorOf(layer), stream(layer), { mountFrom }), 'mounted');
        assert.deepEqual(await client.tags(reference), ['v1']);
        await client.close();
      });

      it('refuses other bytes, and takes the right ones then', async () => {
        const client = testClient({ login: credentials });
        const reference = parseReference(`${host}/refuse`);
        const layer = noise(1_000_000);
        const wrong = Buffer.from(layer).fill(7, 0, 9);
        await rejectsWith(client.pushBlob(reference, descriptorOf(layer), stream(wrong)), 'DIGEST_MISMATCH');
        assert.equal(await client.pushBlob(reference, descriptorOf(layer), stream(layer)), 'uploaded');
        await client.close();
      });

      it('takes an upload that is cut in the middle', async () => {
        const layer = noise(6_000_000);
        let cuts = 0;
        // A proxy that breaks the first connection on which more than 2 MB were sent.
        const [name, port] = host.split(':');
        const proxy = createServer((socket) => {
          const upstream = connect(Number(port), name);
          let sent = 0;
          socket.on('data', (chunk) => {
            sent += chunk.length;
            if (sent > 2_000_000 && cuts === 0) {
              cuts++;
              upstream.end();
              socket.destroy();
            }
          });
          socket.pipe(upstream).pipe(socket);
          socket.on('error', () => upstream.destroy());
          upstream.on('error', () => socket.destroy());
        });
        await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
        const client = testClient({ login: credentials });
        const reference = parseReference(`127.0.0.1:${(proxy.address() as AddressInfo).port}/cut`);
        assert.equal(await client.pushBlob(reference, descriptorOf(layer), stream(layer)), 'uploaded');
        assert.equal(cuts, 1);
        assert.ok((await collect(client.blob(reference, descriptorOf(layer)), 1e7)).equals(layer));
        await client.close();
        proxy.close();
      });

      if (auth) {
        it('lets in who is known only', async () => {
          const reference = parseReference(`${host}/team/app:v1`);
          const anonymous = testClient();
          await rejectsWith(anonymous.manifest(reference), 'REGISTRY_UNAUTHORIZED');
          await anonymous.close();
          const options = { registry: host, username: 'me', env: {}, home: folder };
          await rejectsWith(login({ ...options, password: 'wrong' }), 'REGISTRY_UNAUTHORIZED');
          await login({ ...options, password: 'correct horse' });
        });
      }
    });
  }
});
