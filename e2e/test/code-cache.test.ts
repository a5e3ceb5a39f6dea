import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './support/repository.js';

const CLI = path.join(ROOT, 'packages/cli');

describe('code caches of the command', () => {
  let folder: string;
  let dist: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'strake-code-cache-'));
    dist = path.join(folder, 'dist');
    cpSync(path.join(CLI, 'bin'), path.join(folder, 'bin'), { recursive: true });
    mkdirSync(dist);
    for (const name of readdirSync(path.join(CLI, 'dist')))
      if (/^[\w-]+\.(c?js)$|^parts$/.test(name))
        cpSync(path.join(CLI, 'dist', name), path.join(dist, name), { recursive: true });
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
    mkdirSync(path.join(folder, 'context'));
    writeFileSync(path.join(folder, 'context/Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
  });
  // An agent that was not needed may write its cache while it ends.
  afterEach(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));

  const argv = (store: string): string[] => [
    path.join(folder, 'bin/strake.js'),
    ...['build', '-q', '--root', path.join(folder, store), path.join(folder, 'context')],
  ];
  function build(store = 'store'): string {
    const { status, stdout, stderr } = spawnSync(process.execPath, argv(store), { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.equal(stderr, '');
    return stdout;
  }
  const caches = (): string[] => readdirSync(dist).filter((name) => name.includes('.cache'));
  const cacheFile = (): string => {
    const name = caches().find((one) => one.startsWith('strake.cjs.'));
    assert.ok(name, 'a cache of strake.cjs');
    return path.join(dist, name);
  };

  before(function () {
    if (!process.version.startsWith('v20.')) this.skip(); // newer ones have a compile cache of their own
  });

  it('are made by the first build and taken by the next', () => {
    const image = build();
    const before = readFileSync(cacheFile());
    assert.equal(build(), image);
    assert.deepEqual(readFileSync(cacheFile()), before);
  });

  it('that are damaged, cut off or of another version are made anew', () => {
    const image = build();
    const file = cacheFile();
    const whole = readFileSync(file);
    const version = Buffer.from(whole);
    version.writeUInt32LE(version.readUInt32LE(4) ^ 1, 4);
    for (const bad of [Buffer.from('no cache'), Buffer.alloc(0), whole.subarray(0, whole.length / 2), version]) {
      writeFileSync(file, bad);
      assert.equal(build(), image);
      assert.notDeepEqual(readFileSync(file), bad);
    }
  });

  it('are done without where they cannot be written', () => {
    build();
    const file = cacheFile();
    rmSync(file);
    mkdirSync(file);
    build();
    assert.equal(caches().filter((name) => /\.cache\./.test(name)).length, 0, 'leaves no temporary file');
  });

  it('are whole when several processes make them at once', async () => {
    const run = promisify(execFile);
    await Promise.all([0, 1, 2, 3].map((i) => run(process.execPath, argv(`store-${i}`))));
    const before = readFileSync(cacheFile());
    build('store-0');
    assert.deepEqual(readFileSync(cacheFile()), before);
    assert.equal(caches().filter((name) => /\.cache\./.test(name)).length, 0);
  });
});
