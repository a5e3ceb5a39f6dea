import { bytesOfText } from '@strake/core';
import {
  expandHeredoc,
  parseMode,
  type AddInstruction,
  type CopyInstruction,
  type Heredoc,
  type WordInstruction,
} from '@strake/parser';
import { posix } from 'node:path';

import { selectSource } from '../copy/select.js';
import type { SelectedSource } from '../copy/selection.js';
import { builderError, located } from '../errors.js';
import { displayRemote } from '../source/git-reference.js';
import { isRemote, isRepository, remoteSource } from '../source/remote.js';
import { copyVertex, type CopySource } from '../steps/copy.js';
import { mergeVertex } from '../steps/base-image.js';
import { workdirVertex } from '../steps/workdir.js';
import { treePath } from '../tree/paths.js';
import { singleFile } from '../tree/single-file.js';
import type { FromSource, StageContext } from './context.js';
import { seenInstruction } from './seen.js';
import { targetWithoutDrive, withoutDrive } from './windows-paths.js';
import { workdirIn } from './stage-state.js';

/** A destination made absolute; a trailing slash (or `/.`, or nothing at all) stays one. */
export function destinationPath(workdir: string, path: string): string {
  const text = path === '' || path === '.' ? './' : path;
  const folder = /(?:^|\/)\.?$/.test(text) || text.endsWith('/');
  const clean = posix.join('/', text.startsWith('/') ? '' : workdir, text).replace(/\/+$/, '');
  return clean === '' ? '/' : folder ? `${clean}/` : clean;
}

/** An octal mode as it counts for the key: `0644` is `644`. */
function withoutZeros(chmod: string | undefined): string | undefined {
  return chmod !== undefined && /^[0-7]+$/.test(chmod) ? parseInt(chmod, 8).toString(8) : chmod;
}

/** COPY and ADD. @throws StrakeError */
export async function lowerCopy(instruction: CopyInstruction | AddInstruction, context: StageContext): Promise<void> {
  const { state, expander, services, resolver } = context;
  const expand = (word: string): string => expander.expandWord(word, state.env).text;
  const isAdd = instruction.kind === 'ADD';
  const written = instruction.sources.map(expand);
  const { os } = state.platform;
  const patterns = written.map((path) => (isRemote(path) ? path : withoutDrive(path, os)));
  const target = expand(instruction.destination);
  const destination = destinationPath(withoutDrive(state.config.WorkingDir ?? '/', os), targetWithoutDrive(target, os));
  const chown = instruction.chown === undefined ? undefined : expand(instruction.chown);
  const chmod = instruction.chmod === undefined ? undefined : expand(instruction.chmod);
  const mode = chmod === undefined || chmod === '' ? undefined : parseMode(chmod);
  const checksum = isAdd && instruction.checksum !== undefined ? expand(instruction.checksum) : undefined;
  const remotes = patterns.filter(isRemote);
  if (!isAdd && remotes.length > 0) {
    const what = isRepository(remotes[0] ?? '') ? 'a git ref' : 'a URL';
    throw builderError('INSTRUCTION_INVALID', `source can't be ${what} for COPY: ${displayRemote(remotes[0] ?? '')}`, {
      hint: 'ADD takes URLs and Git repositories.',
    });
  }
  if (checksum !== undefined && (patterns.length !== 1 || remotes.length !== 1)) {
    throw builderError(
      'INSTRUCTION_INVALID',
      patterns.length > 1
        ? "checksum can't be specified for multiple sources"
        : 'checksum requires HTTP(S) or Git sources',
    );
  }
  const from: FromSource =
    !isAdd && instruction.from !== undefined
      ? await context.from(instruction.from, instruction)
      : { kind: 'tree', tree: await resolver.context(), where: 'the context' };
  const select = {
    exclude: instruction.exclude,
    parents: !isAdd && instruction.parents,
    unpack: isAdd && instruction.unpack !== false,
    where: from.where,
  };
  const heredocs = instruction.heredocs.map((heredoc) => heredocFile(heredoc, context));
  const source: CopySource =
    from.kind === 'stage'
      ? { kind: 'stage', patterns, select, heredocs }
      : {
          kind: 'outside',
          online: remotes.length > 0,
          find: (signal) =>
            located(instruction.location, async () => {
              const found: SelectedSource[] = [];
              for (const pattern of patterns) {
                if (isRemote(pattern)) {
                  const keepGitDir = isAdd ? instruction.keepGitDir : undefined;
                  const unpack = isAdd && instruction.unpack === true;
                  found.push(
                    await remoteSource(
                      pattern,
                      { checksum, keepGitDir, unpack, exclude: instruction.exclude },
                      services,
                      signal,
                    ),
                  );
                } else found.push(...selectSource(from.tree, pattern, select));
              }
              return [...found, ...heredocs];
            }),
        };
  const flags = [
    ...(select.parents ? ['--parents'] : []),
    ...(chown ? [`--chown=${chown}`] : []),
    ...(chmod ? [`--chmod=${chmod}`] : []),
  ];
  const words = [...flags, ...written, ...instruction.heredocs.map(({ name }) => `<<${name}`), target];
  const link = instruction.link && chmod === undefined;
  const vertex = context.declare(
    copyVertex(
      {
        id: context.nextId(),
        name: context.names.next(expander.expandForDisplay(instruction.original, state.env), state.env),
        caching: context.caching,
        parent: link ? undefined : state.vertex,
        stage: from.kind === 'stage' ? from.vertex : undefined,
        source,
        destination,
        chown,
        mode,
        chmod: withoutZeros(chmod),
        epoch: heredocs.length > 0 || state.windows ? context.options.epoch : undefined,
        windows: state.windows,
      },
      services,
    ),
    instruction.location,
    seenInstruction(instruction.original, state, [
      instruction.original,
      ...instruction.heredocs.flatMap((heredoc) => (heredoc.expand ? [heredoc.content] : [])),
    ]),
  );
  if (from.kind === 'tree') {
    const facts = { destination, chown, mode };
    // Others in the same layer, heredocs and downloads, are as they were.
    services.kept?.readers.note({ tree: from.tree, patterns, copy: { vertex, select, facts } });
  }
  state.vertex = link ? mergeVertex(context.nextId(), `LINK ${vertex.name}`, state.vertex, vertex) : vertex;
  state.history.push({ createdBy: `${instruction.kind} ${words.join(' ')} # buildkit`, emptyLayer: false, vertex });
}

/** The name of the file that a heredoc makes; a slash may only stand in front of it. @throws StrakeError `INSTRUCTION_INVALID` */
export function heredocFileName(name: string): string {
  const file = name.replace(/^\/+/, '');
  if (file !== '' && !file.includes('/')) return file;
  throw builderError('INSTRUCTION_INVALID', `a heredoc named "${name}" makes no file: no such file or directory`, {
    hint: 'Its delimiter is the name of the file: write it without slashes.',
  });
}

/** The file that a heredoc makes. */
function heredocFile({ name, expand, content }: Heredoc, context: StageContext): SelectedSource {
  const file = heredocFileName(name);
  const text = expand ? expandHeredoc(content, context.state.env).text : content;
  return singleFile({ name: file, content: bytesOfText(text), mode: 0o644, mtime: now(context) });
}

function now({ services, options }: StageContext): number {
  return options.epoch ?? Math.floor(services.now() / 1000);
}

/** WORKDIR: a layer unless it is `/`. */
export function lowerWorkdir(instruction: WordInstruction, context: StageContext): void {
  const { state, expander, services, options } = context;
  const path = expander.expandWord(instruction.value, state.env).text;
  const { os } = state.platform;
  state.config.WorkingDir = workdirIn(state.config.WorkingDir, path, os);
  const workdir = withoutDrive(state.config.WorkingDir, os);
  if (workdir === '/') {
    state.history.push({ createdBy: 'WORKDIR /', emptyLayer: true });
    return;
  }
  const vertex = context.declare(
    workdirVertex(
      {
        id: context.nextId(),
        name: context.names.next(`WORKDIR ${path}`, state.env),
        parent: state.vertex,
        caching: context.caching,
        path: `/${treePath(workdir)}`,
        user: state.config.User ?? '',
        epoch: options.epoch,
      },
      services,
    ),
    instruction.location,
    seenInstruction(instruction.original, state, [instruction.original]),
  );
  state.vertex = vertex;
  state.history.push({ createdBy: `WORKDIR ${workdir}`, emptyLayer: false, vertex });
}
