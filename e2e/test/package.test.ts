import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import vm from 'node:vm';
import { gone, processesWith } from './support/processes.js';
import { ROOT } from './support/repository.js';

/** What a script printed, and how it ended. */
interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const FILES = [
  'LICENSE',
  'README.md',
  'THIRD-PARTY.md',
  'bin/agent.js',
  'bin/package.json',
  'bin/strake.js',
  'bin/worker.js',
  ...[
    'agent.cjs',
    'index.d.ts',
    'index.js',
    'native-init-main.js',
    'parser.d.ts',
    'parser.js',
    'step-network-main.js',
    'early-agent.cjs',
    'repeat.cjs',
    'strake-steps.cjs',
    'strake.cjs',
    'worker.cjs',
  ].map((name) => `dist/${name}`),
  'package.json',
];

/** Code blocks of the page, each a module of its own. */
function examples(): string[] {
  const page = readFileSync(path.join(ROOT, 'docs/library.md'), 'utf8');
  return [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code);
}

/** A project elsewhere that depends on the package as it would be published, and its own store. */
class Project {
  readonly folder: string = mkdtempSync(path.join(tmpdir(), 'strake-package-'));
  readonly store: string = path.join(this.folder, 'store');
  readonly report: string = path.join(this.folder, 'api.md');
  readonly files: readonly string[];

  constructor() {
    const packed = path.join(this.folder, 'packed');
    execFileSync(process.execPath, [path.join(ROOT, 'scripts/package.mjs'), packed, this.report], { stdio: 'pipe' });
    const [made] = JSON.parse(
      execFileSync('npm', ['pack', packed, '--json', '--silent'], {
        cwd: this.folder,
        encoding: 'utf8',
        stdio: 'pipe',
      }),
    ) as [{ filename: string; files: { path: string }[] }];
    this.files = made.files.map((file) => file.path).sort();
    const modules = path.join(this.folder, 'node_modules');
    mkdirSync(path.join(modules, 'strake'), { recursive: true });
    mkdirSync(path.join(modules, '@types'));
    execFileSync('tar', [
      '-xzf',
      path.join(this.folder, made.filename),
      '--strip-components=1',
      '-C',
      path.join(modules, 'strake'),
    ]);
    for (const name of ['koffi', '@types/node', 'undici-types']) {
      symlinkSync(path.join(ROOT, 'node_modules', name), path.join(modules, name));
    }
    this.write('package.json', JSON.stringify({ type: 'module', private: true }));
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      strict: true,
      skipLibCheck: false,
      types: ['node'],
    };
    this.write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  }

  write(name: string, text: string): void {
    mkdirSync(path.dirname(path.join(this.folder, name)), { recursive: true });
    writeFileSync(path.join(this.folder, name), text);
  }

  compile(): void {
    const tsc = createRequire(path.join(ROOT, 'package.json')).resolve('typescript/bin/tsc');
    try {
      execFileSync(process.execPath, [tsc, '-p', this.folder], { encoding: 'utf8', stdio: 'pipe' });
    } catch (error) {
      assert.fail((error as { stdout: string }).stdout);
    }
  }

  /** Runs a script to its own end: nothing may keep it from ending. */
  run(script: string, ...argv: string[]): Promise<Ended> {
    const env = { PATH: process.env['PATH'], HOME: this.folder, STRAKE_ROOT: this.store };
    return new Promise((resolve, reject) => {
      execFile(
        process.execPath,
        [script, ...argv],
        { cwd: this.folder, env, timeout: 60_000 },
        (error, stdout, stderr) => {
          if (error?.killed) reject(new Error(`${script} does not end: ${stdout}${stderr}`));
          else
            resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr: stderr.slice(-1500) });
        },
      );
    });
  }

  async output(script: string, ...argv: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(script, ...argv);
    assert.deepEqual([status, stderr], [0, ''], stdout);
    return stdout;
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

describe('the published package', function () {
  this.timeout(120_000);
  let project: Project;

  before(async () => {
    project = new Project();
    for (const name of readdirSync(path.join(ROOT, 'fixtures/library'))) {
      copyFileSync(path.join(ROOT, 'fixtures/library', name), path.join(project.folder, name));
    }
    examples().forEach((code, i) => project.write(`example-${i}.ts`, code));
    const dockerfile = 'FROM busybox\nCOPY hello /\nRUN cat hello\n';
    project.write('app/Dockerfile', dockerfile);
    project.write('app/hello', 'hello\n');
    execFileSync('tar', ['-czf', path.join(project.folder, 'app.tar.gz'), '-C', path.join(project.folder, 'app'), '.']);
    const busybox = path.join(project.folder, 'busybox');
    execFileSync(process.execPath, [path.join(ROOT, 'scripts/busybox-layout.mjs'), busybox]);
    project.write(
      'base.ts',
      `import { build } from 'strake';
await build({ dockerfile: 'FROM base', buildContexts: { base: 'oci-layout://${busybox}' }, tags: ['busybox'] }).result;
`,
    );
    project.compile();
    await project.output('base.js');
  });
  after(() => project.close());

  it('holds its doors and what they need, and nothing else', async () => {
    const parts = readdirSync(path.join(ROOT, 'packages/cli/dist/parts')).map((name) => `dist/parts/${name}`);
    assert.ok(parts.length > 10 && parts.every((name) => name.endsWith('.cjs')));
    assert.deepEqual(project.files, [...FILES, ...parts].sort());
    project.write('inside.js', "await import('strake/dist/agent.js');");
    assert.match((await project.run('inside.js')).stderr, /ERR_PACKAGE_PATH_NOT_EXPORTED/);
    assert.equal((await project.output('node_modules/strake/bin/strake.js', '--version')).includes('0.1.0'), true);
  });

  it('exports what packages/cli/api.md says', () => {
    const known = readFileSync(path.join(ROOT, 'packages/cli/api.md'), 'utf8');
    assert.equal(
      readFileSync(project.report, 'utf8'),
      known,
      'the API has changed: npm run api writes packages/cli/api.md anew',
    );
  });

  describe('on the page of examples', () => {
    examples().forEach((code, i) => {
      const title = code.split('\n').find((line) => /build\(|engine = |Dockerfile\(/.test(line)) ?? code;
      it(`runs: ${title.trim()}`, async () => {
        const printed = await project.output(`example-${i}.js`);
        // What a comment says that a line prints is what it prints.
        for (const [, said = ''] of code.matchAll(/console\.log\(.*\/\/ (.*)$/gm))
          assert.ok(printed.includes(said), said);
      });
    });
  });

  it('serves a CI script', async () => {
    const first = await project.output('ci.js', 'app', 'ci', 'abc');
    assert.match(first, /running \[3\/3\] RUN cat hello\nhello\n/);
    assert.match(first, /sha256:[0-9a-f]{64} 2 MB in \d+ ms\n$/);
    assert.match(await project.output('ci.js', 'app', 'ci', 'abd'), /cached {2}\[3\/3\] RUN cat hello\n/);
    project.write('bad/Dockerfile', 'FROM busybox\nRUN exit 7\n');
    const failed = await project.run('ci.js', 'bad');
    assert.equal(failed.status, 7);
    assert.match(failed.stdout, /::error file=Dockerfile,line=2::.*exit code: 7/);
  });

  it('serves a tool that builds from memory', async () => {
    const before = readdirSync(project.folder).sort();
    project.write(
      'use.js',
      `import { createEngine } from 'strake';
import { packageHandlers } from './in-memory.js';
const engine = createEngine();
const handlers = ['a', 'b'].map((name) => ({ name, source: 'cat assets/' + name, assets: { [name]: 'I am ' + name } }));
await packageHandlers(handlers, 'docker-image://busybox', engine);
for (const { name } of handlers) {
  await engine.run({ image: 'handler-' + name, onOutput: (_stream, data) => process.stdout.write(data) });
}
const bad = packageHandlers([{ name: 'c', source: 'if' }], 'docker-image://busybox', engine);
console.log(await bad.catch(({ code, location }) => [code, location.line].join()));
// not closed: an engine that has nothing to do keeps nobody from ending
`,
    );
    assert.equal(await project.output('use.js'), 'I am aI am bSTEP_FAILED,4\n');
    rmSync(path.join(project.folder, 'use.js'));
    assert.deepEqual(readdirSync(project.folder).sort(), before);
  });

  it('serves tests that need containers', async () => {
    project.write(
      'use.js',
      `import { createEngine } from 'strake';
import { Containers } from './containers.js';
const containers = new Containers();
const dockerfile = 'FROM busybox\\nCMD echo ready on $(hostname); sleep 4${process.pid}';
const one = await containers.start({ dockerfile }, /ready on .*/);
console.log(one.output().trim());
const failing = containers.start({ dockerfile: 'FROM busybox\\nCMD echo broken; exit 4' }, /ready/);
console.log(await failing.catch((error) => /broken[^]*exit code 4/.test(error.message)));
await containers.close();
const engine = createEngine();
console.log((await engine.images()).filter(({ name }) => name.includes('test-')).length);
await engine.close();
`,
    );
    assert.equal(await project.output('use.js'), 'ready on strake\ntrue\n0\n');
    assert.deepEqual(await gone(() => processesWith(`sleep 4${process.pid}`)), []);
  });

  it('has a parser for browsers: no module of Node, and no global of it', async () => {
    const { build } = await import('esbuild');
    const { outputFiles, metafile } = await build({
      stdin: { contents: "export * from 'strake/parser'", resolveDir: project.folder },
      ...{ bundle: true, platform: 'browser', format: 'iife', globalName: 'parser', write: false, metafile: true },
    });
    assert.deepEqual(
      Object.values(metafile.outputs).flatMap((output) => output.imports),
      [],
    );
    const [{ text } = { text: '' }] = outputFiles;
    const source =
      'FROM a as b\nRUN --mount=type=cache,target=/c <<EOF\necho $x\nEOF\nFROM b\nCOPY --from=b --chmod=755 x y /z/\nADD';
    const run = (code: string): unknown =>
      JSON.parse(String(new vm.Script(`${text};JSON.stringify(${code})`).runInNewContext({ source })));
    assert.deepEqual(run(`parser.parseDockerfile(source.slice(0, -4)).stages.map(({ from }) => from.image)`), [
      'a',
      'b',
    ]);
    assert.deepEqual(
      run(`parser.checkDockerfile(parser.parseDockerfile(source.slice(0, -4))).warnings.map(({ rule }) => rule)`),
      ['FromAsCasing'],
    );
    assert.deepEqual(
      run(
        `(() => { try { parser.parseDockerfile(source) } catch (error) { return [error instanceof parser.StrakeError, error.location.line] } })()`,
      ),
      [true, 7],
    );
    assert.deepEqual(run(`parser.createPatternMatcher(parser.parseIgnoreFile('*.md\\n!a.md')).matches('b.md')`), true);
  });
});
