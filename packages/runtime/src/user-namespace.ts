import fs from 'node:fs';

/** Whether this process lives in a user namespace other than the machine's first. */
export function inUserNamespace(): boolean {
  const [first = ''] = fs.readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n');
  return first.trim().split(/\s+/).join(' ') !== '0 0 4294967295';
}
