import { ENGINE_FLAGS } from '../args/engine-flags.js';
import type { Flag } from '../args/parse.js';
import { PROGRESS_FLAGS } from '../progress/choose.js';

const NO_LIMITS = 'steps are not limited';
const NO_REMOTE_CACHE = 'only the local cache is used';
const NO_ATTESTATIONS = 'no attestations are made';

/** The flags of `strake build`: those of `docker buildx build`, then our own. */
export const BUILD_FLAGS: readonly Flag[] = [
  { name: 'tag', short: 't', kind: 'list', value: 'NAME', help: 'Name of the image, [registry/]repository[:tag]' },
  {
    name: 'file',
    short: 'f',
    kind: 'string',
    value: 'FILE',
    help: 'The Dockerfile (default: CONTEXT/Dockerfile; - for stdin)',
  },
  { name: 'target', kind: 'string', value: 'STAGE', help: 'Build this stage (default: the last one)' },
  {
    name: 'build-arg',
    kind: 'list',
    value: 'NAME[=VALUE]',
    help: 'Value of an ARG; without =VALUE from the environment',
  },
  {
    name: 'build-context',
    kind: 'list',
    value: 'NAME=SOURCE',
    help: 'Further context: a folder, URL, docker-image:// or oci-layout://',
  },
  { name: 'secret', kind: 'list', value: 'id=ID[,src=FILE|,env=NAME]', help: 'Secret for RUN --mount=type=secret' },
  { name: 'ssh', kind: 'list', value: 'ID[=SOCKET|KEY,...]', help: 'Agent or keys for RUN --mount=type=ssh' },
  { name: 'label', kind: 'list', value: 'NAME=VALUE', help: 'Label of the image' },
  { name: 'annotation', kind: 'list', value: '[TYPE:]NAME=VALUE', help: 'Annotation of the manifest or index' },
  { name: 'platform', kind: 'list', value: 'OS/ARCH', help: 'Platform to build for; several separated by commas' },
  { name: 'no-cache', kind: 'boolean', help: 'Run every step' },
  { name: 'no-cache-filter', kind: 'list', value: 'STAGE', help: 'Run every step of these stages' },
  { name: 'pull', kind: 'boolean', help: 'Ask the registry for newer base images' },
  { name: 'push', kind: 'boolean', help: 'Push the image when it is built' },
  { name: 'load', kind: 'boolean', help: 'Keep the image in the local store (the default)' },
  {
    name: 'output',
    short: 'o',
    kind: 'list',
    value: 'type=TYPE[,dest=FILE]',
    help: 'Where the result goes: image, registry, oci, docker, local, tar, cacheonly',
  },
  ...PROGRESS_FLAGS,
  { name: 'iidfile', kind: 'string', value: 'FILE', help: 'Write the id of the image to a file' },
  { name: 'metadata-file', kind: 'string', value: 'FILE', help: 'Write facts about the result to a file, as JSON' },
  { name: 'network', kind: 'string', value: 'MODE', help: 'Network of RUN steps: default, host or none' },
  { name: 'add-host', kind: 'list', value: 'HOST:IP', help: 'Further line of /etc/hosts' },
  { name: 'ulimit', kind: 'list', value: 'NAME=SOFT[:HARD]', help: 'Resource limit of RUN steps' },
  { name: 'shm-size', kind: 'string', value: 'BYTES', help: 'Size of /dev/shm in RUN steps' },
  { name: 'allow', kind: 'list', value: 'ENTITLEMENT', help: 'Allow network.host or security.insecure' },
  { name: 'check', kind: 'boolean', help: 'Check the Dockerfile and do not build (--call=check)' },
  {
    name: 'call',
    kind: 'string',
    value: 'METHOD[,format=json]',
    help: 'Instead of building: check, outline or targets',
  },
  { name: 'print', kind: 'string' },
  ...ENGINE_FLAGS,
  { name: 'cache-from', kind: 'list', ignored: NO_REMOTE_CACHE },
  { name: 'cache-to', kind: 'list', ignored: NO_REMOTE_CACHE },
  { name: 'provenance', kind: 'string', ignored: NO_ATTESTATIONS, silent: ['false', '0', 'disabled=true'] },
  { name: 'sbom', kind: 'string', ignored: NO_ATTESTATIONS, silent: ['false', '0', 'disabled=true'] },
  {
    name: 'attest',
    kind: 'list',
    ignored: NO_ATTESTATIONS,
    silent: ['type=provenance,disabled=true', 'type=sbom,disabled=true'],
  },
  { name: 'builder', kind: 'string', ignored: 'there are no builders to choose from', silent: ['default'] },
  { name: 'cgroup-parent', kind: 'string', ignored: NO_LIMITS },
  { name: 'policy', kind: 'list', ignored: 'sources are not filtered by a policy' },
  { name: 'debug', short: 'D', kind: 'boolean', ignored: 'set STRAKE_DEBUG=1 to see stack traces of bugs' },
  // `docker build` took these before buildx
  { name: 'memory', short: 'm', kind: 'string', ignored: NO_LIMITS },
  { name: 'memory-swap', kind: 'string', ignored: NO_LIMITS },
  { name: 'cpu-period', kind: 'string', ignored: NO_LIMITS },
  { name: 'cpu-quota', kind: 'string', ignored: NO_LIMITS },
  { name: 'cpu-shares', short: 'c', kind: 'string', ignored: NO_LIMITS },
  { name: 'cpuset-cpus', kind: 'string', ignored: NO_LIMITS },
  { name: 'cpuset-mems', kind: 'string', ignored: NO_LIMITS },
  { name: 'compress', kind: 'boolean', ignored: 'the context is not sent anywhere', silent: ['false'] },
  { name: 'rm', kind: 'boolean', ignored: 'containers of steps are always removed', silent: ['true'] },
  { name: 'force-rm', kind: 'boolean', ignored: 'containers of steps are always removed', silent: ['true'] },
  { name: 'squash', kind: 'boolean', ignored: 'layers are kept', silent: ['false'] },
  { name: 'security-opt', kind: 'list', ignored: 'see --isolation' },
  { name: 'disable-content-trust', kind: 'boolean', ignored: 'signatures are not checked', silent: ['true'] },
];
