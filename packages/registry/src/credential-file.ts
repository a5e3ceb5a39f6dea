import { join } from 'node:path';
import { errnoOf, readAtOnce } from '@strake/core';
import { credentialsInvalid } from './errors.js';
import { keyHost } from './registry-name.js';
import type { Credentials } from './types.js';

const MAX_FILE = 4 * 1024 * 1024;

type Fields = Readonly<Record<string, unknown>>;

/** docker's config.json or an auth.json of containers, as far as it is about credentials. */
export interface CredentialFile {
  readonly path: string;
  /** Everything in the file, for writing it again. */
  readonly raw: Fields;
}

function object(value: unknown): Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Fields) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Where docker's config.json is. */
export function dockerConfigPath(env: NodeJS.ProcessEnv, home: string): string {
  return join(env['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json');
}

/** The files that credentials are looked for in, in this order. */
export function credentialPaths(env: NodeJS.ProcessEnv, home: string): string[] {
  return [
    dockerConfigPath(env, home),
    ...(env['REGISTRY_AUTH_FILE'] ? [env['REGISTRY_AUTH_FILE']] : []),
    ...(env['XDG_RUNTIME_DIR'] ? [join(env['XDG_RUNTIME_DIR'], 'containers', 'auth.json')] : []),
    join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'containers', 'auth.json'),
  ];
}

/**
 * Reads a file of credentials; undefined where there is none.
 * @throws StrakeError `CREDENTIALS_INVALID`
 */
export async function readCredentialFile(path: string): Promise<CredentialFile | undefined> {
  let content: string;
  let large: boolean;
  try {
    const bytes = readAtOnce(path, MAX_FILE + 1);
    large = bytes.length > MAX_FILE;
    content = bytes.toString('utf8');
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw credentialsInvalid(path, errno ?? 'it cannot be opened', error);
  }
  if (large) throw credentialsInvalid(path, `it is larger than ${MAX_FILE} bytes`);
  if (content.trim() === '') return { path, raw: {} };
  try {
    const raw: unknown = JSON.parse(content);
    if (raw !== null && typeof raw === 'object' && !Array.isArray(raw)) return { path, raw: raw as Fields };
  } catch {
    // Node's message would quote the file, passwords included.
    throw credentialsInvalid(path, 'it is not JSON');
  }
  throw credentialsInvalid(path, 'it is no JSON object');
}

/** The helper that a file names for a registry: its own, else that for all. */
export function helperFor(file: CredentialFile, registry: string): string | undefined {
  const helpers = object(file.raw['credHelpers']);
  const key = Object.keys(helpers).find((name) => keyHost(name) === registry);
  return (key === undefined ? undefined : text(helpers[key])) ?? text(file.raw['credsStore']);
}

/** The keys of a file's `auths` that stand for a registry as a whole. */
export function keysOf(file: CredentialFile, registry: string): string[] {
  return Object.keys(object(file.raw['auths'])).filter((key) => {
    const path = key.replace(/^https?:\/\//, '').replace(/^[^/]*/, '');
    return keyHost(key) === registry && /^\/?(?:v[12]\/?)?$/.test(path);
  });
}

/** The credentials that a file itself holds: of the longest path that the repository is below, else of the host. */
export function storedCredentials(file: CredentialFile, registry: string, repository: string): Credentials | undefined {
  const auths = object(file.raw['auths']);
  const parts = repository.split('/');
  const paths = parts.map((_part, at) => `${registry}/${parts.slice(0, parts.length - at).join('/')}`);
  for (const key of [...paths, ...keysOf(file, registry)]) {
    const found = Object.hasOwn(auths, key) ? readEntry(file, key, object(auths[key])) : undefined;
    if (found) return found;
  }
  return undefined;
}

function readEntry(file: CredentialFile, key: string, entry: Fields): Credentials | undefined {
  let username = text(entry['username']);
  let password = text(entry['password']);
  const auth = text(entry['auth']);
  if (auth !== undefined) {
    const decoded = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
    const colon = decoded.indexOf(':');
    if (colon < 1) throw credentialsInvalid(file.path, `the entry of ${key} holds no name and password`);
    username = decoded.slice(0, colon);
    password = decoded.slice(colon + 1);
  }
  return toCredentials(username, password, text(entry['identitytoken']), text(entry['registrytoken']));
}

/** Credentials as docker means them: the user name `<token>` says that the password is an identity token. */
export function toCredentials(
  username: string | undefined,
  password: string | undefined,
  identityToken?: string,
  registryToken?: string,
): Credentials | undefined {
  if (username === '<token>' && password) return { identityToken: password };
  if (registryToken !== undefined) return { registryToken };
  if (identityToken !== undefined) return { username, identityToken };
  return username !== undefined && password !== undefined && password !== '' ? { username, password } : undefined;
}
