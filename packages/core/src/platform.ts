import { StrakeError } from './errors.js';
import type { Platform } from './oci.js';

const ARCHITECTURES: ReadonlyMap<string, readonly [string, string?]> = new Map<string, readonly [string, string?]>([
  ['x86_64', ['amd64']],
  ['x86-64', ['amd64']],
  ['x64', ['amd64']],
  ['i386', ['386']],
  ['ia32', ['386']],
  ['aarch64', ['arm64']],
  ['armhf', ['arm', 'v7']],
  ['armel', ['arm', 'v6']],
]);
const SYSTEMS = new Set(
  'aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris wasip1 windows zos'.split(
    ' ',
  ),
);
const KNOWN_ARCHITECTURES = new Set(
  '386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm'.split(
    ' ',
  ),
);

/** Canonical spelling of an architecture and its variant: `aarch64` is arm64, `arm64/v8` is arm64, `amd64/v1` is amd64. */
export function normalizePlatform(platform: Platform): Platform {
  const [architecture, implied] = ARCHITECTURES.get(platform.architecture.toLowerCase()) ?? [
    platform.architecture.toLowerCase(),
  ];
  let variant = platform.variant?.toLowerCase() ?? implied;
  if (architecture === 'arm64' && (variant === 'v8' || variant === '8')) variant = undefined;
  if (architecture === 'amd64' && variant === 'v1') variant = undefined;
  if (architecture === 'arm')
    variant = variant === undefined ? 'v7' : variant.startsWith('v') ? variant : `v${variant}`;
  const os = platform.os.toLowerCase() === 'macos' ? 'darwin' : platform.os.toLowerCase();
  const { variant: _old, ...rest } = platform;
  return { ...rest, os, architecture, ...(variant ? { variant } : {}) };
}

/**
 * Reads `linux/arm64/v8`, `linux`, `arm64` and the other spellings that containerd's platforms.Parse takes.
 * @throws StrakeError `PLATFORM_INVALID`
 */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  const bad = (why: string): never => {
    throw new StrakeError({
      code: 'PLATFORM_INVALID',
      message: `"${text}" is not a platform: ${why}`,
      hint: 'Write it as os/architecture[/variant], for example linux/amd64 or linux/arm64.',
    });
  };
  const parts = text.split('/');
  if (parts.length > 3) bad('too many parts');
  for (const part of parts) if (!/^[A-Za-z0-9_-]+$/.test(part)) bad(`"${part}" is not a valid component`);
  const [first = '', second, third] = parts;
  if (second === undefined) {
    const word = first.toLowerCase() === 'macos' ? 'darwin' : first.toLowerCase();
    if (SYSTEMS.has(word)) return normalizePlatform({ ...host, os: word });
    const candidate = normalizePlatform({ os: host.os, architecture: first });
    if (KNOWN_ARCHITECTURES.has(candidate.architecture)) return candidate;
    return bad('unknown operating system or architecture');
  }
  return normalizePlatform({ os: first, architecture: second, ...(third ? { variant: third } : {}) });
}

/** `os/architecture[/variant]`. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/');
}

/** The platform that this process runs on, as a builder of Linux images sees it. In a browser, which does not say: amd64. */
export function hostPlatform(): Platform {
  const arch = typeof process === 'undefined' ? 'x64' : process.arch;
  return normalizePlatform({ os: 'linux', architecture: arch === 'arm' ? 'armhf' : arch });
}

/**
 * The entry of an index that WANTED runs: an exact match, else one of a lower variant (arm/v7 runs arm/v6), else undefined.
 * Entries without a platform and attestations (`unknown/unknown`) never match.
 */
export function selectPlatform<T extends { readonly platform?: Platform }>(
  entries: readonly T[],
  wanted: Platform,
): T | undefined {
  const target = normalizePlatform(wanted);
  const level = (variant: string | undefined): number => Number(variant?.replace(/^v/, '') ?? 0) || 0;
  let best: T | undefined;
  let bestLevel = -1;
  for (const entry of entries) {
    if (!entry.platform?.os || !entry.platform.architecture) continue;
    const p = normalizePlatform(entry.platform);
    if (p.os !== target.os || p.architecture !== target.architecture) continue;
    if (p.variant === target.variant) return entry;
    if (level(p.variant) <= level(target.variant) && level(p.variant) > bestLevel) {
      best = entry;
      bestLevel = level(p.variant);
    }
  }
  return best;
}
