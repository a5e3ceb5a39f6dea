import { lstatSync, readFileSync, writeFileSync, type Stats } from 'node:fs';

import { namesIn } from './change-writer.js';
import { fsPath } from './paths.js';

/**
 * What a tree was like: of every path its inode and the time of its last change (ctime). No program can set that time, so a
 * file whose size and mtime were kept is still seen to be another. Clocks tick: see {@link settleTime}.
 */
export class TreeScan {
  readonly #paths: string[] = [];
  readonly #inodes: number[] = [];
  readonly #changed: number[] = [];
  #numbers: Map<string, number> | undefined;
  /** The latest change, in milliseconds since 1970. */
  #latest = 0;

  add(path: string, stats: Stats): void {
    this.#paths.push(path);
    this.#inodes.push(stats.ino);
    this.#changed.push(stats.ctimeMs);
    this.#latest = Math.max(this.#latest, stats.ctimeMs);
  }

  /** Whether nothing has happened to PATH since. */
  same(path: string, stats: Stats): boolean {
    this.#numbers ??= new Map(this.#paths.map((known, number) => [known, number]));
    const number = this.#numbers.get(path);
    return number !== undefined && this.#inodes[number] === stats.ino && this.#changed[number] === stats.ctimeMs;
  }

  get latest(): number {
    return this.#latest;
  }

  save(path: string): void {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(this.#paths.length, 0);
    const numbers = Buffer.from(Float64Array.from([...this.#inodes, ...this.#changed]).buffer);
    writeFileSync(path, Buffer.concat([head, numbers, Buffer.from(this.#paths.join('\0'), 'utf16le')]), {
      mode: 0o600,
    });
  }

  /** What {@link TreeScan.save} wrote. */
  static load(path: string): TreeScan {
    const bytes = readFileSync(path);
    const count = bytes.readUInt32LE(0);
    const scan = new TreeScan();
    const paths = bytes.toString('utf16le', 8 + 16 * count).split('\0');
    for (let i = 0; i < count; i++) {
      scan.#paths.push(paths[i] ?? '');
      scan.#inodes.push(bytes.readDoubleLE(8 + 8 * i));
      scan.#changed.push(bytes.readDoubleLE(8 + 8 * (count + i)));
    }
    return scan;
  }
}

/** Scans all of a tree. */
export function scanTree(root: string): TreeScan {
  const scan = new TreeScan();
  const visit = (folder: string): void => {
    for (const name of namesIn(folder === '' ? root : `${root}/${folder}`)) {
      const path = folder === '' ? name : `${folder}/${name}`;
      const stats = lstatSync(fsPath(`${root}/${path}`));
      scan.add(path, stats);
      if (stats.isDirectory()) visit(path);
    }
  };
  visit('');
  return scan;
}

/** File times tick every 10 ms at most on Linux. */
const TICK = 20;

/** Milliseconds to wait after a scan until any further change gets a time that the scan has not seen. */
export function settleTime(scan: TreeScan): number {
  return Math.max(0, Math.min(TICK, scan.latest + TICK - Date.now()));
}
