import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** Where the store is: `$STRAKE_ROOT`, else `/var/lib/strake` for root, else `$XDG_DATA_HOME/strake`. */
export function storeRoot(given: string | undefined, env: NodeJS.ProcessEnv): string {
  const root = given ?? env['STRAKE_ROOT'];
  if (root) return resolve(root);
  if (process.getuid?.() === 0) return '/var/lib/strake';
  return join(env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), 'strake');
}
