import { LRUCache } from 'lru-cache';

import { credentialPaths, helperFor, readCredentialFile, storedCredentials } from './credential-file.js';
import { helperCredentials } from './credential-helper.js';
import { keyHost } from './registry-name.js';
import type { Credentials, CredentialStore } from './types.js';

/** A helper is not asked again for this many milliseconds: each question starts a process. */
const MEMORY = 60_000;

export interface DockerCredentialsOptions {
  readonly env: NodeJS.ProcessEnv;
  /** The user's home directory. */
  readonly home: string;
  /** Milliseconds until a helper is killed; 30,000 by default. */
  readonly helperTimeout?: number | undefined;
  /** Told what is odd but no reason to stop: a configured helper that is not installed. Each text once. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/**
 * Credentials as docker and podman keep them: `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, then
 * `$REGISTRY_AUTH_FILE`, `$XDG_RUNTIME_DIR/containers/auth.json`, `~/.config/containers/auth.json`; in each the helper named
 * for the registry or for all, then what the file holds, for the repository's path before the host.
 * Its `get` throws StrakeError `CREDENTIALS_INVALID` and `CREDENTIAL_HELPER_FAILED`.
 */
export function createDockerCredentials(options: DockerCredentialsOptions): CredentialStore {
  const answers = new LRUCache<string, { readonly answer: Promise<Credentials | undefined> }>({
    max: 100,
    ttl: MEMORY,
  });
  const warned = new Set<string>();
  const onMissing = (program: string): void => {
    if (warned.has(program)) return;
    warned.add(program);
    options.onWarning?.(`${program} is named in docker's config.json, but not installed: going on without it`);
  };
  const ask = async (helper: string, registry: string): Promise<Credentials | undefined> => {
    const key = `${helper} ${registry}`;
    const known = answers.get(key);
    if (known) return known.answer;
    const { env, helperTimeout: timeout } = options;
    const answer = helperCredentials(helper, registry, { env, timeout, onMissing });
    answers.set(key, { answer });
    answer.catch(() => answers.delete(key));
    return answer;
  };
  return {
    async get(registry, repository) {
      const host = keyHost(registry);
      for (const path of credentialPaths(options.env, options.home)) {
        const file = await readCredentialFile(path);
        if (!file) continue;
        const helper = helperFor(file, host);
        const found =
          (helper === undefined ? undefined : await ask(helper, host)) ?? storedCredentials(file, host, repository);
        if (found) return found;
      }
      return undefined;
    },
  };
}
