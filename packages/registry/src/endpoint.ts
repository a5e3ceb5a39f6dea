import type { ImageReference } from '@strake/core';
import { registryError } from './errors.js';
import { hostnameOf, isLoopback } from './hosts.js';

export type Scheme = 'https' | 'http';

/** Where a registry, or a mirror of one, is spoken to. */
export interface Endpoint {
  /** The name that messages and credentials know it by: `docker.io`. */
  readonly registry: string;
  /** Host and port of its API: `registry-1.docker.io`. */
  readonly host: string;
  /** The schemes to try, the preferred first. */
  readonly schemes: readonly Scheme[];
  /** Certificates are not checked: the user declared it insecure. */
  readonly insecure: boolean;
  /** What its repositories' names begin with, with a slash at the end, or nothing. */
  readonly prefix: string;
  /** The registry that it mirrors. It is told by the parameter `ns`. */
  readonly mirrorOf?: string | undefined;
}

const HUB = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

/** The endpoint of a registry named in an image reference. */
export function endpointOf(registry: string, insecure: readonly string[] = []): Endpoint {
  const loopback = isLoopback(hostnameOf(registry));
  const declared = insecure.includes(registry) || insecure.includes(hostnameOf(registry));
  return {
    registry: HUB.has(registry) ? 'docker.io' : registry,
    host: HUB.has(registry) ? 'registry-1.docker.io' : registry,
    // On loopback plain http is tried first: it is the rule there, and TLS costs 20 ms to set up.
    schemes: loopback ? ['http', 'https'] : declared ? ['https', 'http'] : ['https'],
    insecure: declared,
    prefix: '',
  };
}

/**
 * The endpoint of a mirror: `host[:port][/path]`, with `https://` or `http://` before it where that is to be fixed.
 * The path goes before the repository's name, as in BuildKit's configuration.
 * @throws StrakeError `REGISTRY_ERROR` where the text is no such address
 */
export function mirrorEndpoint(text: string, mirrorOf: string, insecure: readonly string[] = []): Endpoint {
  const scheme = /^(https?):\/\//.exec(text)?.[1] as Scheme | undefined;
  const full = scheme ? text : `https://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (!url || url.username !== '' || url.search !== '' || url.hash !== '' || url.host === '') {
    throw registryError(mirrorOf, 'one of its mirrors has no valid address', 'Write a mirror as host[:port][/path].');
  }
  const base = endpointOf(url.host, insecure);
  const path = url.pathname.replace(/^\/+|\/+$/g, '').replace(/^v2(?:\/|$)/, '');
  return { ...base, ...(scheme ? { schemes: [scheme] } : {}), prefix: path === '' ? '' : `${path}/`, mirrorOf };
}

const REPOSITORY = /^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/;

/**
 * The repository's name at an endpoint, safe to be put in a path.
 * @throws StrakeError `REGISTRY_ERROR` where the name could lead elsewhere
 */
export function repositoryAt(endpoint: Endpoint, reference: Pick<ImageReference, 'repository'>): string {
  const { repository } = reference;
  if (!REPOSITORY.test(repository) || /(?:^|\/)\.{1,2}(?:\/|$)|\/\//.test(repository)) {
    throw registryError(endpoint.registry, 'the repository has no valid name', 'Use small letters, digits and . _ - /');
  }
  return `${endpoint.prefix}${repository}`;
}
