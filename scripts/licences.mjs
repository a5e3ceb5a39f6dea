// Lists the packages that an installed strake consists of, with version, licence and what they bring, in THIRD-PARTY.md.
// usage: node scripts/licences.mjs [--check]
// --check: writes nothing; exit status 1 where the file is not up to date, a licence is none of those allowed, a package comes
// from somewhere else than the registry or without a checksum, or one that runs a script at install is not explained below.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const file = path.join(root, 'THIRD-PARTY.md');
const ALLOWED = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  '0BSD',
  'PSF-2.0',
]);
/** Packages that declare an install script, and why nothing is lost or risked by not running it. */
const SCRIPTS = {
  koffi: 'looks for its binary, which comes as a package of its own; needed only where there is none for the platform',
  esbuild: 'development only: checks its binary, which comes as a package of its own',
};

const { packages } = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
const problems = [];
const rows = [];
for (const [place, found] of Object.entries(packages)) {
  if (!place.includes('node_modules/') || found.link) continue;
  const name = place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
  if (!ALLOWED.has(found.license)) problems.push(`${name} has the licence ${found.license}`);
  // Where the lock file names no address it is the registry's.
  if (found.resolved && !found.resolved.startsWith('https://registry.npmjs.org/'))
    problems.push(`${name} is not of npm`);
  if (!/^sha512-/.test(found.integrity ?? '')) problems.push(`${name} has no checksum`);
  if (found.hasInstallScript && !SCRIPTS[name]) problems.push(`${name} runs a script at install`);
  if (found.dev) continue;
  rows.push([name, found.version, found.license, found.optional ? 'one of a kind for each platform' : '']);
}
rows.sort(([a], [b]) => (a < b ? -1 : 1));
const text = [
  '# Packages that strake is installed with',
  '',
  'Made by `node scripts/licences.mjs` from package-lock.json; `--check` in CI. Every one is pinned there with a checksum. The command',
  'is bundled: of these only koffi, which calls the system, is looked for at run time.',
  '',
  '| package | version | licence | |',
  '| --- | --- | --- | --- |',
  ...rows.map((row) => `| ${row.join(' | ')} |`),
  '',
  'Install scripts are not needed (`npm install --ignore-scripts`, the default of newer npm):',
  '',
  ...Object.entries(SCRIPTS).map(([name, why]) => `- ${name}: ${why}`),
  '',
].join('\n');

const squeezed = (markdown) => markdown.replace(/[ -]+/g, ' ');
if (process.argv.includes('--check')) {
  let there = '';
  try {
    there = readFileSync(file, 'utf8');
  } catch {
    problems.push('THIRD-PARTY.md is missing');
  }
  if (squeezed(there) !== squeezed(text)) problems.push('THIRD-PARTY.md is not up to date: node scripts/licences.mjs');
} else writeFileSync(file, text);
for (const problem of problems) console.log(`FAIL  ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;
