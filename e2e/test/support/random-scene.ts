import {
  chmodSync,
  lutimesSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import {
  dockerfileOf,
  IGNORED,
  type RandomBuild,
  type RandomEdit,
  type RandomFile,
  type UnseenEdit,
} from './random-build.js';

const exists = (file: string): boolean => lstatSync(file, { throwIfNoEntry: false }) !== undefined;

/** A random build on disk, to be edited and built. */
export class RandomScene {
  readonly #folder: string;
  #build: RandomBuild;
  #moves = 0;
  #text: string;
  buildArgs: Record<string, string>;
  labels: Record<string, string> = {};

  /** FOLDER: a folder of this scene's own. */
  constructor(folder: string, build: RandomBuild) {
    this.#folder = folder;
    this.#build = build;
    this.buildArgs = { ...build.buildArgs };
    mkdirSync(this.context, { recursive: true });
    for (const [name, file] of build.files) this.#put(name, file);
    writeFileSync(path.join(this.context, '.dockerignore'), `${build.ignore.join('\n')}\n`);
    this.#text = dockerfileOf(build);
    this.#write();
  }

  get context(): string {
    return path.join(this.#folder, `context${this.#moves}`);
  }

  /** Outside the context: editing it is no edit of a file. */
  get dockerfile(): string {
    return path.join(this.#folder, 'Dockerfile');
  }

  get text(): string {
    return this.#text;
  }

  edit(edit: RandomEdit): void {
    switch (edit.kind) {
      case 'content':
        return this.#rewrite(edit.path, edit.text, edit.silent);
      case 'mode': {
        const file = this.#at(edit.path);
        if (exists(file) && !lstatSync(file).isSymbolicLink()) chmodSync(file, edit.mode);
        return;
      }
      case 'rename':
        if (exists(this.#at(edit.path))) {
          mkdirSync(path.dirname(this.#at(edit.to)), { recursive: true });
          renameSync(this.#at(edit.path), this.#at(edit.to));
        }
        return;
      case 'put':
        return this.#put(edit.path, edit.file);
      case 'remove':
        return rmSync(this.#at(edit.path), { force: true });
      case 'folder mode':
        if (exists(this.#at(edit.path))) chmodSync(this.#at(edit.path), edit.mode);
        return;
      case 'ignore':
        return writeFileSync(this.#at('.dockerignore'), `${edit.lines.join('\n')}\n`);
      case 'argument':
        this.buildArgs = { ...this.buildArgs, [edit.name]: edit.value };
        return;
      case 'line':
        this.#editLine(edit);
    }
  }

  editUnseen(edit: Exclude<UnseenEdit, { kind: 'surroundings' }>): void {
    switch (edit.kind) {
      case 'touch':
        if (exists(this.#at(edit.path))) lutimesSync(this.#at(edit.path), edit.seconds, edit.seconds);
        return;
      case 'unseen': {
        mkdirSync(this.#at(edit.folder), { recursive: true });
        writeFileSync(this.#at(`${edit.folder}/f`), edit.text);
        chmodSync(this.#at(edit.folder), edit.text.length % 2 ? 0o700 : 0o755);
        return;
      }
      case 'moved':
        return this.#move(edit.seed);
      case 'unused argument':
        this.buildArgs = { ...this.buildArgs, NOBODY_DECLARES_IT: edit.value };
        return;
      case 'label':
        this.labels = { changed: edit.value };
        return;
      case 'comment':
      case 'spelling':
        return this.#respell(edit);
      case 'unreachable stage':
        this.#text = `FROM busybox AS nobody-needs-it\nCOPY ${IGNORED} /\nRUN exit ${this.#moves}\n${this.#text}`;
        this.#write();
    }
  }

  #at(name: string): string {
    return path.join(this.context, name);
  }

  #write(): void {
    writeFileSync(this.dockerfile, this.#text);
  }

  #put(name: string, file: RandomFile): void {
    const at = this.#at(name);
    mkdirSync(path.dirname(at), { recursive: true });
    rmSync(at, { force: true, recursive: true });
    if (file.type === 'link') symlinkSync(file.target, at);
    else {
      writeFileSync(at, file.content);
      chmodSync(at, file.mode);
    }
  }

  #rewrite(name: string, text: string, silent: boolean): void {
    const at = this.#at(name);
    if (!exists(at) || lstatSync(at).isSymbolicLink()) return;
    if (!silent) return writeFileSync(at, text);
    const { size, atime, mtime } = statSync(at);
    writeFileSync(at, text.repeat(size).slice(0, size));
    utimesSync(at, atime, mtime);
  }

  #editLine({ stage, at, line }: Extract<RandomEdit, { kind: 'line' }>): void {
    const stages = this.#build.stages.map(({ lines }) => [...lines]);
    const lines = stages[stage % stages.length] ?? [];
    const place = 2 + (at % Math.max(1, lines.length - 2));
    if (line === undefined) lines.splice(place, 1);
    else lines.splice(place, 0, line);
    this.#build = { ...this.#build, stages: stages.map((one) => ({ lines: one })) };
    this.#text = dockerfileOf(this.#build);
    this.#write();
  }

  /** A comment or other blanks, where they say nothing: outside heredocs and commands. */
  #respell({ kind, at }: { readonly kind: 'comment' | 'spelling'; readonly at: number }): void {
    const lines = this.#text.split('\n');
    const plain = lines.flatMap((line, i) => (/^(?:COPY(?!.*<<)|WORKDIR|ENV|ARG|USER|FROM) /.test(line) ? [i] : []));
    const place = plain[at % plain.length] ?? 0;
    const line = lines[place] ?? '';
    if (kind === 'comment') lines.splice(place, 0, '# a comment', '');
    else lines[place] = `  ${line.replace(/^[A-Z]+ /, (word) => `${word.toLowerCase()} \\\n# between\n   `)}  `;
    this.#text = lines.join('\n');
    this.#write();
  }

  #move(seed: number): void {
    const from = this.context;
    this.#moves++;
    const copy = (folder: string): void => {
      const stat = statSync(path.join(from, folder));
      mkdirSync(this.#at(folder), { recursive: true });
      const names = readdirSync(path.join(from, folder)).sort();
      // Another order of the folder's entries on disk.
      names.push(...names.splice(0, seed % (names.length + 1)));
      if (seed % 2) names.reverse();
      for (const name of names) {
        const [source, target] = [path.join(from, folder, name), this.#at(path.join(folder, name))];
        const facts = lstatSync(source);
        if (facts.isDirectory()) copy(path.join(folder, name));
        else if (facts.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
        else {
          writeFileSync(target, readFileSync(source));
          chmodSync(target, facts.mode & 0o7777);
        }
      }
      chmodSync(this.#at(folder), stat.mode & 0o7777);
    };
    copy('');
    rmSync(from, { recursive: true });
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
