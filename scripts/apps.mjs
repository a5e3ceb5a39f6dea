// Builds, runs and checks the applications of fixtures/apps: from nothing, and again with everything cached.
// usage: npm run apps -- [--quick] [--log] [--keep] [NAME...]
//   --quick   only the four that need little
//   --log     print what the commands say although nothing fails
//   --keep    leave the stores (the path is printed)
// The last line is `N passed, N failed`; exit status 1 where any failed.
// $STRAKE: the program to test. $STRAKE_BASES: folder of the base images. TMPDIR: folder of the stores.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { base } from '../fixtures/apps/bases.mjs';
import { createTester } from '../fixtures/apps/tester.mjs';

const root = path.join(import.meta.dirname, '..');
const folder = path.join(root, 'fixtures/apps');
const strake = process.env.STRAKE ?? path.join(root, 'node_modules/.bin/strake');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, log: { type: 'boolean' }, keep: { type: 'boolean' } },
});

const QUICK = ['fastify', 'monorepo', 'private-package', 'trio'];
const all = readdirSync(folder).filter((name) => existsSync(path.join(folder, name, 'app.mjs')));
const unknown = positionals.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`no application is called ${unknown.join(', ')}; there are ${all.join(', ')}`);
  process.exit(2);
}
const chosen = positionals.length > 0 ? positionals : values.quick ? QUICK : all;

/**
 * Secrets that let npm find its registry, from this machine's configuration and never written down here: `npmrc`, and
 * `ca` where npm has certificates of its own.
 */
function npmSecrets(scratch) {
  const setting = (key) =>
    execFileSync('npm', ['config', 'get', key], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  const file = path.join(os.homedir(), '.npmrc');
  const own = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  const lines = own.filter((line) => /^\/\/.*:_(auth|authToken|password)\s*=/.test(line));
  lines.push(`registry=${setting('registry')}`, 'fund=false', 'audit=false', 'update-notifier=false');
  const secrets = { npmrc: path.join(scratch, 'npmrc') };
  const ca = [process.env.NODE_EXTRA_CA_CERTS, setting('cafile')].find((name) => name && existsSync(name));
  if (ca !== undefined) {
    secrets.ca = ca;
    lines.push('cafile=/run/secrets/ca');
  }
  writeFileSync(secrets.npmrc, `${lines.join('\n')}\n`, { mode: 0o600 });
  return secrets;
}

const seconds = (from) => ((performance.now() - from) / 1000).toFixed(1).padStart(6);

async function check(name) {
  const app = await import(pathToFileURL(path.join(folder, name, 'app.mjs')).href);
  const bases = {};
  try {
    for (const key of app.bases) bases[key] = await base(key);
  } catch (error) {
    console.log(`${name.padEnd(16)} FAILED: ${error.message}`);
    return false;
  }
  const scratch = mkdtempSync(path.join(os.tmpdir(), `strake-app-${name}-`));
  const secrets = npmSecrets(scratch);
  const tester = createTester({ strake, folder: path.join(folder, name), scratch, bases, secrets });
  const times = { cold: '     -', warm: '     -' };
  let failure;
  try {
    let start = performance.now();
    const built = await app.build(tester);
    times.cold = seconds(start);
    start = performance.now();
    assert.deepEqual(await app.build(tester), built, 'the second build gave other images');
    times.warm = seconds(start);
    await app.check(tester);
    tester.assertClean();
  } catch (error) {
    failure = error;
  }
  const result = failure === undefined ? 'ok' : `FAILED: ${failure.message.split('\n')[0]}`;
  console.log(`${name.padEnd(16)} cold ${times.cold} s   warm ${times.warm} s   ${result}`);
  if (failure !== undefined || values.log) console.log(tester.log().replace(/^/gm, '    '));
  if (failure !== undefined) console.log(failure.stack ?? String(failure));
  if (values.keep) console.log(`    ${scratch}`);
  else rmSync(scratch, { recursive: true, force: true });
  return failure === undefined;
}

let passed = 0;
let failed = 0;
for (const name of chosen) {
  if (await check(name)) passed++;
  else failed++;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
