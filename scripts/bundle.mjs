// Bundles the command and the library into packages/cli/dist: strake.cjs, index.js, parser.js (which needs no Node), and the programs of
// the processes that it starts (agent.cjs, worker.js ...). From the TypeScript sources, so that no tsc has to run before. strake.cjs and
// agent.cjs are CommonJS, whose parts that only some calls need are evaluated when these ask for them: see packages/cli/bin/strake.js.
// usage: node scripts/bundle.mjs
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

import { bundleInParts, PROGRAMS } from './chunks.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const outdir = path.join(root, 'packages/cli/dist');

/** Packages whose modules do nothing when they are loaded: those that nothing is used of are left out. */
const PURE = ['core', 'parser'];

/** Workspace packages are bundled from their sources. */
const workspaces = {
  name: 'workspaces',
  setup(build) {
    build.onResolve({ filter: /^@strake\/[a-z]+$/ }, ({ path: specifier }) => {
      const name = specifier.slice('@strake/'.length);
      return { path: path.join(root, 'packages', name, 'src/index.ts'), sideEffects: !PURE.includes(name) };
    });
  },
};

const common = {
  absWorkingDir: root,
  outdir,
  bundle: true,
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  external: ['koffi'], // finds its binary beside itself
  plugins: [workspaces],
  logLevel: 'warning',
  define: { STRAKE_BUNDLE: 'true' },
};

await removeCodeCaches();
await rm(path.join(outdir, 'parts'), { recursive: true, force: true });
await mkdir(path.join(outdir, 'parts'), { recursive: true });
for (const program of Object.keys(PROGRAMS)) {
  for (const [name, text] of Object.entries(await bundleInParts(program, common))) {
    await writeFile(path.join(outdir, name), text);
  }
}

const processes = {
  'native-init-main': 'packages/runtime/src/native-init-main.ts',
  'step-network-main': 'packages/runtime/src/step-network-main.ts',
};
const entryPoints = Object.fromEntries(
  Object.entries(processes).filter(([, file]) => existsSync(path.join(root, file))),
);
const modules = {
  ...common,
  format: 'esm',
  // CommonJS dependencies call require(), which ES modules do not have
  banner: {
    js: "import { createRequire as strakeRequire } from 'node:module'; const require = strakeRequire(import.meta.url);",
  },
};
await build({ ...modules, entryPoints });
// In lines: of an error that nobody catches Node prints the line that threw it.
await build({ ...modules, entryPoints: { index: 'packages/cli/src/index.ts' }, minifyWhitespace: false });

// The first that a build loads, and often all that it does.
await build({
  ...common,
  entryPoints: {
    repeat: 'packages/cli/src/repeat/answer.ts',
    'early-agent': 'packages/engine/src/agent-process.ts',
  },
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
});

await build({
  ...common,
  entryPoints: { parser: 'packages/cli/src/parser.ts' },
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  minifyWhitespace: false,
  external: ['node:*'], // of modules that are left out; e2e/test/package.test.ts sees to it
});

// Node 20: the code cache as a build that is answered from the cache leaves it, so that the user's first one finds it.
const scratch = await mkdtemp(path.join(tmpdir(), 'strake-bundle-'));
try {
  await writeFile(path.join(scratch, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
  const argv = [
    path.join(root, 'packages/cli/bin/strake.js'),
    'build',
    '--progress=plain',
    '--root',
    path.join(scratch, 'store'),
    scratch,
  ];
  for (let turn = 0; turn < 2; turn++) {
    await removeCodeCaches();
    spawnSync(process.execPath, argv, { stdio: 'ignore' });
  }
  // And that of a worker thread, which keeps it when it has lived for a second.
  const library = JSON.stringify(path.join(outdir, 'index.js'));
  const many = `Object.fromEntries(Array.from({ length: 1000 }, (_, i) => ['f' + i, 'file ' + i]))`;
  const program = `
    const { createEngine } = await import(${library});
    const engine = createEngine({ root: ${JSON.stringify(path.join(scratch, 'library'))} });
    await engine.build({ dockerfile: 'FROM scratch\\nCOPY . /', context: ${many} }).result;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await engine.close();`;
  spawnSync(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' });
} finally {
  await rm(scratch, { recursive: true, force: true });
}

async function removeCodeCaches() {
  for (const file of existsSync(outdir) ? await readdir(outdir) : []) {
    if (file.endsWith('.cache')) await rm(path.join(outdir, file));
  }
}
