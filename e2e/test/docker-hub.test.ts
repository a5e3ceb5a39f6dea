import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { addOfficialImage, HUB_CERTIFICATE, startTestHub, type TestHub } from './support/docker-hub.js';
import { Workshop } from './support/strake.js';

describe('images of Docker Hub', function () {
  this.timeout(120_000);
  let workshop: Workshop;
  let hub: TestHub;
  let env: Readonly<Record<string, string>>;

  before(async () => {
    workshop = new Workshop();
    hub = await startTestHub();
    addOfficialImage(hub, 'library/node', '22-slim', workshop.busybox);
    const certificate = path.join(workshop.folder, 'hub.crt');
    writeFileSync(certificate, HUB_CERTIFICATE);
    env = { NODE_EXTRA_CA_CERTS: certificate, HTTPS_PROXY: hub.proxy };
  });
  after(async () => {
    await hub.close();
    workshop.close();
  });

  it('FROM node:22-slim: the default registry, library/, an anonymous token, the platform out of the index', async () => {
    const dockerfile = path.join(workshop.folder, 'Dockerfile');
    writeFileSync(dockerfile, 'FROM node:22-slim\nRUN echo made > /made\nCMD ["cat", "/made"]\n');
    const built = await workshop.strake(['build', '-t', 'app', '-f', dockerfile, workshop.context], { env });
    assert.equal(built.status, 0, built.stderr);
    assert.match(built.stderr, /\[1\/2\] FROM node:22-slim@sha256:/);
    assert.deepEqual([...hub.asked].sort(), ['auth.docker.io:443', 'registry-1.docker.io:443']);
    assert.deepEqual(
      hub.registry.guard.asked.map(({ scopes, authorization }) => [scopes.join(), authorization]),
      [['repository:library/node:pull', undefined]],
    );
    assert.equal((await workshop.strake(['run', 'app'])).stdout, 'made\n');
  });

  it('strake pull of the same; a tag that is not there is named', async () => {
    const pulled = await workshop.strake(['pull', 'node:22-slim'], { env });
    assert.equal(pulled.status, 0, pulled.stderr);
    assert.match(pulled.stdout, /^pulled node:22-slim sha256:/);
    const missing = await workshop.strake(['pull', 'node:0'], { env });
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, /^error: node:0 does not exist in docker\.io/m);
  });
});
