import type { CacheEntry, DiskUsage } from '@strake/engine';
import { ENGINE_FLAGS } from '../args/engine-flags.js';
import { FORMAT_FLAGS, wantsJson } from '../args/format.js';
import type { Flag } from '../args/parse.js';
import { positionals } from '../args/positionals.js';
import type { Command } from '../command.js';
import { writeJson } from '../print/json.js';
import { familiar } from '../print/names.js';
import { ago, table } from '../print/table.js';
import { bytes, fit, oneLine } from '../progress/text.js';
import { withEngine } from '../with-engine.js';

const FLAGS: readonly Flag[] = [
  { name: 'verbose', short: 'v', kind: 'boolean', help: 'List images and items of the cache' },
  ...FORMAT_FLAGS,
  ...ENGINE_FLAGS,
];
const DESCRIPTION = 60;

function since(time: number, now: number): string {
  return ago(new Date(time).toISOString(), now);
}

/** Sums over items: what several hold is counted with each. */
function sum(items: readonly { readonly size: number }[]): number {
  return items.reduce((total, { size }) => total + size, 0);
}

function overview(usage: DiskUsage): string {
  const { images, cache, unpacked, garbage, limits } = usage;
  const of = (...types: readonly CacheEntry['type'][]): CacheEntry[] =>
    cache.filter(({ type }) => types.includes(type));
  const mounts = of('exec.cachemount');
  const remembered = of('source.local');
  const folders = sum([...mounts, ...remembered]);
  const row = (what: string, count: number, size: number, why: string): string[] => [
    what,
    String(count),
    bytes(size),
    why,
  ];
  const limit = `until prune, or beyond ${bytes(limits.maxUsed)}`;
  return table(
    ['WHAT', 'COUNT', 'SIZE', 'KEPT'],
    [
      row('images', images.length, usage.imagesSize, 'named: until strake rm'),
      row('steps', of('regular', 'internal').length, usage.cacheSize - folders, limit),
      row('cache mounts', mounts.length, sum(mounts), 'until prune, or unused for 48 hours and beyond 512MB'),
      row('digests of contexts', remembered.length, sum(remembered), 'as cache mounts'),
      row('unpacked trees', unpacked.count, unpacked.size, 'with their layers (within the sizes above)'),
      row('notes of builds', usage.notes.count, usage.notes.size, 'for strake explain: 60 days, at most 64MB'),
      row('garbage', garbage.count, garbage.size, 'until the next collection'),
    ],
  );
}

function details({ images, cache }: DiskUsage, now: number): string {
  const imageRows = images.map(({ name, size, unique, pulled, updated }) => [
    familiar(name),
    bytes(size),
    bytes(unique),
    since(updated, now),
    pulled ? 'pulled' : 'built or tagged here',
  ]);
  const cacheRows = cache.map(({ id, type, size, used, shared, description }) => [
    id.replace(/^sha256:(.{12}).*/, '$1').replace(/^([a-z]+\/.{12}).*/, '$1'),
    type,
    bytes(size),
    since(used, now),
    shared ? 'named images hold it too' : 'cache',
    fit(oneLine(description), DESCRIPTION),
  ]);
  return [
    table(['IMAGE', 'SIZE', 'UNIQUE', 'UPDATED', 'KEPT'], imageRows),
    table(['CACHE ID', 'TYPE', 'SIZE', 'USED', 'KEPT', 'DESCRIPTION'], cacheRows),
  ].join('\n');
}

export const df: Command = {
  usage: 'df [OPTIONS]',
  about:
    'Says what takes the space of the store, and why it is kept. Each byte counts once: images first,\n' +
    'then what only the cache holds.',
  flags: FLAGS,
  async run(args, io) {
    positionals(args);
    const json = wantsJson(args);
    const found = await withEngine(args, io, (engine) => engine.diskUsage());
    if (json) writeJson(io.stdout, found);
    else io.stdout.write(overview(found) + (args.boolean('verbose') ? `\n${details(found, io.now())}` : ''));
    return 0;
  },
};
