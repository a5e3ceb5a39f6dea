#!/usr/bin/env node
'use strict';
// CommonJS, and the bundle with it: loading ES modules costs 6 ms more of the few that a cached build takes.
const fs = require('node:fs');
const path = require('node:path');

const dist = path.join(__dirname, '../dist');

/** Node 20 has no compile cache of its own: V8's code cache, kept beside the bundle, spares 13 ms of compiling it. */
function loadWithCodeCache(bundle, atEnd = (keep) => process.once('exit', keep)) {
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
    atEnd(() => {
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
    return name.startsWith('./parts/') ? require(file) : loadWithCodeCache(file, atEnd);
  };
  script.runInThisContext()(main.exports, load, main, bundle, dist);
  return main.exports;
}

/** Evaluates a bundle of ../dist. ATEND: calls what it is given when most of it is compiled; by default at the end of the process. */
exports.load = (name, atEnd) => {
  const bundle = path.join(dist, name);
  if (process.versions.node.startsWith('20.')) {
    return loadWithCodeCache(bundle, atEnd);
  } else {
    require('node:module').enableCompileCache?.();
    return require(bundle);
  }
};

/** Runs the command, where it is not a build like one before it, which is answered. What will probably be needed is started first. */
function run() {
  let early;
  if (process.argv[2] === 'build') {
    try {
      const known = require('../dist/repeat.cjs').answer();
      if (known === 'answered') return;
      if (known === 'will probably run steps')
        early = require('../dist/early-agent.cjs').spawnEarlyAgent(path.join(__dirname, 'agent.js'));
    } catch {
      early = undefined; // not all of what is kept of it can be looked at
    }
  }
  exports.load('strake.cjs').start(early);
}

if (require.main === module) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    process.stderr.write(`strake needs Node 20.19 or newer; this is ${process.version}\n`);
    process.exitCode = 1;
  } else if (!fs.existsSync(path.join(dist, 'strake.cjs'))) {
    import('../dist/src/strake.js').then(({ start }) => start()); // not bundled: a checkout in which only tsc has run
  } else {
    run();
  }
}
