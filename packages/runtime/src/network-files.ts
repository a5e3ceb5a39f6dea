import fs from 'node:fs';
import { isIP } from 'node:net';

import { errnoOf } from '@strake/core';

import type { ContainerSpec } from './types.js';

/** The text of a step's /etc/hosts: this machine by its names, then the extra hosts in their order. */
export function hostsFile(spec: Pick<ContainerSpec, 'hostname' | 'extraHosts'>): string {
  const lines = [
    `127.0.0.1\tlocalhost ${spec.hostname}`,
    '::1\tlocalhost ip6-localhost ip6-loopback',
    ...spec.extraHosts.map(({ name, address }) => `${address}\t${name}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Whether ADDRESS is one of the loopback device. */
function isLoopback(address: string): boolean {
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'));
}

/**
 * The text of a step's /etc/resolv.conf, made from the machine's. With no network, name servers on the machine's loopback
 * device are left out: the step's own loopback device has none. Name servers that the step brings with it stand alone.
 */
export function resolvConf(
  hostText: string,
  { network, nameservers }: Pick<ContainerSpec, 'network' | 'nameservers'>,
): string {
  if (nameservers) return nameservers.map((address) => `nameserver ${address}\n`).join('');
  const lines = hostText.split('\n').filter((line) => {
    const [keyword, value = ''] = line.trim().split(/\s+/);
    if (keyword === 'nameserver') return network === 'host' || !isLoopback(value);
    return keyword === 'search' || keyword === 'domain' || keyword === 'options' || keyword === 'sortlist';
  });
  return lines.map((line) => `${line.trim()}\n`).join('');
}

/** The machine's /etc/resolv.conf; empty where it has none. */
export function readHostResolvConf(): string {
  try {
    return fs.readFileSync('/etc/resolv.conf', 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}
