import { join } from 'node:path';

import type { BuilderServices } from '../services.js';
import type { GitReference } from './git-reference.js';

/** What git is started with, and what of it may not be shown. */
export interface GitSurroundings {
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  /** The Authorization header that git sends. */
  readonly authorization: string | undefined;
  readonly close: () => Promise<void>;
}

/** Of the builder's environment, git sees only these: where programs, proxies and certificates are. */
const PASSED = [
  ...['PATH', 'TMPDIR', 'GIT_SSL_CAINFO', 'GIT_SSL_CAPATH', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'no_proxy', 'all_proxy'],
];

const CONFIG: readonly (readonly [string, string])[] = [
  // A repository brings no programs: neither hooks nor file system monitors.
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  // What is checked out depends on the repository alone.
  ['core.autocrlf', 'false'],
  ['core.symlinks', 'true'],
  ['core.fileMode', 'true'],
  ['core.logAllRefUpdates', 'false'],
  ['credential.helper', ''],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['fetch.recurseSubmodules', 'false'],
  // A silent server counts as gone after a minute.
  ['http.lowSpeedLimit', '1'],
  ['http.lowSpeedTime', '60'],
];

/**
 * An environment for git that is the same on every machine: no configuration but ours, no prompts, no protocols but http, https,
 * ssh and git. Credentials (of the address, or the secrets `GIT_AUTH_HEADER` and `GIT_AUTH_TOKEN`, with or without `.<host>`)
 * are given to git here, where neither other users' `ps` nor `.git/config` shows them. ssh uses the build's `--ssh default`, else
 * the user's agent and keys.
 */
export async function gitSurroundings(
  reference: GitReference,
  folder: string,
  services: BuilderServices,
): Promise<GitSurroundings> {
  const outside = services.environment ?? process.env;
  const config = [...CONFIG];
  const secrets: string[] = [];
  const authorization = await authorizationFor(reference, services, secrets);
  if (authorization !== undefined) {
    const host = `http.${reference.protocol}://${reference.host}/`;
    config.push([`${host}.extraHeader`, `Authorization: ${authorization}`], [`${host}.followRedirects`, 'false']);
    secrets.push(authorization);
  }
  const env: Record<string, string> = {
    LC_ALL: 'C',
    HOME: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    SSH_ASKPASS_REQUIRE: 'never',
    GIT_ALLOW_PROTOCOL: 'http:https:ssh:git',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_SSH_COMMAND: sshCommand(join(folder, 'known_hosts')),
    GIT_SSH_VARIANT: 'ssh',
    GIT_CONFIG_COUNT: String(config.length),
  };
  config.forEach(([key, value], i) => {
    env[`GIT_CONFIG_KEY_${i}`] = key;
    env[`GIT_CONFIG_VALUE_${i}`] = value;
  });
  for (const name of PASSED) {
    const value = outside[name];
    if (value !== undefined) env[name] = value;
  }
  if (reference.protocol !== 'ssh') return { env, secrets, authorization, close: () => Promise.resolve() };
  const socket = await services.sshSocket('default');
  const agent = socket?.path ?? outside['SSH_AUTH_SOCK'];
  if (agent !== undefined) env['SSH_AUTH_SOCK'] = agent;
  return { env, secrets, authorization, close: async () => socket?.close() };
}

/** Hosts met for the first time are trusted (as BuildKit does) and noted in a temporary file; a known host's new key is refused. */
function sshCommand(knownHosts: string): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=accept-new',
    `UserKnownHostsFile="${knownHosts}" ~/.ssh/known_hosts`,
    'ConnectTimeout=30',
    'ServerAliveInterval=15',
  ];
  return ['ssh', ...options.map((option) => `-o ${quoted(option)}`)].join(' ');
}

async function authorizationFor(
  { protocol, host, credentials, moved }: GitReference,
  { secret }: BuilderServices,
  secrets: string[],
): Promise<string | undefined> {
  if ((protocol !== 'http' && protocol !== 'https') || moved === 'elsewhere') return undefined;
  const basic = (user: string, password: string): string => {
    secrets.push(password);
    return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  };
  if (credentials) return basic(credentials.user, credentials.password);
  for (const suffix of [`.${host}`, '']) {
    const header = await secret(`GIT_AUTH_HEADER${suffix}`);
    if (header) return oneLine(header);
    const token = await secret(`GIT_AUTH_TOKEN${suffix}`);
    if (token) return basic('x-access-token', oneLine(token));
  }
  return undefined;
}

function oneLine(secret: Uint8Array): string {
  return Buffer.from(secret)
    .toString('utf8')
    .replace(/[\r\n]+/g, ' ')
    .trim();
}
