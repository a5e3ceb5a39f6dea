// Placeholder for local folders, so that the rest can run: to be replaced by the owner of source/.
import { createPatternMatcher, parseIgnoreFile } from '@strake/parser';
import fs from 'node:fs';
import path from 'node:path';
import { builderError } from '../errors.js';
import type { BuilderServices } from '../services.js';
import { LocalTree } from '../tree/local-tree.js';

export interface OpenContextOptions {
  readonly spec: string;
  readonly file?: string | undefined;
  readonly stdin?: NodeJS.ReadableStream | undefined;
  readonly services: BuilderServices;
  readonly signal: AbortSignal;
  readonly buildArgs: ReadonlyMap<string, string>;
}
export interface OpenedContext {
  readonly dockerfile: { readonly text: string; readonly name: string };
  ignorePatterns(): Promise<readonly string[]>;
  tree(): Promise<LocalTree>;
}
function patternsOf(root: string, file: string | undefined): string[] {
  for (const f of [file === undefined ? undefined : `${file}.dockerignore`, path.join(root, '.dockerignore')])
    if (f !== undefined && fs.existsSync(f)) return parseIgnoreFile(fs.readFileSync(f, 'utf8'));
  return [];
}
function treeOf(root: string, patterns: readonly string[], services: BuilderServices): LocalTree {
  const m = createPatternMatcher(patterns);
  return new LocalTree({
    root,
    ignore: { excluded: (p) => m.matches(p), mayContainIncluded: (p) => m.hasExceptions && m.mayContainIncluded(p) },
    digestCache: () => services.store.digestCache(root),
    xattrs: services.xattrs,
  });
}
export function openContext({ spec, file, services }: OpenContextOptions): Promise<OpenedContext> {
  if (!fs.existsSync(spec)) throw builderError('CONTEXT_NOT_FOUND', `path "${spec}" not found`);
  const root = fs.realpathSync(spec);
  const dockerfile = file ?? path.join(root, 'Dockerfile');
  if (!fs.existsSync(dockerfile)) throw builderError('DOCKERFILE_NOT_FOUND', `failed to read dockerfile: open ${dockerfile}: no such file or directory`);
  const patterns = patternsOf(root, dockerfile);
  let tree: LocalTree | undefined;
  return Promise.resolve({
    dockerfile: { text: fs.readFileSync(dockerfile, 'utf8'), name: path.basename(dockerfile) },
    ignorePatterns: () => Promise.resolve(patterns),
    tree: () => Promise.resolve((tree ??= treeOf(root, patterns, services))),
  });
}
export function openTree(spec: string, services: BuilderServices, _signal: AbortSignal): Promise<LocalTree> {
  if (!fs.existsSync(spec)) throw builderError('CONTEXT_NOT_FOUND', `path "${spec}" not found`);
  const root = fs.realpathSync(spec);
  return Promise.resolve(treeOf(root, patternsOf(root, undefined), services));
}
