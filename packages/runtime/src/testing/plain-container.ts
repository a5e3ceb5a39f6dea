import fs from 'node:fs';

import { execute, filterSystemCalls, limitCapabilities, prepareForExec, setCapabilities } from '@strake/sys';

import { DEFAULT_CAPABILITIES } from '../capabilities.js';
import { seccompFilter } from '../seccomp-filter.js';

/**
 * Gives this process the rights that root has in a container as Docker makes it by default, and no more: fourteen capabilities, and
 * a filter that forbids mounts and namespaces. Then it becomes the program of ARGS, found in PATH, with the environment and the
 * channel to its parent that this process was started with. Needs to be root.
 * @throws SystemCallError
 */
export function becomeInPlainContainer(args: readonly string[]): never {
  const filter = seccompFilter();
  if (!filter) throw new Error(`no filter is known for ${process.arch}`);
  const [program = ''] = args;
  // Node takes the variable of the channel out of its own environment.
  const env = fs.readFileSync('/proc/self/environ', 'utf8').split('\0').filter(Boolean);
  const valueOf = (name: string): string | undefined =>
    env.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
  const folders = program.includes('/') ? [''] : (valueOf('PATH') ?? '').split(':').map((folder) => `${folder}/`);
  const channel = valueOf('NODE_CHANNEL_FD');
  prepareForExec(channel === undefined ? [] : [Number(channel)]);
  filterSystemCalls(filter);
  limitCapabilities(DEFAULT_CAPABILITIES);
  setCapabilities(DEFAULT_CAPABILITIES);
  let failure: unknown;
  for (const folder of folders) {
    try {
      execute(`${folder}${program}`, args, env);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
