// Gets an orphan and has children of its own; prints what became of them. `--unburied`: nobody looks after the orphan.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';

import { adoptOrphans } from '@strake/sys';

import { Orphans } from '../../src/orphans.js';

const run = promisify(execFile);
const looked = !process.argv.includes('--unburied');

adoptOrphans();
const orphans = new Orphans();
const { stdout } = await run('sh', ['-c', 'sleep 0 > /dev/null 2>&1 & echo $!']);
const orphan = stdout.trim();
if (looked) orphans.look();
// Children that Node has started end meanwhile, and Node is to hear of each.
let heard = 0;
const ownChildren = Array.from({ length: 20 }, async (_, i) => {
  await run('sleep', [`0.${i}`]);
  heard++;
});
await Promise.all(ownChildren);
const deadline = Date.now() + (looked ? 30_000 : 3000);
while (existsSync(`/proc/${orphan}`) && Date.now() < deadline) await new Promise(setImmediate);
const state = existsSync(`/proc/${orphan}`)
  ? (/\) (\w) /.exec(readFileSync(`/proc/${orphan}/stat`, 'latin1'))?.[1] ?? '?')
  : 'gone';
process.stdout.write(JSON.stringify({ heard, state }));
