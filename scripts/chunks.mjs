// The command as CommonJS: strake.cjs holds what a build that is answered from the cache runs, and each other part is a file of its
// own that is read when something first imports it.
//
// esbuild splits only into ES modules, a file each. Loading those costs 6 ms more of the few that a cached build takes, and V8's code
// cache has one file: so parts become functions of one.
import path from 'node:path';
import { build, transform } from 'esbuild';

/** Dynamic imports that a cached build follows: with all that they import statically they are strake.cjs. */
const WARM = [
  'packages/cli/src/strake.ts',
  'packages/cli/src/commands/build.ts',
  'packages/cli/src/progress/plain.ts',
  'packages/cli/src/progress/quiet.ts',
  'packages/cli/src/progress/tty.ts',
  'packages/engine/src/index.ts',
];

/**
 * Modules of Node that are loaded at once: Node has them in its start-up snapshot, or a cached build needs them. All others wait
 * until something of them is used: worker_threads, child_process, zlib, net ... take 1 to 3 ms each.
 */
const AT_ONCE = new Set(['node:buffer', 'node:crypto', 'node:fs', 'node:os', 'node:path', 'node:url', 'node:util']);

/** `require` of a module of Node in a part, as esbuild writes imports: with `__toESM` where there is a default import. */
const BUILTIN = /\b(import_\w+=)(?:require\("(node:[\w/]+)"\)|__toESM\(require\("(node:[\w/]+)"\)\))/g;

/** What is around a part. */
const PARAMETERS = 'exports,require,module,strakeLazy,strakeModule';

/** Finds parts in this file, then in the folder `parts`. A module of Node that waits is loaded when something of it is looked up. */
const LOADER = `'use strict';
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
function strakeRequire(name) {
  if (!name.startsWith('./')) return require(name);
  let module = strakeLoaded.get(name);
  if (module === undefined) {
    strakeLoaded.set(name, (module = { exports: {} }));
    const part = strakeParts[name] ?? require('./parts/' + name.slice(2));
    part(module.exports, strakeRequire, module, strakeLazy, strakeModule);
  }
  return module.exports;
}
`;

/** The files of the command and their texts, by path below its folder. OPTIONS as for esbuild, ENTRY a file below its absWorkingDir. */
export async function bundleInParts(entry, options) {
  const { outputFiles, metafile } = await build({
    ...options,
    entryPoints: { strake: entry },
    format: 'esm',
    splitting: true,
    outExtension: { '.js': '.cjs' },
    write: false,
    metafile: true,
    define: { ...options.define, 'import.meta.url': 'strakeModule.url' },
  });
  const warm = closure(metafile.outputs);
  const files = {};
  const inside = [];
  for (const { path: file, text } of outputFiles) {
    const name = path.basename(file);
    const { entryPoint } = metafile.outputs[path.relative(options.absWorkingDir, file)];
    const part = await asFunction(text, options, entryPoint?.startsWith('node_modules/'));
    if (warm.has(name)) inside.push(`${JSON.stringify(`./${name}`)}:${part}`);
    else files[`parts/${name}`] = `'use strict';module.exports=${part};\n`;
  }
  files['strake.cjs'] = `${LOADER}const strakeParts={\n${inside.join(',\n')}\n};\nstrakeRequire('./strake.cjs');\n`;
  return files;
}

/** The names of all parts that the entries of WARM import statically. */
function closure(outputs) {
  const found = new Set();
  const add = (file) => {
    const name = path.basename(file);
    if (found.has(name)) return;
    found.add(name);
    for (const { path: imported, kind, external } of outputs[file].imports)
      if (kind === 'import-statement' && !external) add(imported);
  };
  for (const entry of WARM) {
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
  const lazy = code.replace(BUILTIN, (whole, variable, named, withDefault) => {
    const name = named ?? withDefault;
    return AT_ONCE.has(name) && named ? whole : `${variable}strakeLazy(${JSON.stringify(name)})`;
  });
  return `function(${PARAMETERS}){${lazy}${foreign ? NAMES : ''}}`;
}
