// Makes the folder that is published as `strake`: exactly what its package.json names. `npm pack FOLDER` and `npm publish FOLDER` take it.
// usage: node scripts/package.mjs FOLDER [REPORT]     after tsc -b and scripts/bundle.mjs; REPORT as of roll-up-types.mjs
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const cli = path.join(root, 'packages/cli');
const [folder, ...report] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node scripts/package.mjs FOLDER [REPORT]');
  process.exit(2);
}
const json = (file) => JSON.parse(readFileSync(path.join(root, 'packages', file, 'package.json'), 'utf8'));
const { name, version, description, license, type, engines, bin } = json('cli');
const PROGRAMS = [
  ...[
    'repeat.cjs',
    'early-agent.cjs',
    'strake.cjs',
    'strake-steps.cjs',
    'agent.cjs',
    'worker.cjs',
    'parts',
    'index.js',
  ],
  ...['parser.js', 'native-init-main.js', 'step-network-main.js'],
];

rmSync(folder, { recursive: true, force: true });
mkdirSync(path.join(folder, 'dist'), { recursive: true });
cpSync(path.join(cli, 'bin'), path.join(folder, 'bin'), { recursive: true });
for (const file of PROGRAMS) cpSync(path.join(cli, 'dist', file), path.join(folder, 'dist', file), { recursive: true });
for (const file of ['README.md', 'LICENSE', 'THIRD-PARTY.md']) cpSync(path.join(root, file), path.join(folder, file));
execFileSync(process.execPath, [path.join(root, 'scripts/roll-up-types.mjs'), path.join(folder, 'dist'), ...report]);
const door = (file) => ({ types: `./dist/${file}.d.ts`, default: `./dist/${file}.js` });
const published = {
  ...{ name, version, description, license, type, engines, bin },
  exports: { '.': door('index'), './parser': door('parser'), './package.json': './package.json' },
  files: ['bin', 'dist', 'THIRD-PARTY.md'],
  // Everything else is in the bundles; koffi finds its binary beside itself.
  dependencies: { koffi: json('sys').dependencies.koffi },
};
writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(published, undefined, 2)}\n`);
