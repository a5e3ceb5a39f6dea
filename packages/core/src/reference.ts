import { isDigest, type Digest } from './digest.js';
import { StrakeError } from './errors.js';

/** A parsed image name. `registry` is a host with an optional port; Docker Hub is `docker.io`. */
export interface ImageReference {
  readonly registry: string;
  /** Path within the registry, `library/` included where Docker Hub implies it. */
  readonly repository: string;
  readonly tag?: string | undefined;
  readonly digest?: Digest | undefined;
}

const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[\w][\w.-]{0,127}$/;
const HOST =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;

/**
 * Reads an image name as Docker does (distribution/reference): `node:22`, `host:5000/me/app@sha256:...`.
 * A name without a registry is of Docker Hub; one path component there gets `library/`. No tag is added.
 * @throws StrakeError `REFERENCE_INVALID`
 */
export function parseReference(text: string): ImageReference {
  const bad = (why: string): never => {
    throw new StrakeError({
      code: 'REFERENCE_INVALID',
      message: `"${text}" is not an image name: invalid reference format: ${why}`,
      hint: 'Write it as [registry/]repository[:tag][@sha256:...], in small letters.',
    });
  };
  if (text.length > 4096) bad('too long');
  // It would be taken for an image's id.
  if (/^[0-9a-f]{64}$/.test(text)) bad('64 hexadecimal digits are no name');
  let rest = text;
  let digest: Digest | undefined;
  const at = rest.indexOf('@');
  if (at >= 0) {
    const given = rest.slice(at + 1);
    if (!isDigest(given)) return bad('what follows the @ is not a sha256 digest');
    digest = given;
    rest = rest.slice(0, at);
  }
  let tag: string | undefined;
  const colon = rest.lastIndexOf(':');
  if (colon > rest.lastIndexOf('/')) {
    tag = rest.slice(colon + 1);
    rest = rest.slice(0, colon);
    if (!TAG.test(tag)) bad(`"${tag}" is not a tag`);
  }
  let registry = 'docker.io';
  const slash = rest.indexOf('/');
  if (slash > 0) {
    const first = rest.slice(0, slash);
    if (/[.:[]/.test(first) || first === 'localhost' || first.toLowerCase() !== first) {
      if (!HOST.test(first)) bad(`"${first}" is not a registry's host`);
      registry = first === 'index.docker.io' ? 'docker.io' : first;
      rest = rest.slice(slash + 1);
    }
  }
  if (rest === '') bad('the repository is missing');
  if (rest !== rest.toLowerCase()) bad('the repository name must be lowercase');
  if (!REPOSITORY.test(rest)) bad(`"${rest}" is not a repository`);
  if (registry === 'docker.io' && !rest.includes('/')) rest = `library/${rest}`;
  if (`${registry}/${rest}`.length > 255) bad('too long');
  return { registry, repository: rest, tag, digest };
}

/** The whole name with registry and, where neither tag nor digest is given, `:latest`: the form that names are stored and compared in. */
export function canonicalName(reference: ImageReference): string {
  const tag = reference.tag ?? (reference.digest ? undefined : 'latest');
  return `${reference.registry}/${reference.repository}${tag ? `:${tag}` : ''}${reference.digest ? `@${reference.digest}` : ''}`;
}

/** The name as a person would write it: without `docker.io/library/`. */
export function familiarName(reference: ImageReference): string {
  const full = canonicalName(reference);
  if (full.startsWith('docker.io/library/')) return full.slice('docker.io/library/'.length);
  return full.startsWith('docker.io/') ? full.slice('docker.io/'.length) : full;
}
