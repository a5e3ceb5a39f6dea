import type { EngineOptions } from '@strake/engine';
import type { Arguments, Flag } from './parse.js';
import { choice, count } from './values.js';

/** Flags of every command that opens the store. */
export const ENGINE_FLAGS: readonly Flag[] = [
  { name: 'root', kind: 'string', value: 'DIR', help: 'Folder of the store (default: $STRAKE_ROOT)' },
  { name: 'isolation', kind: 'string', value: 'KIND', help: 'How steps are run: auto, oci, native or chroot' },
  { name: 'snapshotter', kind: 'string', value: 'KIND', help: 'How file systems are stacked: auto, overlay or copy' },
  {
    name: 'insecure-registry',
    kind: 'list',
    value: 'HOST',
    help: 'Talk to this registry (host[:port]) without a valid certificate, or over http',
  },
  {
    name: 'max-parallelism',
    kind: 'string',
    value: 'N',
    help: 'Steps that run at once (default: 16, or 4 a core)',
  },
];

/**
 * The options that {@link ENGINE_FLAGS} make.
 * @throws StrakeError `USAGE`
 */
export function engineOptions(args: Arguments): EngineOptions {
  const isolation = args.string('isolation');
  const snapshotter = args.string('snapshotter');
  const parallelism = args.string('max-parallelism');
  return {
    root: args.string('root'),
    // docker build has --isolation too: `default` is what Linux users of it can have written
    isolation:
      isolation === undefined || isolation === 'default'
        ? undefined
        : choice(isolation, ['auto', 'oci', 'native', 'chroot'] as const, '--isolation'),
    snapshotter:
      snapshotter === undefined
        ? undefined
        : choice(snapshotter, ['auto', 'overlay', 'copy'] as const, '--snapshotter'),
    insecureRegistries: args.list('insecure-registry'),
    maxParallelism: parallelism === undefined ? undefined : count(parallelism, '--max-parallelism'),
  };
}
