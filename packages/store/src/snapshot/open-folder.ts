import { closeSync, constants, openSync } from 'node:fs';

import { fsPath } from './paths.js';

/** A folder whose files are looked at by their names in it: opened when it is used, again after it was closed. */
export class OpenFolder {
  readonly #path: string;
  #fd: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  get fd(): number {
    return (this.#fd ??= openSync(
      fsPath(this.#path),
      constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW,
    ));
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
