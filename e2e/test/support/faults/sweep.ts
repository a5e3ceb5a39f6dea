import { gone, mountsWith, processesWith } from '../processes.js';
import type { Outcome } from '../strake.js';
import type { Bench } from './bench.js';
import { FAULTS, type Fault, type TracedCall } from './injector.js';
import { cutPower, type Names } from './power-cut.js';
import type { Scenario } from './scenarios.js';
import { leftIn, namesIn, unsound } from './soundness.js';

/** Of calls that are alike so many are tried, however many there are; a layer's unpacking makes hundreds. */
const ALIKE = 40;
/** Milliseconds that a command may take; a loaded machine included. */
const PATIENCE = 120_000;

/** Numbers from 0 to 1 that SEED decides. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const all = items.map((item) => ({ item, at: random() }));
  return all.sort((a, b) => a.at - b.at).map(({ item }) => item);
}

/** What calls have in common that are alike: the name, the part of the store, what a temporary file is for. */
function likeness({ name, path: from, to }: TracedCall, disk: string): string {
  const part = (file: string): string => {
    const [, top = '', below = ''] = file.slice(disk.length + 1).split('/');
    return top === 'tmp' ? `tmp/${below.split('.')[1] ?? ''}` : top;
  };
  return `${name} ${part(from)} ${to === '' ? '' : part(to)}`;
}

/** The faults to try at CALLS: of each kind of call one, then of each another, and so on. */
function faultsAt(calls: readonly TracedCall[], reads: boolean, disk: string, random: () => number): Fault[] {
  const groups = new Map<string, Fault[]>();
  for (const call of shuffled(calls, random)) {
    const kinds = FAULTS.filter((kind) => kind.endsWith('read') === reads).filter(
      (kind) => !['short', 'short read'].includes(kind) || call.name === 'write' || call.name === 'read',
    );
    for (const kind of shuffled(kinds, random)) {
      const key = `${likeness(call, disk)} ${kind}`;
      const group = groups.get(key) ?? [];
      if (group.length === 0) groups.set(key, group);
      if (group.length < ALIKE) group.push({ kind, at: call.number });
    }
  }
  const rounds: Fault[] = [];
  const all = shuffled([...groups.values()], random);
  for (let i = 0; i < ALIKE; i++) for (const group of all) if (group[i]) rounds.push(group[i] as Fault);
  return rounds;
}

/** Puts the store into the state in which SCENARIO begins. */
export async function begin(bench: Bench, scenario: Scenario): Promise<void> {
  bench.restore(scenario.from);
  await scenario.before?.(bench);
}

/** The faults of a scenario in the order in which they are worth trying; with CALL only those at calls of that name. */
export async function plan(bench: Bench, scenario: Scenario, random: () => number, call?: string): Promise<Fault[]> {
  const found: Fault[][] = [];
  for (const reads of [false, true]) {
    await begin(bench, scenario);
    await bench.must(scenario.run(bench, { env: bench.injector.environment({ reads }) }));
    const calls = bench.injector.calls().filter(({ name }) => call === undefined || name === call);
    found.push(faultsAt(calls, reads, bench.disk, random));
  }
  // Three changes, then a read.
  const [changes = [], reads = []] = found;
  return changes.flatMap((fault, i) =>
    i % 3 === 2 && reads[(i - 2) / 3] ? [fault, reads[(i - 2) / 3] as Fault] : [fault],
  );
}

/** What is wrong with how a command ended: it must say one thing, or have done its work. */
function spoken({ status, stderr, took }: Outcome, fault: Fault): string[] {
  const problems = took > PATIENCE ? [`it took ${took} ms`] : [];
  if (fault.kind === 'crash' || fault.kind === 'after' || status === 0) return problems;
  const errors = stderr.split('\n').filter((line) => line.startsWith('error: '));
  if (errors.length !== 1 || status !== 1) problems.push(`status ${status}, ${errors.length} errors: ${stderr}`);
  if (/bug in strake/.test(stderr)) problems.push(`it takes it for a bug: ${stderr}`);
  return problems;
}

/** Runs SCENARIO with FAULT and gives what is wrong afterwards. */
export async function tryFault(bench: Bench, scenario: Scenario, fault: Fault): Promise<string[]> {
  await begin(bench, scenario);
  let outcome: Outcome;
  try {
    outcome = await scenario.run(bench, { env: bench.injector.environment({ fault }) });
  } catch (error) {
    return [`the command: ${String(error)}`];
  }
  const call = bench.injector.calls().findLast(({ number }) => number <= fault.at);
  bench.faulted = call ? `${call.name} ${call.path} ${call.to}`.replaceAll(bench.disk, '') : '';
  const problems = spoken(outcome, fault);
  for (const left of await gone(() => processesWith(bench.disk), 20_000)) problems.push(`a process is left: ${left}`);
  for (const left of await gone(() => mountsWith(bench.disk))) problems.push(`a mount is left: ${left}`);
  if (outcome.status === 0) problems.push(...(await scenario.done(bench)));
  problems.push(...unsound(bench.store), ...namesLost(bench, scenario));
  bench.passTime();
  const fixed = await bench.strake(['doctor', '--fix']);
  if (fixed.status !== 0) problems.push(`doctor --fix: ${fixed.stderr}`);
  problems.push(...leftIn(bench.store));
  problems.push(...(await bench.rebuild('new\n')), ...unsound(bench.store), ...leftIn(bench.store));
  return problems;
}

/** Another boot of the machine. */
const BOOT = '11111111-2222-4333-8444-555555555555';

/**
 * Runs SCENARIO, to its end or until a crash AT, cuts the power and starts anew: what is wrong then. Where names get to the disk in
 * any order only what names promise must be right.
 */
export async function tryPowerCut(
  bench: Bench,
  scenario: Scenario,
  cut: { readonly at?: number; readonly names: Names },
  random: () => number,
): Promise<string[]> {
  await begin(bench, scenario);
  bench.injector.emptyGraves();
  const fault = cut.at === undefined ? {} : { fault: { kind: 'crash', at: cut.at } as const };
  const outcome = await scenario.run(bench, { env: bench.injector.environment({ ...fault, graves: true }) });
  const problems: string[] = [];
  if (outcome.status !== 0 && cut.at === undefined) problems.push(`the command: ${outcome.stderr}`);
  for (const left of await gone(() => processesWith(bench.disk), 20_000)) problems.push(`a process is left: ${left}`);
  cutPower(bench, cut.names, random);
  bench.passTime(true);
  const env = bench.injector.environment({ boot: BOOT });
  const opened = await bench.strake(['images'], { env });
  if (opened.status !== 0) problems.push(`the store cannot be opened: ${opened.stderr}`);
  if (outcome.status === 0) problems.push(...(await scenario.done(bench)));
  problems.push(...unsound(bench.store, cut.names === 'unordered'), ...namesLost(bench, scenario));
  problems.push(...(await bench.rebuild('new\n', bench.injector.environment({ boot: BOOT }))));
  problems.push(...unsound(bench.store, cut.names === 'unordered'));
  return problems;
}

/** Names that were there before SCENARIO, that it does not remove, and that are gone. */
export function namesLost(bench: Bench, { from, removes = [] }: Scenario): string[] {
  if (from === undefined) return [];
  const names = namesIn(bench.store);
  const lost = ['kept', 'spare', 'app']
    .map((name) => `docker.io/library/${name}:latest`)
    .filter((name) => !names.has(name) && !removes.includes(name));
  return lost.map((name) => `the name ${name} is lost`);
}
