import { BlockList, isIP } from 'node:net';

import { specInvalid } from './errors.js';

/** One entry of an allowlist of hosts. */
export interface EgressRule {
  /** A name in small letters, an IP address, or `*.` and a domain. */
  readonly host: string;
  /** Undefined: 80 and 443. */
  readonly port: number | undefined;
}

const DEFAULT_PORTS: readonly number[] = [80, 443];

/**
 * An entry of `--allow-host`: `host`, `host:port`, `*.domain`, an IP address (version 6 in brackets where a port follows).
 * @throws StrakeError `CONTAINER_SPEC_INVALID`
 */
export function parseEgressRule(text: string): EgressRule {
  const [, bracketed, plain, port] =
    /^(?:\[([^\]]+)\]|([^:]+|[^[\]]*:[^[\]]*:[^[\]]*?))(?::(\d{1,5}))?$/.exec(text.trim()) ?? [];
  const whole = isIP(text.trim()) === 6;
  const host = (whole ? text.trim() : (bracketed ?? plain ?? '')).toLowerCase().replace(/\.$/, '');
  const number = whole || port === undefined ? undefined : Number(port);
  const isName = /^(?:\*\.)?[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$/.test(host);
  if (
    (bracketed === undefined ? !isName && isIP(host) === 0 : isIP(host) !== 6) ||
    number === 0 ||
    (number ?? 0) > 65535
  )
    throw specInvalid(`"${text.slice(0, 100)}" is not a host: write it as name, name:port, *.domain or an IP address`);
  return { host, port: number };
}

/** The rule that lets a step reach HOST (a name or an address) at PORT. */
export function allowedBy(rules: readonly EgressRule[], host: string, port: number): EgressRule | undefined {
  const name = host.toLowerCase().replace(/\.$/, '');
  return rules.find((rule) => {
    if (rule.port === undefined ? !DEFAULT_PORTS.includes(port) : rule.port !== port) return false;
    return rule.host.startsWith('*.') ? name.endsWith(rule.host.slice(1)) : rule.host === name;
  });
}

const machine = new BlockList();
machine.addSubnet('0.0.0.0', 8);
machine.addSubnet('127.0.0.0', 8);
machine.addSubnet('169.254.0.0', 16);
machine.addSubnet('224.0.0.0', 3);
machine.addAddress('::', 'ipv6');
machine.addAddress('::1', 'ipv6');
machine.addSubnet('fe80::', 10, 'ipv6');
machine.addSubnet('ff00::', 8, 'ipv6');

/**
 * Whether ADDRESS may be what RULE's name stands for. A name server must not be able to lead a step to this machine's own services
 * or a cloud's metadata: loopback and link-local addresses only where the rule says so itself.
 */
export function mayResolveTo(rule: EgressRule, address: string): boolean {
  if (isIP(rule.host) !== 0 || rule.host === 'localhost') return true;
  return !machine.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
