import type { Endpoint } from './endpoint.js';
import { registryError } from './errors.js';
import { isLocalOnly, sameHostname } from './hosts.js';
import { displayUrl } from './redact.js';

/**
 * Judges an address that a registry sends the client to, and returns the one to use.
 * - https is not given up: at the same host it is restored (a proxy in front of the registry lost it); another host may be
 *   unencrypted only where the content is checked against a digest (IMMUTABLE) or the registry is declared insecure.
 * - From outside nobody is sent to this machine's own addresses or the cloud's metadata service.
 * @throws StrakeError `REGISTRY_ERROR`
 */
export function followRedirect(endpoint: Endpoint, from: URL, to: URL, immutable: boolean): URL {
  const refuse = (why: string): never => {
    throw registryError(
      endpoint.registry,
      `it redirects to ${displayUrl(to)}, ${why}`,
      'The redirect was not followed.',
    );
  };
  if (to.protocol !== 'https:' && to.protocol !== 'http:') refuse('which is no web address');
  if (isLocalOnly(to.hostname) && !isLocalOnly(from.hostname)) refuse('an address of this machine');
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    if (sameHostname(from, to)) {
      const restored = new URL(to.href);
      restored.protocol = 'https:';
      restored.port = from.port;
      return restored;
    }
    if (!immutable && !endpoint.insecure) refuse('which is not encrypted');
  }
  return to;
}
