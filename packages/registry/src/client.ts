import { StrakeError, throwIfAborted, type ImageReference } from '@strake/core';
import { getBlob, headBlob } from './blobs.js';
import { endpointOf, mirrorEndpoint, type Endpoint } from './endpoint.js';
import { listReferrers, listTags } from './listing.js';
import { getManifest, headManifest, putManifest } from './manifests.js';
import { proxyFromEnvironment } from './proxy.js';
import { DEFAULT_RETRY, type RetryPolicy } from './retry.js';
import { Session } from './session.js';
import { referrerOf, tagReferrer } from './subject.js';
import { DEFAULT_TIMEOUTS, discard, Transport, type Timeouts } from './transport.js';
import type { CredentialStore, DistributionClient } from './types.js';
import { uploadBlob } from './upload.js';
import { uploadGrowing } from './upload-growing.js';

export interface RegistryClientOptions {
  readonly credentials: CredentialStore;
  /**
   * Hosts (with or without a port) whose certificates are not checked and which may be spoken to over plain http.
   * Loopback addresses need no entry for plain http.
   */
  readonly insecure?: readonly string[] | undefined;
  /**
   * For a registry (`docker.io`) the mirrors to pull from before it: `host[:port][/path]`, with `http://` or `https://` before
   * it where the scheme is to be fixed. A mirror gets its own host's credentials, never those of the registry.
   */
  readonly mirrors?: Readonly<Record<string, readonly string[]>> | undefined;
  readonly userAgent?: string | undefined;
  /** Certificates (PEM) that are trusted besides Node's own. */
  readonly certificateAuthorities?: readonly string[] | undefined;
  /** Where HTTP_PROXY, HTTPS_PROXY and NO_PROXY are read from. By default the process's own environment, at creation. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Connections to one host at the same time; 8 by default. */
  readonly connections?: number | undefined;
  readonly timeouts?: Partial<Timeouts> | undefined;
  readonly retry?: Partial<RetryPolicy> | undefined;
  /** Told what a registry wants users to know (`Warning: 299`), each text once. */
  readonly onWarning?: ((registry: string, message: string) => void) | undefined;
}

/** A mirror that could not be reached is left out for this many milliseconds: each attempt may cost a timeout. */
const MIRROR_PAUSE = 60_000;

/** Creates a client for any number of registries. Nothing is loaded or connected before the first request. */
export function createRegistryClient(options: RegistryClientOptions): DistributionClient {
  const transport = new Transport({
    connections: options.connections ?? 8,
    timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
    userAgent: options.userAgent ?? 'strake',
    proxies: proxyFromEnvironment(options.env ?? process.env),
    certificateAuthorities: options.certificateAuthorities,
  });
  const policy: RetryPolicy = { ...DEFAULT_RETRY, ...options.retry };
  const sessions = new Map<string, Session>();
  const warned = new Set<string>();

  const sessionAt = (endpoint: Endpoint): Session => {
    const key = JSON.stringify([
      endpoint.registry,
      endpoint.host,
      endpoint.prefix,
      endpoint.schemes,
      endpoint.mirrorOf,
    ]);
    let session = sessions.get(key);
    if (!session) {
      session = new Session({
        transport,
        endpoint,
        policy,
        lookUp: (repository) => options.credentials.get(endpoint.registry, `${endpoint.prefix}${repository}`),
        onWarning(message) {
          const text = `${endpoint.registry} ${message}`;
          if (warned.has(text) || warned.size >= 100) return;
          warned.add(text);
          options.onWarning?.(endpoint.registry, message);
        },
      });
      sessions.set(key, session);
    }
    return session;
  };
  const upstream = (reference: ImageReference): Session => sessionAt(endpointOf(reference.registry, options.insecure));
  const pausedUntil = new Map<Session, number>();
  const mirrors = (reference: ImageReference): Session[] =>
    (options.mirrors?.[reference.registry] ?? [])
      .map((mirror) => sessionAt(mirrorEndpoint(mirror, reference.registry, options.insecure)))
      .filter((mirror) => (pausedUntil.get(mirror) ?? 0) <= Date.now());

  /** What the first mirror has, else the registry itself. Whatever a mirror fails with, the registry is asked next. */
  const first = async <T>(
    reference: ImageReference,
    signal: AbortSignal | undefined,
    ask: (session: Session) => Promise<T>,
  ): Promise<T> => {
    for (const mirror of mirrors(reference)) {
      try {
        const found = await ask(mirror);
        if (found !== undefined) return found;
      } catch (error) {
        throwIfAborted(signal);
        if (!(error instanceof StrakeError)) throw error;
        if (error.code === 'REGISTRY_UNREACHABLE') pausedUntil.set(mirror, Date.now() + MIRROR_PAUSE);
      }
    }
    return ask(upstream(reference));
  };

  return {
    async manifest(reference, more = {}) {
      return first(reference, more.signal, (session) => getManifest(session, reference, more.expected, more));
    },
    async resolve(reference, more = {}) {
      return first(reference, more.signal, (session) => headManifest(session, reference, more));
    },
    blob(reference, descriptor, more = {}) {
      return getBlob([...mirrors(reference), upstream(reference)], reference, descriptor, more);
    },
    async hasBlob(reference, digest, more = {}) {
      return headBlob(upstream(reference), reference, digest, more);
    },
    async pushBlob(reference, descriptor, open, more = {}) {
      return uploadBlob(upstream(reference), reference, descriptor, open, more);
    },
    async pushGrowing(reference, content, more = {}) {
      return uploadGrowing(upstream(reference), reference, content, more);
    },
    async pushManifest(reference, descriptor, bytes, more = {}) {
      const session = upstream(reference);
      const answered = await putManifest(session, reference, descriptor, bytes, more);
      const referrer = referrerOf(descriptor, bytes);
      if (referrer && answered === undefined) await tagReferrer(session, reference, referrer, more);
    },
    async tags(reference, more = {}) {
      return listTags(upstream(reference), reference, more);
    },
    async referrers(reference, digest, more = {}) {
      return listReferrers(upstream(reference), reference, digest, more);
    },
    async ping(registry, more = {}) {
      const session = sessionAt(endpointOf(registry, options.insecure));
      const ask = {
        method: 'GET',
        target: '',
        reference: { repository: '' },
        scopes: new Map(),
        signal: more.signal,
      } as const;
      const response = await session.send(ask);
      if (response.status !== 200) throw await session.fail(response, 'use it', ask);
      await discard(response);
    },
    async close() {
      await transport.close();
    },
  };
}
