// Programs as CommonJS: the command, whose strake.cjs holds what a build that is answered from the cache runs, strake-steps.cjs what one
// that runs steps needs besides, the agent, and the worker threads. Each other part is a file of its own that is read when something first imports it.
//
// esbuild splits only into ES modules, a file each. Loading those costs 6 ms more of the few that a cached build takes, and V8's code
// cache has one file: so parts become functions of one.
import path from 'node:path';
import { build, transform } from 'esbuild';

/**
 * Programs: `first` names the entry and the dynamic imports that it follows at once. With all that they import statically they are one
 * file. `steps` is a second one, for what only a build that runs steps imports.
 */
export const PROGRAMS = {
  strake: {
    first: [
      'packages/cli/src/strake.ts',
      'packages/cli/src/commands/build.ts',
      'packages/cli/src/progress/plain.ts',
      'packages/cli/src/progress/quiet.ts',
      'packages/cli/src/progress/tty.ts',
      'packages/engine/src/index.ts',
    ],
    steps: [
      'packages/engine/src/agent-start.ts',
      'packages/engine/src/prune.ts',
      'packages/builder/src/explain/compare.ts',
      'packages/builder/src/explain/match.ts',
      'packages/store/src/jobs.ts',
      'packages/sys/src/index.ts',
    ],
  },
  agent: {
    first: [
      'packages/engine/src/agent.ts',
      'packages/sys/src/index.ts',
      'packages/store/src/jobs.ts',
      'packages/store/src/snapshot/commit.ts',
      'packages/store/src/snapshot/commit-copy.ts',
      'packages/store/src/snapshot/remove-tree.ts',
      'packages/store/src/snapshot/unpack.ts',
    ],
  },
  worker: {
    first: [
      'packages/store/src/worker.ts',
      'packages/store/src/layer/amend-layer.ts',
      'packages/store/src/layer/compress-part.ts',
      'packages/store/src/snapshot/commit.ts',
      'packages/store/src/snapshot/commit-copy.ts',
      'packages/store/src/snapshot/remove-tree.ts',
      'packages/store/src/snapshot/unpack.ts',
    ],
  },
};

/**
 * Modules of Node that are loaded at once: Node has them in its start-up snapshot, or a cached build needs them. All others wait
 * until something of them is used: worker_threads, child_process, zlib, net ... take 1 to 3 ms each.
 */
const AT_ONCE = new Set(['node:buffer', 'node:crypto', 'node:fs', 'node:os', 'node:path', 'node:url', 'node:util']);

/** `require` of a module of Node in a part, as esbuild writes imports: with `__toESM` where there is a default import or one of all names. */
const BUILTIN = /\b(?:(import_\w+=)require\("(node:[\w/]+)"\)|([\w$]+=)__toESM\(require\("(node:[\w/]+)"\)\))/g;

/** What is around a part. */
const PARAMETERS = 'exports,require,module,strakeLazy,strakeModule';

/**
 * Finds parts in this file, then in the one for STEPS, where there is one, then in the folder `parts`. A module of Node that waits is
 * loaded when something of it is looked up.
 */
const loader = (steps) => `'use strict';
const strakeModule = {
  get url() {
    return require('node:url').pathToFileURL(__filename).href;
  },
};
const strakeLoaded = new Map();
function strakeLazy(name) {
  const get = (_, key) => {
    const all = require(name);
    return key === 'default' ? all : all[key];
  };
  return new Proxy({}, { get });
}
const strakeSteps = new Set(${JSON.stringify(steps?.names ?? [])});
let strakeStepParts;
function strakePart(name) {
  if (strakeSteps.has(name)) return (strakeStepParts ??= require('${steps?.file}'))[name];
  return strakeParts[name] ?? require('./parts/' + name.slice(2));
}
function strakeRequire(name) {
  if (!name.startsWith('./')) return require(name);
  let module = strakeLoaded.get(name);
  if (module === undefined) {
    strakeLoaded.set(name, (module = { exports: {} }));
    strakePart(name)(module.exports, strakeRequire, module, strakeLazy, strakeModule);
  }
  return module.exports;
}
`;

/** The files of the program NAME and their texts, by path below their folder. OPTIONS as for esbuild, with an absWorkingDir. */
export async function bundleInParts(name, options) {
  const program = `${name}.cjs`;
  const { outputFiles, metafile } = await build({
    ...options,
    entryPoints: { [name]: PROGRAMS[name].first[0] },
    format: 'esm',
    splitting: true,
    outExtension: { '.js': '.cjs' },
    write: false,
    metafile: true,
    define: { ...options.define, 'import.meta.url': 'strakeModule.url' },
  });
  const first = closure(metafile.outputs, PROGRAMS[name].first);
  const later = closure(metafile.outputs, PROGRAMS[name].steps ?? []);
  const files = {};
  const [inside, steps] = [[], []];
  const names = [];
  for (const { path: file, text } of outputFiles) {
    const part = path.basename(file);
    const { entryPoint } = metafile.outputs[path.relative(options.absWorkingDir, file)];
    const code = await asFunction(text, options, entryPoint?.startsWith('node_modules/'));
    const member = `${JSON.stringify(`./${part}`)}:${code}`;
    if (first.has(part)) {
      inside.push(member);
    } else if (later.has(part)) {
      steps.push(member);
      names.push(`./${part}`);
    } else {
      files[`parts/${part}`] = `'use strict';module.exports=${code};\n`;
    }
  }
  const extra = steps.length > 0 ? { file: `./${name}-steps.cjs`, names } : undefined;
  if (extra) files[`${name}-steps.cjs`] = `'use strict';module.exports={\n${steps.join(',\n')}\n};\n`;
  files[program] =
    `${loader(extra)}const strakeParts={\n${inside.join(',\n')}\n};\nmodule.exports = strakeRequire('./${program}');\n`;
  return files;
}

/** The names of all parts that ENTRIES, sources, import statically. */
function closure(outputs, entries) {
  const found = new Set();
  const add = (file) => {
    const name = path.basename(file);
    if (found.has(name)) return;
    found.add(name);
    for (const { path: imported, kind, external } of outputs[file].imports)
      if (kind === 'import-statement' && !external) add(imported);
  };
  for (const entry of entries) {
    const file = Object.keys(outputs).find((name) => outputs[name].entryPoint === entry);
    if (file === undefined) throw new Error(`${entry} is no part of the bundle any more`);
    add(file);
  }
  return found;
}

/** What import() gives of a CommonJS package: Node finds its names, of a part of its own esbuild exports `default` only. */
const NAMES = `module.exports=Object.defineProperty({...Object(module.exports.default),...module.exports},'__esModule',{value:true});`;

/** A part of a bundle as the text of a function of its exports and of `require`. FOREIGN: a package may be imported here. */
async function asFunction(text, { target, minifySyntax, minifyWhitespace }, foreign) {
  const { code } = await transform(text, {
    format: 'cjs',
    platform: 'node',
    target,
    minifySyntax,
    minifyWhitespace,
    supported: { 'dynamic-import': false }, // V8's code cache loses what import() needs
  });
  const lazy = code.replace(BUILTIN, (whole, plain, named, variable, withDefault) =>
    AT_ONCE.has(named) ? whole : `${plain ?? variable}strakeLazy(${JSON.stringify(named ?? withDefault)})`,
  );
  return `function(${PARAMETERS}){${lazy}${foreign ? NAMES : ''}}`;
}
