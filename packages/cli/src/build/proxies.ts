import path from 'node:path';
import { readAtOnce } from '@strake/core';
import { emptyRecord } from '../args/values.js';

/** Bytes of config.json that are looked at. */
const MAX_FILE = 4 << 20;

const KEYS: Readonly<Record<string, string>> = {
  httpProxy: 'HTTP_PROXY',
  httpsProxy: 'HTTPS_PROXY',
  noProxy: 'NO_PROXY',
  ftpProxy: 'FTP_PROXY',
  allProxy: 'ALL_PROXY',
};

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** Where docker's config.json would be. */
export function dockerConfig(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const folder = env['DOCKER_CONFIG'] || (env['HOME'] ? path.join(env['HOME'], '.docker') : undefined);
  return folder && path.join(folder, 'config.json');
}

/**
 * The proxy build arguments that docker's config.json (`proxies.default`) gives every build, in both spellings. A file that is
 * missing or damaged gives none: it is the registry client's part to complain about it.
 */
export function proxyArguments(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const file = dockerConfig(env);
  const result = emptyRecord();
  if (file === undefined) return result;
  let config: unknown;
  try {
    config = JSON.parse(readAtOnce(file, MAX_FILE).toString('utf8'));
  } catch {
    return result;
  }
  const proxies = record(record(record(config)['proxies'])['default']);
  for (const [key, name] of Object.entries(KEYS)) {
    const value = proxies[key];
    if (typeof value !== 'string' || value === '') continue;
    result[name] = value;
    result[name.toLowerCase()] = value;
  }
  return result;
}
