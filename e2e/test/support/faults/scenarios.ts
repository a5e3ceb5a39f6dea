import { tarEntries } from '../tar-entries.js';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Outcome, RunOptions } from '../strake.js';
import { contentOf, type Bench } from './bench.js';
import { layersOf, namesIn } from './soundness.js';

/** A command that faults are tried on. */
export interface Scenario {
  readonly name: string;
  /** The store that it begins with: see `Bench.prepare`; undefined: none. */
  readonly from: 'full' | undefined;
  /** Whether it needs a registry. */
  readonly registry?: boolean;
  /** What is done before it, without faults. */
  before?(bench: Bench): Promise<void>;
  run(bench: Bench, options: RunOptions): Promise<Outcome>;
  /** What is wrong after it has said that it is done. */
  done(bench: Bench): Promise<string[]>;
  /** False where what it does is not in the store. */
  readonly lasts?: false;
  /** Whether images that were there may lose their names. */
  readonly removes?: readonly string[];
}

const full = (name: string): string => `docker.io/library/${name}:latest`;

function named(bench: Bench, name: string, digest: string): string[] {
  const found = namesIn(bench.store).get(name);
  return found === digest ? [] : [`${name} is ${found ?? 'not there'}, not ${digest}`];
}

/** Whether the image app is there and has in its layers what a.txt = TEXT makes of it. */
function builtApp(bench: Bench, text: string): string[] {
  const digest = namesIn(bench.store).get(full('app'));
  if (digest === undefined) return ['app is not there'];
  const files = new Map<string, string>();
  for (const diffId of layersOf(bench.store, digest)) {
    const tar = readFileSync(path.join(bench.store, 'blobs/sha256', diffId.slice(7)));
    for (const { name, body } of tarEntries(tar)) files.set(name, body.toString('utf8'));
  }
  return Object.entries(contentOf(text)).flatMap(([name, wanted]) =>
    files.get(name) === wanted ? [] : [`app has another ${name}`],
  );
}

/** Where `save` writes and `load` reads. */
const archive = (bench: Bench): string => path.join(bench.workshop.folder, 'archive.tar');

const there = (problems: string[]): Promise<string[]> => Promise.resolve(problems);

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'first build',
    from: undefined,
    run: (bench, options) => bench.build('new\n', ['-t', 'app'], options),
    done: (bench) => there(builtApp(bench, 'new\n')),
  },
  {
    name: 'changed build',
    from: 'full',
    run: (bench, options) => bench.build('new\n', ['-t', 'app'], options),
    done: (bench) => there(builtApp(bench, 'new\n')),
  },
  {
    name: 'cached build under a new name',
    from: 'full',
    run: (bench, options) => bench.build('kept\n', ['-t', 'other'], options),
    done: (bench) => there(namesIn(bench.store).has(full('other')) ? [] : ['other is not there']),
  },
  {
    name: 'tag',
    from: 'full',
    run: (bench, options) => bench.strake(['tag', 'kept', 'app'], options),
    done: (bench) => there(named(bench, full('app'), bench.kept)),
  },
  {
    name: 'rm',
    from: 'full',
    run: (bench, options) => bench.strake(['rm', 'spare'], options),
    done: (bench) => there(namesIn(bench.store).has(full('spare')) ? ['spare is still there'] : []),
    removes: [full('spare')],
  },
  {
    name: 'prune',
    from: 'full',
    run: (bench, options) => bench.strake(['prune', '-af'], options),
    done: () => there([]),
  },
  {
    name: 'push',
    from: 'full',
    registry: true,
    before: async (bench: Bench): Promise<void> => {
      bench.pushed = bench.newName();
      await bench.must(bench.strake(['tag', 'kept', bench.pushed]));
    },
    run: (bench, options) => bench.strake(['push', bench.pushed], options),
    done: async (bench: Bench): Promise<string[]> => {
      bench.restore(undefined);
      const pulled = await bench.strake(['pull', bench.pushed]);
      return pulled.status === 0 ? [] : [`what was pushed cannot be pulled: ${pulled.stderr}`];
    },
    lasts: false,
    // Judged with an empty store.
    removes: [full('kept'), full('spare'), full('app')],
  },
  {
    name: 'pull',
    from: undefined,
    registry: true,
    before: async (bench: Bench): Promise<void> => {
      if (bench.pullable !== '') return;
      bench.pullable = bench.newName();
      bench.restore('full');
      await bench.must(bench.strake(['tag', 'kept', bench.pullable]));
      await bench.must(bench.strake(['push', bench.pullable]));
      bench.restore(undefined);
    },
    run: (bench, options) => bench.strake(['pull', bench.pullable], options),
    done: (bench) => there(namesIn(bench.store).has(bench.pullable) ? [] : ['what was pulled is not there']),
  },
  {
    name: 'save',
    from: 'full',
    before: (bench) => Promise.resolve(rmSync(archive(bench), { force: true })),
    run: (bench, options) => bench.strake(['save', 'kept', '-o', archive(bench)], options),
    done: async (bench: Bench): Promise<string[]> => {
      bench.restore(undefined);
      const loaded = await bench.strake(['load', '-i', archive(bench)]);
      return loaded.status === 0 ? [] : [`what was saved cannot be loaded: ${loaded.stderr}`];
    },
    lasts: false,
    // Judged with an empty store.
    removes: [full('kept'), full('spare'), full('app')],
  },
  {
    name: 'load',
    from: undefined,
    before: async (bench: Bench): Promise<void> => {
      bench.restore('full');
      await bench.must(bench.strake(['save', 'kept', '-o', archive(bench)]));
      bench.restore(undefined);
    },
    run: (bench, options) => bench.strake(['load', '-i', archive(bench)], options),
    done: (bench) => there(namesIn(bench.store).has(full('kept')) ? [] : ['what was loaded is not there']),
  },
];
