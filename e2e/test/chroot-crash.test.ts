import { plainContainerCommand } from '@strake/runtime/testing';
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { STRAKE } from './support/repository.js';
import { gone, processesWith } from './support/processes.js';
import { Workshop } from './support/strake.js';

describe('a builder without namespaces that is killed', function () {
  this.timeout(120_000);
  let workshop: Workshop;

  before(function () {
    if (process.getuid?.() !== 0) this.skip();
    workshop = new Workshop();
  });
  after(() => (workshop as Workshop | undefined)?.close());

  /** Starts a build in a container without privileges. */
  const start = (lines: readonly string[]): ChildProcess => {
    writeFileSync(path.join(workshop.context, 'Dockerfile'), lines.map((line) => `${line}\n`).join(''));
    const [file, ...args] = [...plainContainerCommand(), process.execPath, STRAKE];
    const base = ['--build-context', `busybox=oci-layout://${workshop.busybox}`];
    const env = { PATH: process.env['PATH'], HOME: workshop.folder, STRAKE_ROOT: workshop.store };
    return spawn(file, [...args, 'build', ...base, workshop.context], { env, stdio: 'ignore' });
  };
  const parentOf = (pid: number): number => {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
  };
  const seen = async (marker: string): Promise<number> => {
    for (;;) {
      const [found] = processesWith(marker);
      if (found !== undefined) return parseInt(found, 10);
      await new Promise(setImmediate);
    }
  };

  /** A script that keeps a file, and only then has processes with MARKER in their command lines: its own must not hold it as it is. */
  const keeping = (marker: string): string => {
    const word = `${marker.slice(0, 3)}''${marker.slice(3)}`;
    return `echo kept > /c/kept; (trap "" TERM HUP; setsid sleep ${word} & sleep ${word}) & wait`;
  };

  /** The files in all cache mounts. */
  const caches = (): string[] => {
    const folder = path.join(workshop.store, 'mounts');
    const names = readdirSync(folder).filter((name) => !name.includes('.'));
    return names.flatMap((name) => readdirSync(path.join(folder, name)));
  };

  it('takes its steps along, and gives cache mounts back', async () => {
    const marker = `${1e9 + process.pid}`;
    const script = keeping(marker);
    const build = start(['FROM busybox', `RUN --mount=type=cache,id=crash,target=/c ${script}`]);
    await seen(marker);
    build.kill('SIGKILL');
    assert.deepEqual(await gone(() => processesWith(marker), 20_000), []);
    // The folder is back a moment after the last process is gone.
    assert.deepEqual(await gone(() => (caches().length === 1 ? [] : caches())), []);
  });

  it('leaves nothing for good, even where its agent is killed with it', async () => {
    const marker = `${2e9 + process.pid}`;
    const script = keeping(marker);
    const build = start(['FROM busybox', `RUN --mount=type=cache,id=crash2,target=/c ${script}`]);
    let pid = await seen(marker);
    const ancestors: number[] = [];
    while (pid !== build.pid && pid > 1) ancestors.push((pid = parentOf(pid)));
    // The builder first, then the agent that it has started.
    build.kill('SIGKILL');
    const agent = ancestors.at(-2);
    if (agent !== undefined) process.kill(agent, 'SIGKILL');
    const next = start(['FROM busybox', 'RUN true']);
    const status = await new Promise((resolve) => next.once('exit', resolve));
    assert.deepEqual([status, await gone(() => processesWith(marker))], [0, []]);
    assert.deepEqual(caches(), ['kept', 'kept']);
  });
});
