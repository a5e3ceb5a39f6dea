import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { createEngine, type Build, type BuildEvent, type BuildOptions, type Engine } from '../src/index.js';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** An engine on a store of its own, and a base image that needs no registry: `FROM busybox`. */
export class Shop {
  readonly folder: string = mkdtempSync(path.join(tmpdir(), 'strake-library-'));
  readonly store: string = path.join(this.folder, 'store');
  readonly engine: Engine = createEngine({ root: this.store });
  readonly #busybox = path.join(this.folder, 'busybox');

  constructor() {
    execFileSync(process.execPath, [path.join(ROOT, 'scripts/busybox-layout.mjs'), this.#busybox]);
  }

  get buildContexts(): Readonly<Record<string, string>> {
    return { busybox: `oci-layout://${this.#busybox}` };
  }

  /** A build of these lines. */
  build(lines: readonly string[], options: Partial<BuildOptions> = {}): Build {
    return this.engine.build({ dockerfile: lines.join('\n'), ...options, buildContexts: this.buildContexts });
  }

  /** What a command in an image prints. */
  async run(image: string, ...command: string[]): Promise<string> {
    let text = '';
    await this.engine.run({ image, command, onOutput: (_stream, data) => void (text += Buffer.from(data).toString()) });
    return text;
  }

  /** Files below the store's folders that only running work has. */
  leftOver(): string[] {
    return ['tmp', 'snapshots'].flatMap((name) =>
      readdirSync(path.join(this.store, name)).map((file) => `${name}/${file}`),
    );
  }

  async close(): Promise<void> {
    await this.engine.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function eventsOf(build: Build): Promise<BuildEvent[]> {
  const events: BuildEvent[] = [];
  for await (const event of build.events) events.push(event);
  return events;
}

/** What steps printed. */
export function printed(events: readonly BuildEvent[]): string {
  return events.map((event) => (event.type === 'step-output' ? Buffer.from(event.data).toString() : '')).join('');
}

/** Command lines of other processes that have TEXT in them. */
export function processesWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const argv = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        return argv.includes(text) ? [argv.replaceAll('\0', ' ')] : [];
      } catch {
        return []; // it has ended in the meantime
      }
    });
}

/** Asks until CHECK holds: the kernel ends processes in its own time. */
export async function eventually(check: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; !check(); await pause(5)) if (Date.now() > end) throw new Error('not in 10 s');
}
