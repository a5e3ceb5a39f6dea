import { startTestRegistry, type TestRegistry } from '@strake/registry/testing';
import { connect } from 'node:net';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** A key and a self-signed certificate for Docker Hub's two hosts, of no use but for these tests. */
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJ2hA0VcTBXwf9uXU
nd4J1/s/xtbr4po+TgFJIk7+WzWhRANCAATcKnsf/D++08Sf8ci40k6/l7+VpE10
VvHozSCf1nXAeWoy3T+DqIOkOr31LBtDHnbesyFnT66k5EhLFzSAC3H6
-----END PRIVATE KEY-----
`;

export const HUB_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIB0jCCAXigAwIBAgIUD2NKJa8LOLv1yvwI470SCPyGSOYwCgYIKoZIzj0EAwIw
JDEiMCAGA1UEAwwZU3RyYWtlIHRlc3Qgb2YgRG9ja2VyIEh1YjAgFw0yNjExMjgx
ODA5MDNaGA8yMTI2MTEwNDE4MDkwM1owJDEiMCAGA1UEAwwZU3RyYWtlIHRlc3Qg
b2YgRG9ja2VyIEh1YjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNwqex/8P77T
xJ/xyLjSTr+Xv5WkTXRW8ejNIJ/WdcB5ajLdP4Oog6Q6vfUsG0Medt6zIWdPrqTk
SEsXNIALcfqjgYUwgYIwHQYDVR0OBBYEFO4cpz4pvp1gk4bKxGaCpsYrhfGIMB8G
A1UdIwQYMBaAFO4cpz4pvp1gk4bKxGaCpsYrhfGIMC8GA1UdEQQoMCaCFHJlZ2lz
dHJ5LTEuZG9ja2VyLmlvgg5hdXRoLmRvY2tlci5pbzAPBgNVHRMBAf8EBTADAQH/
MAoGCCqGSM49BAMCA0gAMEUCIQDpsZKQpTNjbduDWV4XMRs1HfDrxZ0C75LGJL63
2g8uJQIgWAVcgzISJebdcIywb7QCEIB0/PIksxK/60lP958r72c=
-----END CERTIFICATE-----
`;

/** Something with Docker Hub's names: a registry and its token service, behind a proxy through which alone they are reached. */
export interface TestHub {
  readonly registry: TestRegistry;
  /** Address for HTTPS_PROXY. */
  readonly proxy: string;
  /** `host:port` that clients asked the proxy for, each once. */
  readonly asked: ReadonlySet<string>;
  close(): Promise<void>;
}

/** Starts it on loopback ports; everybody may pull, with a token. */
export async function startTestHub(): Promise<TestHub> {
  const registry = await startTestRegistry({
    tls: { key: KEY, cert: HUB_CERTIFICATE },
    auth: { type: 'bearer', anonymousPull: true, realm: 'https://auth.docker.io/token' },
  });
  const asked = new Set<string>();
  const port = Number(registry.host.split(':')[1]);
  const proxy = createServer();
  proxy.on('connect', (request, socket) => {
    asked.add(request.url ?? '');
    const upstream = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(upstream).pipe(socket);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    registry,
    proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    asked,
    async close() {
      await registry.close();
      proxy.closeAllConnections();
      await new Promise<void>((resolve) => proxy.close(() => resolve()));
    },
  };
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/**
 * Puts the image of a layout into a repository as an official image is: an index of platforms, of which this machine's is the
 * layout's image, another is not to be had, and one is an attestation.
 */
export function addOfficialImage(hub: TestHub, name: string, tag: string, layout: string): void {
  const { contents } = hub.registry;
  const read = (digest: string): Buffer => readFileSync(path.join(layout, 'blobs', digest.replace(':', '/')));
  const index = JSON.parse(readFileSync(path.join(layout, 'index.json'), 'utf8')) as { manifests: Descriptor[] };
  const [entry] = index.manifests;
  if (!entry) throw new Error(`no image in ${layout}`);
  const bytes = read(entry.digest);
  const manifest = JSON.parse(bytes.toString('utf8')) as { config: Descriptor; layers: Descriptor[] };
  for (const { digest, mediaType } of [manifest.config, ...manifest.layers]) {
    contents.addBlob(name, read(digest), mediaType);
  }
  const own = contents.addManifest(name, bytes, entry.mediaType);
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const missing = { ...own, digest: `sha256:${'0'.repeat(64)}` };
  const manifests = [
    { ...missing, platform: { os: 'linux', architecture: 's390x' } },
    { ...own, platform: { os: 'linux', architecture } },
    { ...missing, platform: { os: 'unknown', architecture: 'unknown' } },
  ];
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  contents.addManifest(name, { schemaVersion: 2, mediaType, manifests }, mediaType, tag);
}
