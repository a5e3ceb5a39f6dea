import { goQuote } from '@strake/core';
import { parserError } from './errors.js';
import { clip, cut } from './text.js';

/** One word of EXPOSE in its parts. All but the protocol may be anything. */
export interface PortParts {
  /** In front of the first colon, without it; empty where there is none. */
  readonly address: string;
  readonly host: string;
  /** A port or a range. */
  readonly port: string;
  /** As written; `tcp` where there is none. */
  readonly protocol: string;
}

/** One word of EXPOSE, read. */
export interface PortSpec {
  /** The first and last port of a range; the same where it is one. */
  readonly range: readonly [number, number];
  /** As written. */
  readonly protocol: string;
}

const MAX_PORT = 65535;
/** Ports of one EXPOSE; each word of a line may be a range of 65,536. */
const MAX_PORTS = 1_000_000;
const HINT = 'Write EXPOSE <port>[-<port>][/tcp|/udp|/sctp]...';

function bad(message: string): Error {
  return parserError('PORT_INVALID', message, HINT);
}

function portNumber(text: string, what: string): number {
  const value = /^[-+]?\d{1,30}$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(value)) throw bad(`invalid ${what}: ${clip(text, 40)}`);
  if (value < 0 || value > MAX_PORT) throw bad(`invalid ${what}: ${clip(text, 40)} is out of range (0-${MAX_PORT})`);
  return value;
}

function portRange(text: string, what: string): readonly [number, number] {
  const [first, last] = cut(text, '-');
  if (first === '' || last === '') throw bad(`invalid ${what}: ${clip(text, 40)}`);
  const start = portNumber(first, what);
  if (last === undefined || last === first) return [start, start];
  const end = portNumber(last, what);
  if (end < start) throw bad(`invalid ${what}: the range ${clip(text, 40)} ends before it begins`);
  return [start, end];
}

function isAddress(text: string): boolean {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    return text.split('.').every((part) => Number(part) <= 255 && (part === '0' || !part.startsWith('0')));
  }
  if (!text.includes(':')) return false;
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const last = groups[groups.length - 1] ?? '';
  const embedded = last.includes('.');
  if (embedded && (!isAddress(last) || last.includes(':'))) return false;
  const count = groups.length + (embedded ? 1 : 0);
  if (!groups.slice(0, embedded ? -1 : undefined).every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return false;
  return halves.length === 2 ? count <= 7 : count === 8;
}

/** Address, host port and container port of `[address:][port:]port`. */
function splitParts(word: string): readonly [string, string, string] {
  const parts = word.split(':');
  const container = parts[parts.length - 1] ?? '';
  if (parts.length === 1) return ['', '', container];
  return [parts.slice(0, -2).join(':'), parts[parts.length - 2] ?? '', container];
}

/** Takes one word of EXPOSE, expanded, apart. @throws StrakeError `PORT_INVALID` for an unknown protocol and where there is no port */
export function splitPort(word: string): PortParts {
  const [address, host, container] = splitParts(word);
  const [port, written = ''] = cut(container, '/');
  const whole = (): string => `invalid port: ${goQuote(clip(word, 80))}`;
  if (port === '') throw bad(`${whole()}: no port specified`);
  const protocol = written === '' ? 'tcp' : written;
  if (!['tcp', 'udp', 'sctp'].includes(protocol.toLowerCase())) {
    throw bad(`${whole()}: invalid proto: ${clip(protocol, 40)}`);
  }
  return { address, host, port, protocol };
}

/**
 * Reads one word of EXPOSE, expanded: a port or a range, a protocol; an address and a port of the host in front are checked and then
 * mean nothing.
 * @throws StrakeError `PORT_INVALID`
 */
export function parsePort(word: string): PortSpec {
  const { address, host, port, protocol } = splitPort(word);
  const bare = address.startsWith('[') && address.endsWith(']') ? address.slice(1, -1) : address;
  if (bare !== '' && !isAddress(bare)) throw bad(`invalid IP address: ${clip(address, 80)}`);
  const range = portRange(port, 'containerPort');
  const [start, end] = range;
  if (host !== '') {
    const [hostStart, hostEnd] = portRange(host, 'hostPort');
    if (end !== start && end - start !== hostEnd - hostStart) {
      throw bad(`invalid ranges specified for container and host Ports: ${clip(port, 40)} and ${clip(host, 40)}`);
    }
  }
  return { range, protocol };
}

/**
 * The ports of an EXPOSE, its words expanded and split: `port/protocol`, in their order, repeated ones too, as the history shows them.
 * @throws StrakeError `PORT_INVALID`
 */
export function parsePorts(words: readonly string[]): string[] {
  const out: string[] = [];
  for (const word of words) {
    const { range, protocol } = parsePort(word);
    const [start, end] = range;
    if (out.length + end - start >= MAX_PORTS) throw bad(`more than ${MAX_PORTS} ports in one EXPOSE`);
    for (let port = start; port <= end; port++) out.push(`${port}/${protocol.toLowerCase()}`);
  }
  return out;
}
