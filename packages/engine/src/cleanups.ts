/** What was opened for one call and must be closed when it ends, last first. */
export class Cleanups {
  readonly #all: (() => Promise<void>)[] = [];

  add(cleanup: () => Promise<void>): void {
    this.#all.push(cleanup);
  }

  async run(): Promise<void> {
    for (const cleanup of this.#all.splice(0).reverse()) await cleanup();
  }
}
