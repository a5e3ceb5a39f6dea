// Tries what a command leaves in the store when one of its calls to the system fails (EIO, a full disk), does less than it should,
// or is the last one before a crash. Afterwards: it said one thing, or did its work; every blob is what its name says, every named
// image whole; `doctor --fix` leaves nothing behind; the next build makes the right image. And what a power cut leaves, at the end or
// in the midst: contents that were not synced are torn, names of folders that were not synced are taken back.
// usage: node e2e/faults.mjs [--each N | --all] [--cuts N] [--only NAME] [--calls NAME] [--kind KIND] [--seed N] [--fault KIND:CALL]
//   --each N   so many faults on each command, the most different ones first (default 10)
//   --all      all: each call that changes or reads the store, 40 of those that are alike; hours
//   --cuts N   so many power cuts for each command (default 4)
//   --only     one command, e.g. "first build"
//   --calls    faults at these calls only: open, create, write, read, rename, mkdir ...
//   --kind     faults of this kind only: crash, after, EIO, full, short, "EIO on read", "short read"
//   --fault    one fault again, e.g. crash:17; with --only
// The last line is `N passed, N failed`. Needs a C compiler, and `npm run setup -- --tests` before.
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    each: { type: 'string', default: '10' },
    cuts: { type: 'string', default: '4' },
    all: { type: 'boolean', default: false },
    only: { type: 'string' },
    calls: { type: 'string' },
    kind: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1e6) },
    fault: { type: 'string' },
  },
});
const at = (name) => import(new URL(`./dist/test/support/${name}.js`, import.meta.url));
const [{ Bench }, { SCENARIOS }, { plan, randomNumbers, tryFault, tryPowerCut }, { compiler }] = await Promise.all(
  ['faults/bench', 'faults/scenarios', 'faults/sweep', 'faults/injector'].map(at),
);
const { DockerRegistry } = await at('docker-registry');
const { findProgram } = await at('programs');

let [passed, failed] = [0, 0];
/** A store so broken that it cannot be judged. */
const broken = (error) => [String(error)];
if (compiler() === undefined) console.log('skipped: there is no C compiler');
else {
  const registry = findProgram('docker-registry') ? await DockerRegistry.start() : undefined;
  const bench = new Bench(registry);
  const random = randomNumbers(Number(values.seed));
  const given = values.fault?.split(':');
  const begun = Date.now();
  try {
    await bench.prepare();
    for (const scenario of SCENARIOS) {
      if ((values.only ?? scenario.name) !== scenario.name || (scenario.registry && !registry)) continue;
      const faults = given
        ? [{ kind: given[0], at: Number(given[1]) }]
        : (await plan(bench, scenario, random, values.calls)).filter(({ kind }) => (values.kind ?? kind) === kind);
      const tried = values.all ? faults : faults.slice(0, Number(values.each));
      const judge = (what, problems) => {
        if (problems.length === 0) return passed++;
        failed++;
        console.log(`FAIL  ${scenario.name}, ${what}\n      ${problems.join('\n      ')}`);
      };
      for (const fault of tried) {
        const problems = await tryFault(bench, scenario, fault).catch(broken);
        judge(`${fault.kind}:${fault.at}, ${bench.faulted}`, problems);
      }
      const calls = Math.max(...faults.map((fault) => fault.at));
      for (let i = 0; i < (given || scenario.lasts === false ? 0 : Number(values.cuts)); i++) {
        const cut = {
          names: i % 2 === 0 ? 'ordered' : 'unordered',
          ...(i % 4 >= 2 && { at: 1 + Math.floor(random() * calls) }),
        };
        judge(`power cut ${JSON.stringify(cut)}`, await tryPowerCut(bench, scenario, cut, random).catch(broken));
      }
      const took = Math.round((Date.now() - begun) / 1000);
      console.log(`${scenario.name}: ${tried.length} of ${faults.length} faults tried, ${took} s since the start`);
    }
  } finally {
    bench.close();
    await registry?.close();
  }
  console.log(`seed ${values.seed}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
