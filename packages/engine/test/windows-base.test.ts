import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { createEngine, type Engine } from '../src/index.js';
import { layoutImage, type LayoutImage } from './support/layer-lines.js';

/** The folders that layers for Windows begin with. */
const TOP = ['Hives 5 40000 0:0 attributes 16', 'Files 5 40000 0:0 attributes 16'];
const folder = (name: string, owner = '0:0'): string => `Files/${name}/ 5 40755 ${owner} attributes 16 security 288`;
const file = (name: string, mode = '644', owner = '0:0'): string =>
  `Files/${name} 0 100${mode} ${owner} attributes 32 security 168`;

interface Case {
  readonly what: string;
  readonly dockerfile: string;
  /** The layers above the base, with the entries that a BuildKit of August 2026 wrote on Linux. */
  readonly layers: readonly (readonly string[])[];
  readonly workdir?: string;
}

const CASES: readonly Case[] = [
  {
    what: 'COPY of a file, into a new folder and one of the base: what leads there comes, too',
    dockerfile: 'FROM base\nCOPY a /app/\nCOPY a C:\\\\Windows\\\\System32\\\\\n',
    layers: [
      [...TOP, folder('app'), file('app/a')],
      [...TOP, folder('Windows'), folder('Windows/System32'), file('Windows/System32/a')],
    ],
  },
  {
    what: 'COPY of a folder with a link, whose target is written as if it lay in the layer',
    dockerfile: 'FROM base\nCOPY folder c:/x\n',
    layers: [[...TOP, folder('x'), 'Files/x/l 2 777 0:0 -> Files/y', folder('x/sub'), file('x/sub/z'), file('x/y')]],
  },
  {
    what: 'COPY over a file, --chown, --chmod',
    dockerfile: 'FROM base\nCOPY a License.txt\nCOPY --chown=5:6 a /c/\nCOPY --chmod=4711 a /m\n',
    layers: [
      [...TOP, file('License.txt')],
      [...TOP, folder('c', '5:6'), file('c/a', '644', '5:6')],
      [...TOP, file('m').replace('100644', '104711')],
    ],
  },
  {
    what: 'WORKDIR, and paths with drives and backslashes',
    dockerfile:
      '# escape=`\nFROM base\nWORKDIR C:\\w\nWORKDIR d\\e\nCOPY a .\nCOPY a .\\ff\\\nCOPY a C:x\\..\\g\\.\nCOPY folder/sub \\h\n',
    layers: [
      [...TOP, folder('w')],
      [...TOP, folder('w'), folder('w/d'), folder('w/d/e')],
      [...TOP, folder('w'), folder('w/d'), folder('w/d/e'), file('w/d/e/a')],
      [...TOP, folder('w'), folder('w/d'), folder('w/d/e'), folder('w/d/e/ff'), file('w/d/e/ff/a')],
      [...TOP, folder('w'), folder('w/d'), folder('w/d/e'), file('w/d/e/g')],
      [...TOP, folder('h'), file('h/z')],
    ],
    workdir: '\\w\\d\\e',
  },
  {
    what: 'ADD of an archive, hard links in it',
    dockerfile: 'FROM base\nADD t.tar /\n',
    layers: [[...TOP, folder('t'), file('t/f'), 'Files/t/h 1 644 0:0 -> Files/t/f']],
  },
  {
    what: 'ADD of an archive in which a folder becomes a file, and a folder again: what it had is removed by name',
    dockerfile: 'FROM base\nADD again.tar /\n',
    layers: [
      [
        ...TOP,
        folder('Windows'),
        file('Windows/new'),
        'Files/Windows/.wh.System32 0 100000 0:0 attributes 32 security 168',
      ],
    ],
  },
  {
    what: 'COPY --from of a stage for Windows, of an image for Windows, of a stage for Linux',
    dockerfile:
      'FROM base AS w\nCOPY folder /x\nFROM --platform=linux/amd64 scratch AS l\nCOPY folder/sub /x\n' +
      'FROM base\nCOPY --from=w C:\\\\x\\\\l /link\nCOPY --from=base /Windows/S* /s\nCOPY --from=l /x /x\n',
    layers: [
      [...TOP, file('link')],
      [...TOP, folder('s'), file('s/cmd.exe')],
      [...TOP, folder('x'), file('x/z')],
    ],
  },
  {
    what: 'a stage on a stage, and ONBUILD of the base',
    dockerfile: 'FROM base AS w\nONBUILD COPY a C:/onbuild/\nFROM w\nCOPY a /b\n',
    layers: [
      [...TOP, folder('onbuild'), file('onbuild/a')],
      [...TOP, file('b')],
    ],
  },
];

describe('an image for Windows as a base', () => {
  const work = mkdtempSync(path.join(tmpdir(), 'strake-windows-'));
  const context = path.join(work, 'context');
  const base = path.join(work, 'base');
  const on = { buildContexts: { base: `oci-layout://${base}` } };
  let engine: Engine;

  const build = async (
    dockerfile: string,
    { platform = 'windows/amd64', ...more }: { readonly platform?: string; readonly dest?: string } = {},
  ): Promise<LayoutImage> => {
    const dest = more.dest ?? path.join(work, 'result');
    rmSync(dest, { recursive: true, force: true });
    const output = { type: 'oci', attributes: { dest, tar: 'false' } } as const;
    await engine.build({ context, dockerfile, platforms: [platform], outputs: [output], ...on });
    return layoutImage(dest);
  };

  before(async () => {
    engine = await createEngine({ root: path.join(work, 'store') });
    for (const one of ['folder/sub', 'again/Windows', 't', 'base/Files/Windows/System32', 'base/Hives']) {
      mkdirSync(path.join(context, one), { recursive: true });
    }
    const write = (name: string): void => {
      writeFileSync(path.join(context, name), name, { mode: 0o644 });
    };
    for (const name of ['a', 'folder/y', 'folder/sub/z', 't/f', 'again/Windows/new', 'again/file']) write(name);
    for (const name of ['Hives/Delta', 'Files/License.txt', 'Files/Windows/System32/cmd.exe']) write(`base/${name}`);
    symlinkSync('y', path.join(context, 'folder/l'));
    execFileSync('ln', ['t/f', 't/h'], { cwd: context });
    const owner = ['--owner=0', '--group=0', '--mode=go-w'];
    execFileSync('tar', ['cf', 't.tar', ...owner, '--no-recursion', 't', 't/f', 't/h'], { cwd: context });
    const asFile = ['--transform=s,^file$,Windows,', 'file'];
    execFileSync('tar', ['cf', 'again.tar', ...owner, ...asFile], { cwd: path.join(context, 'again'), stdio: 'pipe' });
    execFileSync('mv', ['again/again.tar', '.'], { cwd: context });
    execFileSync('tar', ['rf', '../again.tar', ...owner, 'Windows'], { cwd: path.join(context, 'again') });
    // A layer that is made from scratch is an ordinary one, whatever its platform.
    const { layers } = await build('FROM scratch\nCOPY base /\n', { dest: base });
    assert.ok(
      layers[0]?.some((line) => line.startsWith('Files/License.txt 0 644 0:0')),
      String(layers[0]),
    );
  });

  after(async () => {
    await engine.close();
    rmSync(work, { recursive: true, force: true });
  });

  for (const { what, dockerfile, layers, workdir } of CASES) {
    it(`takes layers in the form that Windows reads: ${what}`, async () => {
      const made = await build(dockerfile);
      assert.deepEqual(made.layers.slice(1), layers);
      if (workdir !== undefined) assert.equal(made.config.config['WorkingDir'], workdir);
    });
  }

  it('takes layers of COPY --link, too, which are not those of an image for Linux', async () => {
    for (let i = 0; i < 2; i++) {
      const linux = await build('FROM scratch\nCOPY --link a /app/\n', { platform: 'linux/amd64' });
      assert.deepEqual(linux.layers, [['app/ 5 755 0:0 untimed', 'app/a 0 644 0:0 untimed']]);
      const windows = await build('FROM base\nCOPY --link a /app/\n');
      assert.deepEqual(windows.layers.slice(1), [[...TOP, folder('app'), file('app/a')]]);
    }
  });

  it('gives a stage for Linux its files, without what layers for Windows have around them', async () => {
    const { layers } = await build(
      'FROM base AS w\nCOPY folder /x\nFROM --platform=linux/amd64 scratch\nCOPY --from=w / /all/\n',
    );
    const names = layers[0]?.map((line) => line.replace(/ untimed$/, ''));
    assert.deepEqual(names, [
      'all/ 5 755 0:0',
      'all/License.txt 0 644 0:0',
      'all/Windows/ 5 755 0:0',
      'all/Windows/System32/ 5 755 0:0',
      'all/Windows/System32/cmd.exe 0 644 0:0',
      'all/x/ 5 755 0:0',
      'all/x/l 2 777 0:0 -> y',
      'all/x/sub/ 5 755 0:0',
      'all/x/sub/z 0 644 0:0',
      'all/x/y 0 644 0:0',
    ]);
  });

  it('is a folder of files as an output', async () => {
    const dest = path.join(work, 'files');
    const output = { type: 'local', attributes: { dest } } as const;
    const dockerfile = 'FROM base\nCOPY folder /x\n';
    await engine.build({ context, dockerfile, platforms: ['windows/amd64'], outputs: [output], ...on });
    assert.deepEqual(readdirSync(dest).sort(), ['License.txt', 'Windows', 'x']);
    assert.equal(readFileSync(path.join(dest, 'x/l'), 'utf8'), 'folder/y');
  });

  it('is a base again, with all that was put into it', async () => {
    const again = path.join(work, 'again');
    await build('FROM base\nCOPY folder /x\n', { dest: again });
    const dockerfile = 'FROM base\nCOPY --from=base /x /y\nCOPY --from=base /x/l /z\n';
    const output = { type: 'oci', attributes: { dest: path.join(work, 'result'), tar: 'false' } } as const;
    rmSync(path.join(work, 'result'), { recursive: true });
    await engine.build({
      context,
      dockerfile,
      platforms: ['windows/amd64'],
      outputs: [output],
      buildContexts: { base: `oci-layout://${again}` },
    });
    assert.deepEqual(layoutImage(path.join(work, 'result')).layers.slice(2), [
      [...TOP, folder('y'), 'Files/y/l 2 777 0:0 -> Files/y', folder('y/sub'), file('y/sub/z'), file('y/y')],
      [...TOP, file('z')],
    ]);
  });

  it('runs nothing, and says so before anything is done', async () => {
    await assert.rejects(build('FROM base\nCOPY a /\nRUN x\n'), (error: { code?: string; location?: unknown }) => {
      assert.equal(error.code, 'UNSUPPORTED');
      assert.ok(error.location);
      return true;
    });
  });

  for (const step of [
    'COPY a D:\\\\x',
    'WORKDIR D:\\\\x',
    'COPY a \\\\\\\\server\\\\x',
    'WORKDIR C:',
    'COPY --from=base E:/ /',
  ]) {
    it(`has one drive: ${step} is refused`, async () => {
      await assert.rejects(build(`FROM base\n${step}\n`), { code: 'INSTRUCTION_INVALID' });
    });
  }
});
