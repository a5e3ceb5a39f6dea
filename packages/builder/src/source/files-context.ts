import { basename } from 'node:path';

import type { BuilderServices } from '../services.js';
import { MemoryTree, type FileMap } from '../tree/memory-tree.js';
import { dockerfileInTree, ignoreFileInTree, type DockerfileInput, type IgnoreFile } from './dockerfile-input.js';
import { ignoreRules } from './ignore-rules.js';

/** Files in memory, as a folder with these files would be: a `.dockerignore` among them counts. */
export interface FilesContext {
  readonly tree: MemoryTree;
  readonly ignore: IgnoreFile | undefined;
  readonly dockerfile: DockerfileInput;
}

/** A named context's files. @throws StrakeError `ARGUMENT_INVALID` for paths that no file can have, `PATTERN_INVALID` */
export async function openFiles(files: FileMap, services: BuilderServices): Promise<MemoryTree> {
  const all = MemoryTree.of(files, timeOfFiles(new Map(), services));
  return hide(all, await ignoreFileInTree(all, '.dockerignore'));
}

/**
 * The main context's files, with the Dockerfile: GIVEN, or the one at a path among the files.
 * @throws StrakeError as {@link openFiles}, `DOCKERFILE_NOT_FOUND`, `DOCKERFILE_INVALID`
 */
export async function openFilesWithDockerfile(
  files: FileMap,
  given: DockerfileInput | string | undefined,
  services: BuilderServices,
  buildArgs: ReadonlyMap<string, string>,
): Promise<FilesContext> {
  const all = MemoryTree.of(files, timeOfFiles(buildArgs, services));
  const dockerfile = typeof given === 'object' ? given : await dockerfileInTree(all, given);
  const ignore = dockerfile.ignore ?? (await ignoreFileInTree(all, '.dockerignore'));
  return { tree: hide(all, ignore), ignore, dockerfile };
}

function hide(tree: MemoryTree, ignore: IgnoreFile | undefined): MemoryTree {
  const rules = ignore && ignoreRules(ignore.text, basename(ignore.name));
  return rules ? tree.hiding(rules) : tree;
}

/** The time of files that have none of their own: SOURCE_DATE_EPOCH, else now; seconds since 1970. */
function timeOfFiles(buildArgs: ReadonlyMap<string, string>, { now }: BuilderServices): number {
  const epoch = buildArgs.get('SOURCE_DATE_EPOCH');
  return epoch !== undefined && /^\d{1,12}$/.test(epoch) ? Number(epoch) : Math.floor(now() / 1000);
}
