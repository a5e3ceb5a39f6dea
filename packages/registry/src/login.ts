import { randomBytes } from 'node:crypto';
import { open, realpath, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf, makeFolders } from '@strake/core';
import { createRegistryClient, type RegistryClientOptions } from './client.js';
import { dockerConfigPath, helperFor, keysOf, readCredentialFile, type CredentialFile } from './credential-file.js';
import { eraseFromHelper, storeInHelper } from './credential-helper.js';
import { credentialsInvalid } from './errors.js';
import { registryHost, storageKey } from './registry-name.js';

export interface LogoutOptions {
  /** A host, an address, or nothing for Docker Hub. */
  readonly registry: string;
  readonly env: NodeJS.ProcessEnv;
  /** The user's home directory. */
  readonly home: string;
  readonly signal?: AbortSignal | undefined;
}

export interface LoginOptions extends LogoutOptions {
  readonly username: string;
  /** Password or access token. */
  readonly password: string;
  /** How the registry is spoken to. */
  readonly client?: Omit<RegistryClientOptions, 'credentials'> | undefined;
}

/** Where credentials were put. */
export interface LoginResult {
  readonly registry: string;
  /** The file, or the helper's program. */
  readonly storedIn: string;
  /** Whether that is a file that holds the password readable for whoever can read the file. */
  readonly plain: boolean;
}

/**
 * Checks credentials at the registry, and keeps them where docker would: in the configured helper, else in config.json.
 * @throws StrakeError `REGISTRY_UNAUTHORIZED` where the registry refuses them, `REGISTRY_UNREACHABLE`, `REFERENCE_INVALID`,
 *   `CREDENTIALS_INVALID`, `CREDENTIAL_HELPER_FAILED`
 */
export async function login(options: LoginOptions): Promise<LoginResult> {
  const { username, password, env, home, signal } = options;
  const registry = registryHost(options.registry);
  const client = createRegistryClient({
    env,
    ...options.client,
    credentials: { get: async () => ({ username, password }) },
  });
  try {
    await client.ping(registry, { signal });
  } finally {
    await client.close();
  }
  const path = dockerConfigPath(env, home);
  const file = (await readCredentialFile(path)) ?? { path, raw: {} };
  const helper = helperFor(file, registry);
  if (helper !== undefined) {
    await storeInHelper(helper, registry, { username, password }, { env });
    return { registry, storedIn: `docker-credential-${helper}`, plain: false };
  }
  const auth = Buffer.from(`${username}:${password}`, 'utf8').toString('base64');
  await writeCredentialFile(withAuths(file, registry, { auth }));
  return { registry, storedIn: path, plain: true };
}

/**
 * Removes a registry's credentials from config.json and from the configured helper. Resolves with whether there were any.
 * @throws StrakeError `CREDENTIALS_INVALID`, `CREDENTIAL_HELPER_FAILED`
 */
export async function logout(options: LogoutOptions): Promise<boolean> {
  const registry = registryHost(options.registry);
  const file = await readCredentialFile(dockerConfigPath(options.env, options.home));
  if (!file) return false;
  const helper = helperFor(file, registry);
  const erased = helper !== undefined && (await eraseFromHelper(helper, registry, { env: options.env }));
  const stored = keysOf(file, registry).length > 0;
  if (stored) await writeCredentialFile(withAuths(file, registry, undefined));
  return erased || stored;
}

/** The file with one entry for the registry, or none. */
function withAuths(file: CredentialFile, registry: string, entry: object | undefined): CredentialFile {
  const old = new Set(keysOf(file, registry));
  const others = Object.entries(file.raw['auths'] ?? {}).filter(([key]) => !old.has(key));
  const auths: Record<string, unknown> = Object.fromEntries(others);
  if (entry) auths[storageKey(registry)] = entry;
  return { path: file.path, raw: { ...file.raw, auths } };
}

/** Writes the file so that at any moment either the old or the new one is there, readable for its owner only. */
async function writeCredentialFile(file: CredentialFile): Promise<void> {
  let temporary: string | undefined;
  try {
    await makeFolders(dirname(file.path), 0o700);
    // A link to the real file, as people keep their settings in a repository, stays a link.
    const target = await realpath(file.path).catch(() => file.path);
    temporary = `${target}.${randomBytes(6).toString('hex')}`;
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify(file.raw, null, '\t')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, target);
  } catch (error) {
    if (temporary !== undefined) await rm(temporary, { force: true });
    throw credentialsInvalid(file.path, `it cannot be written (${errnoOf(error) ?? 'unknown error'})`, error);
  }
}
