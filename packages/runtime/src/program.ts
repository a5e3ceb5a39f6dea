import fs from 'node:fs';

import { errnoOf } from '@strake/core';
import { closeDescriptor } from '@strake/sys';

import { walkRoot } from './root-walk.js';
import type { ContainerSpec } from './types.js';

/** Where programs are looked for without a PATH. */
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A program that cannot be run. */
export interface Unstartable {
  /** In the words of OCI runtimes. */
  readonly message: string;
  readonly why: 'missing' | 'denied';
}

/**
 * Why the step's program cannot be run, or undefined. ROOT is the assembled root. Found out before
 * anything is started, so that the answer is the same with every executor and never that of a runtime that failed itself.
 */
export function missingProgram(spec: ContainerSpec, root: string, cwd: string): Unstartable | undefined {
  const [name = ''] = spec.args;
  const searched = !name.includes('/');
  const entry = spec.env.find((e) => e.startsWith('PATH='));
  const folders = searched ? (entry?.slice(5) ?? DEFAULT_PATH).split(':') : [''];
  const rootFd = fs.openSync(root, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    let why: Unstartable['why'] = 'missing';
    for (const folder of folders) {
      const file = searched ? `${folder}/${name}` : name;
      const found = look(rootFd, file.startsWith('/') ? file : `${cwd}/${file}`);
      if (found === 'executable') return undefined;
      if (found !== undefined) why = 'denied';
    }
    const missing = searched ? 'executable file not found in $PATH' : 'no such file or directory';
    return { message: `exec: ${JSON.stringify(name)}: ${why === 'denied' ? 'permission denied' : missing}`, why };
  } finally {
    fs.closeSync(rootFd);
  }
}

function look(root: number, file: string): 'executable' | 'denied' | undefined {
  try {
    const place = walkRoot(root, file);
    try {
      // What lies in /proc and /sys is not there yet: left for the kernel to say.
      if (/^\/(proc|sys)(\/|$)/.test(place.path)) return 'executable';
      const facts = fs.fstatSync(place.fd);
      return facts.isFile() && (facts.mode & 0o111) !== 0 ? 'executable' : 'denied';
    } finally {
      closeDescriptor(place.fd);
    }
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    return /^\/(proc|sys)\//.test(file) ? 'executable' : undefined;
  }
}
