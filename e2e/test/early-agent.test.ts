import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Workshop, type Outcome } from './support/strake.js';

/** Notes each agent that is started: its process, and whether the rest of Strake was read before. */
const PRELOAD = `
const fs = require('node:fs');
const processes = require('node:child_process');
const [read, spawn] = [fs.readFileSync, processes.spawn];
let whole = false;
fs.readFileSync = (file, ...rest) => {
  if (String(file).endsWith('strake.cjs')) whole = true;
  return read(file, ...rest);
};
processes.spawn = (file, args, ...rest) => {
  const child = spawn(file, args, ...rest);
  if (args.some((word) => word.endsWith('agent.js')))
    fs.appendFileSync(process.env.NOTES, JSON.stringify({ pid: child.pid, early: !whole }) + '\\n');
  return child;
};
`;

interface Started {
  readonly pid: number;
  readonly early: boolean;
}

describe('an agent that is started before the rest of Strake is read', function () {
  this.timeout(60_000);
  let workshop: Workshop;
  let turn = 0;

  before(() => {
    workshop = new Workshop();
    writeFileSync(path.join(workshop.folder, 'preload.cjs'), PRELOAD);
    workshop.write('Dockerfile', 'FROM busybox\nRUN true\n');
  });
  after(() => workshop.close());

  const run = async (argv: readonly string[]): Promise<Outcome & { started: readonly Started[] }> => {
    const notes = path.join(workshop.folder, `notes${turn++}`);
    const env = { NODE_OPTIONS: `--require ${path.join(workshop.folder, 'preload.cjs')}`, NOTES: notes };
    const outcome = await workshop.strake(
      [...argv, '--build-context', `busybox=oci-layout://${workshop.busybox}`, 'context'],
      { env },
    );
    const lines = existsSync(notes) ? readFileSync(notes, 'utf8').trim().split('\n') : [];
    return { ...outcome, started: lines.map((line) => JSON.parse(line) as Started) };
  };
  const early = ({ started }: { readonly started: readonly Started[] }): readonly boolean[] =>
    started.map((one) => one.early);
  const runs = (pid: number): boolean => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  };
  /** The kernel ends what it does not end itself, soon after its own end. */
  const assertEnded = async ({ started }: { readonly started: readonly Started[] }): Promise<void> => {
    for (const { pid } of started) {
      for (let i = 0; i < 100_000 && runs(pid); i++) await new Promise(setImmediate);
      assert.ok(!runs(pid), `${pid} is left`);
    }
  };

  it('is the only one of a build that has to run something', async () => {
    const outcome = await run(['build', '-t', 'app']);
    assert.equal(outcome.status, 0, outcome.stderr);
    assert.deepEqual(early(outcome), [true]);
    await assertEnded(outcome);
  });

  it('is not started where the same call ran nothing before', async () => {
    // Never answered: each time it writes a file.
    const idle = ['build', '-t', 'idle', '--iidfile', path.join(workshop.folder, 'iid')];
    const calls = [await run(idle), await run(idle)];
    assert.deepEqual(calls.map(early), [[true], []]);
    workshop.write('Dockerfile', 'FROM busybox\nRUN true && true\n');
    const changed = await run(idle);
    assert.deepEqual([changed.status, early(changed)], [0, [false]]);
    workshop.write('Dockerfile', 'FROM busybox\nRUN true && true && true\n');
    assert.deepEqual(early(await run(idle)), [true]);
  });

  it('makes way for one in another place', async () => {
    const outcome = await run(['build', '--no-cache', '--isolation', 'chroot']);
    assert.equal(outcome.status, 0, outcome.stderr);
    assert.deepEqual(early(outcome), [true, false]);
    await assertEnded(outcome);
  });

  it('is not left where nothing is built', async () => {
    for (const argv of [
      ['build', '--help'],
      ['build', '--no-such-flag'],
      ['build', '-f', 'missing'],
    ]) {
      const outcome = await run(argv);
      assert.deepEqual(early(outcome), [true]);
      await assertEnded(outcome);
    }
  });
});
