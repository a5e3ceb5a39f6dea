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

/** An operating system, and in brackets its version and features: `windows`, `windows(10.0.20348.1006+win32k)`. */
const SYSTEM = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$/;

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
 * Reads `linux/arm64/v8`, `linux`, `arm64`, `windows(10.0.20348)/amd64` and the other spellings that containerd's platforms.Parse
 * takes.
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
  const system = SYSTEM.exec(parts[0] ?? '');
  if (!system) return bad(`"${parts[0]}" is not a valid component`);
  for (const part of parts.slice(1)) if (!/^[A-Za-z0-9_-]+$/.test(part)) bad(`"${part}" is not a valid component`);
  const [, first = '', version = '', features = ''] = system;
  const [, second, third] = parts;
  const unescape = (option: string): string => {
    try {
      return decodeURIComponent(option);
    } catch {
      return bad(`"${option}" has an escape that is none`);
    }
  };
  const more = {
    ...(version ? { 'os.version': unescape(version) } : {}),
    ...(features ? { 'os.features': [...new Set(features.slice(1).split('+').map(unescape))].sort() } : {}),
  };
  if (second === undefined) {
    const word = first.toLowerCase() === 'macos' ? 'darwin' : first.toLowerCase();
    if (SYSTEMS.has(word)) return normalizePlatform({ ...host, os: word, ...more });
    if (first !== parts[0]) return bad('unknown operating system');
    const candidate = normalizePlatform({ os: host.os, architecture: first });
    if (KNOWN_ARCHITECTURES.has(candidate.architecture)) return candidate;
    return bad('unknown operating system or architecture');
  }
  return normalizePlatform({ os: first, architecture: second, ...(third ? { variant: third } : {}), ...more });
}

/** `os[(version+feature)]/architecture[/variant]`. */
export function formatPlatform(platform: Platform): string {
  const options = [platform['os.version'] ?? '', ...(platform['os.features'] ?? [])].map(escapeOption).join('+');
  const os = options === '' ? platform.os : `${platform.os}(${options})`;
  return [os, platform.architecture, platform.variant].filter(Boolean).join('/');
}

/** What would be taken for the brackets' own signs. */
function escapeOption(option: string): string {
  return option.replace(/[%+()/]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The platform that this process runs on, as a builder of Linux images sees it. In a browser, which does not say: amd64. */
export function hostPlatform(): Platform {
  const arch = typeof process === 'undefined' ? 'x64' : process.arch;
  return normalizePlatform({ os: 'linux', architecture: arch === 'arm' ? 'armhf' : arch });
}

/**
 * The entry of an index that WANTED runs: an exact match, else one of a lower variant (arm/v7 runs arm/v6), else undefined. Where a
 * version of Windows is wanted, one that it runs.
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
    if (p.os === 'windows' && !windowsRuns(target['os.version'], p['os.version'])) continue;
    if (p.variant === target.variant) return entry;
    if (level(p.variant) <= level(target.variant) && level(p.variant) > bestLevel) {
      best = entry;
      bestLevel = level(p.variant);
    }
  }
  return best;
}

/** The first release of Windows that runs containers of others: those since the release before it that was for the long term. */
const WINDOWS_2022 = 20348;
const WINDOWS_2025 = 26100;

/** Whether a Windows of the version HOST runs images of the version IMAGE, as containerd decides it. No version: any. */
function windowsRuns(host: string | undefined, image: string | undefined): boolean {
  const [major, minor, build] = windowsVersion(host ?? '');
  if (!image || (major === 0 && minor === 0 && build === 0)) return true;
  const [imageMajor, imageMinor, imageBuild] = windowsVersion(image);
  if (major !== imageMajor || minor !== imageMinor) return false;
  if (build < WINDOWS_2022) return build === imageBuild;
  return (build > WINDOWS_2025 ? WINDOWS_2025 : WINDOWS_2022) <= imageBuild && imageBuild <= build;
}

/** Major, minor and build number; three zeros where the text does not begin with these. */
function windowsVersion(text: string): readonly [number, number, number] {
  const found = /^(\d{1,3})\.(\d{1,3})\.(\d{1,5})(?:\.|$)/.exec(text);
  return [Number(found?.[1] ?? 0), Number(found?.[2] ?? 0), Number(found?.[3] ?? 0)];
}
