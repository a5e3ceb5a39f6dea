import { BlockList, isIP } from 'node:net';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

const PRIVATE = new BlockList();
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  PRIVATE.addSubnet(net, prefix, 'ipv4');
}
for (const [net, prefix] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
] as const) {
  PRIVATE.addSubnet(net, prefix, 'ipv6');
}

/** A host name without the brackets of an IPv6 literal and without its root dot, in small letters. */
function bare(hostname: string): string {
  return hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
}

function listed(list: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** Whether a host name (no port; IPv6 with or without brackets) always means this machine: localhost, 127.0.0.0/8, ::1. */
export function isLoopback(hostname: string): boolean {
  const name = bare(hostname);
  return name === 'localhost' || name.endsWith('.localhost') || listed(LOOPBACK, name);
}

/** Whether a host name is one of the three that a server on this machine is usually called by. 127.0.0.2 may be someone else. */
export function isThisMachine(hostname: string): boolean {
  return ['localhost', '127.0.0.1', '::1'].includes(bare(hostname));
}

/** Whether a host name is an address literal of a private, loopback or link-local network. Names are not looked up. */
export function isPrivateAddress(hostname: string): boolean {
  return isLoopback(hostname) || listed(PRIVATE, bare(hostname));
}

/** The name in `host`, `host:port` or `[v6]:port`. */
export function hostnameOf(host: string): string {
  return bare(host.replace(/:\d*$/, (port) => (isIP(host) === 6 ? port : '')));
}

/** Whether two addresses have the same host name, whatever their scheme and port. */
export function sameHostname(a: URL, b: URL): boolean {
  return bare(a.hostname) === bare(b.hostname);
}

const LOCAL = new BlockList();
LOCAL.addSubnet('0.0.0.0', 8, 'ipv4');
LOCAL.addSubnet('169.254.0.0', 16, 'ipv4');
LOCAL.addSubnet('fe80::', 10, 'ipv6');

/** Whether a host name is an address that only this machine or its cloud's metadata service answers at. */
export function isLocalOnly(hostname: string): boolean {
  return isLoopback(hostname) || listed(LOCAL, bare(hostname));
}
