import type { Environment } from '@strake/parser';

/** An ordered set of variables. Setting one again moves it to the end, as in BuildKit's EnvList. */
export class Variables implements Environment {
  readonly #values = new Map<string, string>();

  constructor(from?: Iterable<readonly [string, string]>) {
    if (from) for (const [name, value] of from) this.set(name, value);
  }

  get(name: string): string | undefined {
    return this.#values.get(name);
  }

  set(name: string, value: string): void {
    this.#values.delete(name);
    this.#values.set(name, value);
  }

  names(): IterableIterator<string> {
    return this.#values.keys();
  }

  entries(): IterableIterator<[string, string]> {
    return this.#values.entries();
  }

  clone(): Variables {
    return new Variables(this.#values);
  }

  /** `NAME=value`. */
  toList(): string[] {
    return [...this.#values].map(([name, value]) => `${name}=${value}`);
  }
}

/** Name and value of `NAME=value`; a hostile image may have entries without `=`. */
export function splitVariable(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

const PROXY_NAMES = ['http_proxy', 'https_proxy', 'ftp_proxy', 'no_proxy', 'all_proxy'];

/** Proxy settings among the build arguments, for RUN: in both spellings, outside keys and history. An empty one is none. */
export function proxyVariables(buildArgs: ReadonlyMap<string, string>): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of [...buildArgs.keys()].sort()) {
    const lower = name.toLowerCase();
    if (!PROXY_NAMES.includes(lower)) continue;
    found.set(lower.toUpperCase(), buildArgs.get(name) ?? '');
    found.set(lower, buildArgs.get(name) ?? '');
  }
  for (const [name, value] of found) if (value === '') found.delete(name);
  return found;
}

/** Build arguments that nobody needs to declare: they steer the builder. */
export const EFFECTIVE_ARGUMENTS: ReadonlySet<string> = new Set([
  'BUILDKIT_BUILD_NAME',
  'BUILDKIT_CACHE_MOUNT_NS',
  'BUILDKIT_CONTEXT_KEEP_GIT_DIR',
  'BUILDKIT_DOCKERFILE_CHECK',
  'BUILDKIT_INLINE_CACHE',
  'BUILDKIT_MULTI_PLATFORM',
  'BUILDKIT_SANDBOX_HOSTNAME',
  'BUILDKIT_SBOM_SCAN_CONTEXT',
  'BUILDKIT_SBOM_SCAN_STAGE',
  'BUILDKIT_SYNTAX',
  'SOURCE_DATE_EPOCH',
]);

/** Whether a build argument may be given without an ARG that declares it. */
export function needsNoDeclaration(name: string): boolean {
  return EFFECTIVE_ARGUMENTS.has(name) || PROXY_NAMES.includes(name.toLowerCase());
}
