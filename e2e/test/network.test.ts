import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { Workshop } from './support/strake.js';

describe('networks of steps', function () {
  this.timeout(120_000);
  let workshop: Workshop;
  let server: http.Server;
  let port: number;
  before(async () => {
    workshop = new Workshop();
    // busybox-static's own network tools crash where the C library's name service is missing.
    const needed = execFileSync('ldd', ['/bin/bash'], { encoding: 'utf8' }).matchAll(/(?:=> )?(\/\S+) \(/g);
    for (const file of ['/bin/bash', ...[...needed].map(([, library = '']) => library)]) {
      mkdirSync(path.join(workshop.context, 'bash', path.dirname(file)), { recursive: true });
      copyFileSync(file, path.join(workshop.context, 'bash', file));
    }
    server = http.createServer((_request, response) => response.end('of the host'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
    workshop.close();
  });

  const GET = "printf 'GET %s HTTP/1.0\\r\\n\\r\\n'";
  /** A step that asks the server, without a proxy. */
  const direct = (): string => `RUN exec 3<>/dev/tcp/127.0.0.1/${port}; ${GET} / >&3; cat <&3`;
  /** A step that asks its proxy for an address, and fails where that answers anything but 200. */
  const proxied = (url: string): string =>
    `RUN proxy=\${http_proxy#http://}; exec 3<>/dev/tcp/\${proxy%:*}/\${proxy#*:}; ${GET} ${url} >&3; ` +
    'read -r _ status _ <&3; cat <&3; [ "$status" = 200 ]';
  const FROM = ['FROM busybox', 'COPY bash /', 'SHELL ["/bin/bash", "-c"]'];

  it("host is the machine's own, and the default", async () => {
    const { stderr, status } = await workshop.build([...FROM, direct()], ['--progress', 'plain']);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /of the host/);
  });

  it('none has nothing', async () => {
    const { status, stderr } = await workshop.build([...FROM, direct()], ['--network', 'none']);
    assert.notEqual(status, 0);
    assert.doesNotMatch(stderr, /of the host/);
  });

  it("private has its own loopback, and not the host's services there", async function () {
    if (!existsSync('/usr/bin/slirp4netns') || !existsSync('/dev/net/tun')) this.skip();
    const look = ['RUN ip addr show lo | grep UP; grep nameserver /etc/resolv.conf', 'RUN ip route', direct()];
    const { status, stderr } = await workshop.build([...FROM, ...look], ['--network=private', '--progress=plain']);
    assert.notEqual(status, 0);
    assert.match(stderr, /127\.0\.0\.1\/8|LOOPBACK,UP/);
    assert.match(stderr, /nameserver 10\.0\.2\.3/);
    assert.match(stderr, /default via 10\.0\.2\.2/);
    assert.match(stderr, /Connection refused/);
    assert.doesNotMatch(stderr, /of the host/);
  });

  it('with an allowlist reaches its hosts only, through a proxy, and tells which', async () => {
    const metadata = path.join(workshop.folder, 'metadata.json');
    const evil = proxied('http://evil.example/').replace('= 200', '= 403');
    const lines = [...FROM, 'ENV http_proxy=http://192.0.2.1:9', proxied(`http://127.0.0.1:${port}/`), evil];
    const { status, stderr } = await workshop.build(lines, [
      ...['--allow-host', `127.0.0.1:${port},registry.example`],
      ...['--metadata-file', metadata, '--progress', 'plain', '-t', 'allowed'],
    ]);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /of the host/);
    assert.match(stderr, /was refused evil\.example:80/);
    const facts = JSON.parse(readFileSync(metadata, 'utf8')) as { 'strake.hosts': { hosts: unknown[] }[] };
    assert.deepEqual(
      facts['strake.hosts'].map(({ hosts }) => hosts),
      [
        [{ host: '127.0.0.1', port, allowed: true, count: 1 }],
        [{ host: 'evil.example', port: 80, allowed: false, count: 1 }],
      ],
    );
    const { stdout } = await workshop.strake(['inspect', 'allowed']);
    assert.match(stdout, /http_proxy=http:\/\/192\.0\.2\.1:9/);
    assert.doesNotMatch(stdout, /https_proxy/i);
  });

  it('with an allowlist does not let a step around the proxy, and says how to allow a host', async () => {
    const around = await workshop.build([...FROM, direct()], ['--allow-host', `127.0.0.1:${port}`]);
    assert.notEqual(around.status, 0);
    assert.doesNotMatch(around.stderr, /of the host/);
    const lines = [...FROM, proxied(`http://127.0.0.1:${port}/`)];
    const refused = await workshop.build(lines, ['--allow-host', 'registry.example']);
    assert.notEqual(refused.status, 0);
    assert.match(refused.stderr, new RegExp(`--allow-host 127\\.0\\.0\\.1:${port}`));
    const wrong = await workshop.build(['FROM busybox', 'RUN true'], ['--allow-host', 'http://a']);
    assert.match(wrong.stderr, /"http:\/\/a" is not a host/);
  });
});
