import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import { bytesOfText, textOfBytes } from '@strake/core';

/** What a tree is like: a line for each path, with its content. */
export function linesOf(root: string, folder = ''): string[] {
  return readdirSync(bytesOfText(`${root}/${folder}`), { encoding: 'buffer' }).flatMap((bytes) => {
    const path = folder === '' ? textOfBytes(bytes) : `${folder}/${textOfBytes(bytes)}`;
    const at = bytesOfText(`${root}/${path}`);
    const stats = lstatSync(at);
    if (stats.isSymbolicLink()) return [`${path} -> ${readlinkSync(at)}`];
    const mode = (stats.mode & 0o7777).toString(8);
    if (stats.isDirectory()) return [`${path} ${mode}`, ...linesOf(root, path)];
    return [`${path} ${mode} ${readFileSync(at, 'utf8')}`];
  });
}

/** Does one random thing to a tree. RANDOM: less than its argument. */
export function changeSomething(root: string, random: (limit: number) => number): void {
  const NAMES = ['a', 'b', 'c', 'd', 'e f', '\u00e9', textOfBytes(Buffer.from([0x66, 0xff]))];
  const somewhere = (): Buffer => {
    let path = root;
    for (let depth = random(4); depth > 0; depth--) path += `/${NAMES[random(NAMES.length)]}`;
    return bytesOfText(`${path}/${NAMES[random(NAMES.length)]}`);
  };
  const [path, other] = [somewhere(), somewhere()];
  try {
    const kept = lstatSync(path, { throwIfNoEntry: false });
    switch (random(9)) {
      case 0:
      case 1:
        mkdirSync(path, { recursive: true });
        return;
      case 2:
        rmSync(path, { recursive: true, force: true });
        return;
      case 3:
        renameSync(path, other);
        return;
      case 4:
        linkSync(path, other);
        return;
      case 5:
        symlinkSync('a', path);
        return;
      case 6:
        chmodSync(path, 0o700 + random(0o77));
        return;
      default:
        writeFileSync(path, String(random(10)));
        if (kept?.isFile()) utimesSync(path, kept.atime, kept.mtime);
    }
  } catch {
    // It was not there, or no folder, or a link in a circle.
  }
}
