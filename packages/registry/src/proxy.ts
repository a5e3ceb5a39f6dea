import { isIP } from 'node:net';
import { StrakeError } from '@strake/core';
import { isLoopback } from './hosts.js';

/** Which proxy a request goes through. */
export interface ProxyChooser {
  /** The proxy's address (user name and password included, never to be shown), undefined for a direct connection. */
  choose(url: URL): URL | undefined;
}

/** Whether a NO_PROXY list names the host: `*`, `example.com` (with all below it), `.example.com`, `host:port`, an address, a CIDR block. */
function exempt(list: readonly string[], url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return list.some((entry) => {
    if (entry === '*') return true;
    if (entry.includes('/')) return inBlock(entry, host);
    const [, name = '', wantedPort] =
      /^(?:\[?(.*?)\]?)(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? [];
    if (wantedPort !== undefined && wantedPort !== port) return false;
    const domain = name.replace(/^\*?\./, '');
    return domain !== '' && (host === domain || (isIP(host) === 0 && host.endsWith(`.${domain}`)));
  });
}

function inBlock(block: string, host: string): boolean {
  const [net = '', bits = ''] = block.split('/');
  const prefix = Number(bits);
  if (isIP(net) !== 4 || isIP(host) !== 4 || !Number.isInteger(prefix) || prefix < 0 || prefix > 32) return false;
  const number = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - prefix);
  return Math.floor(number(net) / size) === Math.floor(number(host) / size);
}

/**
 * The proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name (small letters go first, as in curl). Loopback is never proxied.
 * @throws StrakeError `REGISTRY_UNREACHABLE` on use, where a variable holds no http or https address
 */
export function proxyFromEnvironment(env: NodeJS.ProcessEnv): ProxyChooser {
  const read = (name: string): string => (env[name.toLowerCase()] || env[name] || '').trim();
  const none = read('NO_PROXY')
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map((entry) => entry.toLowerCase());
  return {
    choose(url) {
      // Inside a CGI script HTTP_PROXY is a header of the request (CVE-2016-5385).
      const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
      const text = name === 'HTTP_PROXY' && env['REQUEST_METHOD'] ? '' : read(name);
      if (text === '' || isLoopback(url.hostname) || exempt(none, url)) return undefined;
      return parseProxy(name, text);
    },
  };
}

function parseProxy(name: string, text: string): URL {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const proxy = URL.canParse(full) ? new URL(full) : undefined;
  if (proxy && (proxy.protocol === 'http:' || proxy.protocol === 'https:')) return proxy;
  throw new StrakeError({
    code: 'REGISTRY_UNREACHABLE',
    message: `the environment variable ${name} holds no proxy address that can be used`,
    hint: `Set ${name} to http://host:port, or unset it.`,
  });
}
