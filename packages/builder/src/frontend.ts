import type { Dockerfile } from '@strake/parser';
import type { BuilderServices } from './services.js';

/**
 * Whether IMAGE, which a Dockerfile names with `syntax=`, is BuildKit's own frontend for Dockerfiles, of whatever version and wherever
 * it is mirrored: its language is the one that Strake has.
 */
export function isDockerfileFrontend(image: string): boolean {
  const repository = image.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  return /(^|\/)dockerfile(-upstream)?$/.test(repository);
}

/** Another frontend would be another program, and may have another language: none is fetched, which is worth a word. */
export function warnOfFrontend(
  dockerfile: Dockerfile,
  buildArgs: ReadonlyMap<string, string>,
  { emit }: Pick<BuilderServices, 'emit'>,
): void {
  const image = buildArgs.get('BUILDKIT_SYNTAX') ?? dockerfile.syntax;
  if (image === undefined || image === '' || isDockerfileFrontend(image)) return;
  emit({
    type: 'warning',
    message: `The frontend ${JSON.stringify(image)} that syntax= names is not run: the file is read as docker/dockerfile:1 reads it`,
  });
}
