import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, lstatSync, lutimesSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { describeImage, type Exceptions, type ImageDescription } from './image-description.js';
import { ROOT } from './repository.js';
import { ServedFiles } from './served-files.js';

/** A case: a folder with `Dockerfile`, `case.json`, `golden.json` and, where it has any, `context/`. */
export interface Case {
  readonly name: string;
  readonly folder: string;
  /** What the case shows. */
  readonly why: string;
  /** Shell lines run in the copy of the context before the build: modes, links, times, special files. */
  readonly setup: readonly string[];
  /** Shell lines run in a folder that a web server shows, at {url}; Git repositories in it can be cloned. */
  readonly served: readonly string[];
  /** Arguments of the build; {dir} is the case's copy, {url} the web server. */
  readonly options: readonly string[];
  /** The context's argument where it is not the folder. */
  readonly context?: string;
  /** Further attributes of the output. */
  readonly output?: string;
  /** Standard input of the build: a shell line whose output it is. */
  readonly stdin?: string;
  /** The build must fail with a message that matches. */
  readonly error?: string;
  /** It takes root: device nodes, capabilities of files. */
  readonly root: boolean;
  /** Where Strake deliberately differs from what Docker made. */
  readonly differs: Exceptions;
  /** Why the golden is no Docker's: it lacks the feature, or fails. What Strake made was checked by hand. */
  readonly withoutDocker?: string;
}

/** The folder of all cases. */
export const CASES: string = path.join(ROOT, 'fixtures/side-by-side');

/** All cases whose name contains ONLY. */
export function readCases(only = ''): Case[] {
  return readdirSync(CASES)
    .sort()
    .filter((name) => name.includes(only) && existsSync(path.join(CASES, name, 'case.json')))
    .map((name) => {
      const folder = path.join(CASES, name);
      const spec = JSON.parse(readFileSync(path.join(folder, 'case.json'), 'utf8')) as Partial<Case> & { why: string };
      return { setup: [], served: [], options: [], root: false, differs: {}, ...spec, name, folder };
    });
}

/** What was recorded of a case: an image, or that the build must fail. */
export function readGolden({ folder }: Case): ImageDescription | undefined {
  const file = path.join(folder, 'golden.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as ImageDescription) : undefined;
}

/** How a builder is called: everything in front of the case's own arguments. */
export interface Builder {
  readonly command: readonly string[];
  /** The base image as --build-context takes it: {base} in a case's arguments. */
  readonly base: string;
  readonly env: Readonly<Record<string, string>>;
}

/** What a builder made of a case. */
export interface Made {
  readonly image?: ImageDescription;
  /** What it printed. */
  readonly output: string;
}

/**
 * A copy of a case, with a web server where it needs one, on which any builder can be tried.
 */
export class Scene {
  readonly #case: Case;
  readonly #folder: string;
  readonly #base: string;
  #served: ServedFiles | undefined;

  /** FOLDER: scratch space of this scene; BASE: the layout of the base image. */
  constructor(given: Case, folder: string, base: string) {
    this.#case = given;
    this.#folder = folder;
    this.#base = base;
  }

  async prepare(): Promise<void> {
    const { folder, setup, served } = this.#case;
    const context = path.join(this.#folder, 'context');
    mkdirSync(context, { recursive: true });
    for (const name of readdirSync(folder)) {
      if (name !== 'golden.json' && name !== 'case.json') {
        cpSync(path.join(folder, name), path.join(this.#folder, name), { recursive: true, verbatimSymlinks: true });
      }
    }
    makeNew(this.#folder);
    const env = { ...process.env, CASE: this.#folder };
    const shell = (lines: readonly string[], cwd: string): void => {
      execFileSync('bash', ['-ec', ['umask 022', ...lines].join('\n')], {
        cwd,
        env,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
    };
    shell(setup, context);
    if (served.length > 0) {
      const shownFolder = path.join(this.#folder, 'served');
      mkdirSync(shownFolder);
      shell(served, shownFolder);
      this.#served = await ServedFiles.start(shownFolder);
    }
  }

  async build(builder: Builder): Promise<Made> {
    const { options, context = '{dir}/context', stdin, output: form } = this.#case;
    const url = this.#served?.url ?? '';
    const filled = (text: string): string =>
      text.replaceAll('{dir}', this.#folder).replaceAll('{url}', url).replaceAll('{base}', builder.base);
    const image = path.join(this.#folder, 'image.tar');
    const dockerfile =
      options.some((option) => /^(-f|--file)\b/.test(option)) || stdin !== undefined ? [] : ['-f', '{dir}/Dockerfile'];
    const argv = [
      ...builder.command,
      ...dockerfile,
      ...options,
      '--output',
      `type=oci,dest=${image}${form ? `,${form}` : ''}`,
      context,
    ].map(filled);
    const input =
      stdin === undefined
        ? Buffer.alloc(0)
        : execFileSync('bash', ['-ec', stdin], { cwd: path.join(this.#folder, 'context'), maxBuffer: 1 << 28 });
    const { status, output } = await run(argv, { ...builder.env, CASE: this.#folder }, input);
    if (status !== 0) return { output };
    const described = describeImage(image, this.#base);
    rmSync(image);
    // The web server's port is another each time.
    const text = JSON.stringify(described);
    return { output, image: JSON.parse(url ? text.replaceAll(url, 'http://served') : text) as ImageDescription };
  }

  async close(): Promise<void> {
    await this.#served?.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function run(
  [program = '', ...argv]: readonly string[],
  env: Readonly<Record<string, string>>,
  input: Buffer,
): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    const options = { env, timeout: 120_000, maxBuffer: 1 << 28 };
    const child = execFile(program, argv, options, (error, stdout, stderr) => {
      resolve({ status: error ? 1 : 0, output: stdout + stderr });
    });
    child.stdin?.on('error', () => undefined); // it may end without having read its input
    child.stdin?.end(input);
  });
}

/** Plain modes and the present time: the checkout's umask and times must not show. */
function makeNew(folder: string): void {
  const now = new Date();
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    const stat = lstatSync(file);
    if (stat.isDirectory()) makeNew(file);
    if (!stat.isSymbolicLink()) chmodSync(file, stat.isDirectory() || stat.mode & 0o100 ? 0o755 : 0o644);
    lutimesSync(file, now, now);
  }
}
