import fs from 'node:fs';
import { join } from 'node:path';

/** Folders and files below ROOT (not itself), children before their folder. Links are not followed. */
function* walk(root: string): Generator<{ path: string; stat: fs.Stats }> {
  for (const name of fs.readdirSync(root)) {
    const path = join(root, name);
    const stat = fs.lstatSync(path);
    if (stat.isDirectory()) yield* walk(path);
    yield { path, stat };
  }
}

/** Removes the `.git` of a checkout and of its submodules. No file of a repository can have that name. */
export function removeGitFolders(root: string): void {
  for (const entry of fs.readdirSync(root, { withFileTypes: true })) {
    const path = join(root, entry.name);
    if (entry.name === '.git') fs.rmSync(path, { recursive: true, force: true });
    else if (entry.isDirectory()) removeGitFolders(path);
  }
}

/** Gives files and folders the modes that they have with the umask 022, whatever this process's umask is. */
export function tidyCheckout(root: string): void {
  for (const { path, stat } of walk(root)) {
    if (stat.isDirectory()) fs.chmodSync(path, 0o755);
    else if (stat.isFile()) fs.chmodSync(path, (stat.mode & 0o200 ? 0o644 : 0o444) | (stat.mode & 0o100 ? 0o111 : 0));
  }
  fs.chmodSync(root, 0o755);
}

/** Sets the modification time of everything, in seconds since 1970. */
export function setTimes(root: string, time: number): void {
  for (const { path } of walk(root)) fs.lutimesSync(path, time, time);
  fs.lutimesSync(root, time, time);
}
