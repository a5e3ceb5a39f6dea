import { parseReference } from '@strake/core';

/** The key of Docker Hub in docker's config.json and for its helpers. */
const HUB_KEY = 'https://index.docker.io/v1/';

/** The host that a key of a credential file stands for: without scheme and path, and Docker Hub under one name. */
export function keyHost(key: string): string {
  const host = key.replace(/^https?:\/\//, '').split('/', 1)[0] ?? '';
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
}

/** The key that a registry's credentials are stored under. */
export function storageKey(registry: string): string {
  return keyHost(registry) === 'docker.io' ? HUB_KEY : keyHost(registry);
}

/**
 * The registry's host in what a person gives to log in at: nothing (Docker Hub), a host, an address.
 * @throws StrakeError `REFERENCE_INVALID`
 */
export function registryHost(text: string): string {
  const host = keyHost(text.trim());
  if (host === '' || host === 'docker.io') return 'docker.io';
  // A host is valid where an image name with it is; there a single word is a host only with a port.
  parseReference(`${/[.:]/.test(host) ? host : `${host}:443`}/a`);
  return host;
}
