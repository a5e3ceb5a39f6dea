#!/usr/bin/env node
'use strict';
// CommonJS, and the bundle with it: loading ES modules costs 6 ms more of the few that a cached build takes.
const fs = require('node:fs');
const path = require('node:path');

const dist = path.join(__dirname, '../dist');

/** Node 20 has no compile cache of its own: V8's code cache, kept beside the bundle, spares 13 ms of compiling it. */
function loadWithCodeCache(bundle) {
  const vm = require('node:vm');
  const cacheFile = `${bundle}.${process.version}-${process.arch}.cache`;
  const code = fs.readFileSync(bundle, 'latin1'); // esbuild writes ASCII
  let cachedData;
  try {
    // V8 compares only lengths: a cache older than the bundle must not be tried.
    if (fs.statSync(cacheFile).mtimeMs >= fs.statSync(bundle).mtimeMs) cachedData = fs.readFileSync(cacheFile);
  } catch {
    cachedData = undefined;
  }
  const script = new vm.Script(`(function (exports, require, module, __filename, __dirname) {${code}\n})`, {
    filename: bundle,
    cachedData,
  });
  if (cachedData === undefined || script.cachedDataRejected) {
    process.once('exit', () => {
      const temporary = `${cacheFile}.${process.pid}.${process.hrtime.bigint()}`; // agents are all process 1
      try {
        fs.writeFileSync(temporary, script.createCachedData());
        fs.renameSync(temporary, cacheFile);
      } catch {
        fs.rmSync(temporary, { force: true }); // a package folder that may not be written: slower, that is all
      }
    });
  }
  const main = { exports: {} };
  const load = (name) => {
    if (!name.startsWith('./')) return require(name);
    const file = path.join(dist, name);
    return name.startsWith('./parts/') ? require(file) : loadWithCodeCache(file);
  };
  script.runInThisContext()(main.exports, load, main, bundle, dist);
  return main.exports;
}

/** Runs a bundle of ../dist. */
exports.load = (name) => {
  const bundle = path.join(dist, name);
  if (process.versions.node.startsWith('20.')) {
    loadWithCodeCache(bundle);
  } else {
    require('node:module').enableCompileCache?.();
    require(bundle);
  }
};

/** Whether this call is a build like one before it, and is answered. */
function isAnswered() {
  if (process.argv[2] !== 'build') return false;
  try {
    return require('../dist/repeat.cjs').answered();
  } catch {
    return false; // nothing is kept of it, or not all of it can be looked at
  }
}

if (require.main === module) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    process.stderr.write(`strake needs Node 20.19 or newer; this is ${process.version}\n`);
    process.exitCode = 1;
  } else if (!fs.existsSync(path.join(dist, 'strake.cjs'))) {
    import('../dist/src/strake.js'); // not bundled: a checkout in which only tsc has run
  } else if (!isAnswered()) {
    exports.load('strake.cjs');
  }
}
