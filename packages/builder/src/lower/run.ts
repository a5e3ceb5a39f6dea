import { parseMount, runScript, type Environment, type RunInstruction, type RunMount } from '@strake/parser';
import { formatPlatform } from '@strake/core';
import { posix } from 'node:path';

import { builderError } from '../errors.js';
import { runVertex, type RunStep } from '../steps/run.js';
import type { MountFrom, RunMountPlan } from '../steps/run-mounts.js';
import { singleFile } from '../tree/single-file.js';
import type { StageContext } from './context.js';
import { heredocFileName } from './files.js';
import { argumentPrefix } from './history.js';
import { withShell } from './metadata.js';
import { seenInstruction } from './seen.js';
import type { StageState } from './stage-state.js';
import { proxyVariables } from './variables.js';

/** Where the script of a heredoc with a shebang is put for its step. */
const SCRIPTS = '/dev/pipes';

/** RUN. @throws StrakeError */
export async function lowerRun(instruction: RunInstruction, context: StageContext): Promise<void> {
  const { state, services, options, expander } = context;
  const { command } = instruction;
  checkRunnable(state);
  const mounts: RunMountPlan[] = [];
  const { text: line, file, summary } = runScript(command);
  const args = withShell(state, command.form === 'exec' ? command : { ...command, args: [line] });
  if (file) mounts.push(scriptMount(heredocFileName(file.name), file.content));
  for (const text of instruction.mounts) {
    const mount = parseMount(text, (word) => expander.expandWord(word, state.env).text);
    const plan = await planMount(mount, mounts, instruction, context);
    mounts.push(plan);
    if (services.kept && 'from' in plan && plan.from?.kind === 'context') {
      services.kept.readers.note({ tree: await plan.from.tree(), patterns: [plan.source] });
    }
  }
  checkEntitlements(instruction, context);
  const env = state.env.toList();
  const declared = new Map([...state.args].map(([name, value]) => [name, state.env.get(name) ?? value ?? ''] as const));
  const vertex = context.declare(
    runVertex(
      {
        id: context.nextId(),
        name: context.names.next(displayName(instruction, summary, context), state.env),
        caching: context.caching,
        parent: state.vertex,
        args,
        env,
        proxyEnv: [...proxyVariables(options.buildArgs)].map(([name, value]) => `${name}=${value}`),
        cwd: workingDirectory(state.config.WorkingDir ?? ''),
        user: state.config.User ?? '',
        hostname: options.buildArgs.get('BUILDKIT_SANDBOX_HOSTNAME') ?? 'buildkitsandbox',
        network: networkOf(instruction, context),
        allowHosts: options.allowHosts,
        security: instruction.security,
        mounts,
        extraHosts: options.extraHosts,
        ulimits: options.ulimits,
        shmSize: options.shmSize,
        limits: options.limits,
        timeout: options.stepTimeout,
        platform: formatPlatform(state.platform),
      },
      services,
    ),
    instruction.location,
    seenInstruction(instruction.original, state),
  );
  state.vertex = vertex;
  state.history.push({
    createdBy: `RUN ${argumentPrefix(declared)}${args.join(' ')} # buildkit`,
    emptyLayer: false,
    vertex,
    layerName: `mount / from exec ${args.join(' ')}`,
  });
}

/** Nothing of an image for Windows runs on Linux. @throws StrakeError `UNSUPPORTED` */
function checkRunnable({ windows }: StageState): void {
  if (!windows) return;
  throw builderError('UNSUPPORTED', 'RUN on an image for Windows: its programs do not run on Linux', {
    hint: 'Make the files in a stage on Linux and take them with COPY --from, or build this image on Windows.',
  });
}

/** A working directory without what changes nothing. `..` stays: what it leads back from is made by the step, too. */
function workingDirectory(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return `/${parts.join('/')}`;
}

/** An allowlist of hosts is for whatever the Dockerfile or the command line do not take out of it by name. */
function networkOf({ network }: RunInstruction, { options }: StageContext): RunStep['network'] {
  if (network !== 'default') return network;
  return options.allowHosts && options.network === 'default' ? 'allowed' : options.network;
}

/** The variables that name secrets show as such: what an ENV of the same name says is not what the step sees. */
function displayName(
  { original, mounts }: RunInstruction,
  summary: string | undefined,
  { expander, state }: StageContext,
): string {
  const { env } = state;
  const masked = new Set<string>();
  for (const text of mounts) {
    const mount = parseMount(text, (word) => expander.expandWord(word, env).text);
    if (mount.type === 'secret' && mount.env !== undefined) masked.add(mount.env);
  }
  const seen: Environment = {
    get: (name) => (masked.has(name) ? '****' : env.get(name)),
    names: () => new Set([...env.names(), ...masked]),
  };
  const text = summary === undefined ? original : `${original} (${summary})`;
  return expander.expandForDisplay(text, masked.size > 0 ? seen : env, { run: true });
}

function scriptMount(name: string, content: string): RunMountPlan {
  const file = singleFile({ name, content: Buffer.from(content), mode: 0o755, mtime: 0 });
  return {
    kind: 'bind',
    target: posix.join(SCRIPTS, name),
    from: { kind: 'context', tree: () => Promise.resolve(file.tree), where: 'the heredoc' },
    source: name,
    readOnly: true,
  };
}

function checkEntitlements(instruction: RunInstruction, { options }: StageContext): void {
  const need = (entitlement: string): void => {
    if (options.allow.has(entitlement)) return;
    throw builderError('ENTITLEMENT_MISSING', `${entitlement} is not allowed`, {
      hint: `The Dockerfile asks for more than a step has by default. If you trust it: --allow ${entitlement}.`,
    });
  };
  if (instruction.network === 'host') need('network.host');
  if (instruction.security === 'insecure') need('security.insecure');
  if (instruction.devices.length > 0) {
    throw builderError('UNSUPPORTED', 'RUN --device is not supported', {
      hint: 'It needs devices of the machine, which steps of Strake do not get.',
    });
  }
}

/** Whether a cache mount begins as an empty folder with an owner or mode of its own; of a part of something they count for nothing. */
function hasOwnFolder({ uid, gid, mode, source }: RunMount): boolean {
  return posix.join('/', source ?? '') === '/' && (uid !== undefined || gid !== undefined || mode !== undefined);
}

/** As in BuildKit, a cache mount with another owner or mode is another cache. */
function ownerSuffix({ uid, gid, mode }: RunMount): string {
  return `\n${uid ?? 0}:${gid ?? 0}:${(mode ?? 0o755).toString(8)}`;
}

/** As in BuildKit, the bits above rwx of a `mode=` have no effect. */
function permissions({ mode }: RunMount, usual: number): number {
  return (mode ?? usual) & 0o777;
}

/** BuildKit mounts the named part of a file tree that has just been made and is empty, and fails. */
function checkEmptySource({ source }: RunMount): void {
  if (posix.join('/', source ?? '') === '/') return;
  throw builderError('INSTRUCTION_INVALID', `a tmpfs mount is empty: it has no "${source}"`, {
    hint: 'Leave out source=, or mount a copy: --mount=type=bind,source=…,rw keeps nothing of what the step writes.',
  });
}

async function planMount(
  mount: RunMount,
  before: readonly RunMountPlan[],
  instruction: RunInstruction,
  context: StageContext,
): Promise<RunMountPlan> {
  const { state, options, resolver } = context;
  const absolute = (path: string): string => {
    const target = posix.join('/', path.startsWith('/') ? '' : (state.config.WorkingDir ?? '/'), path);
    if (target === '/') throw builderError('INSTRUCTION_INVALID', `invalid mount target "${path}"`);
    return target.replace(/\/+$/, '');
  };
  const owner = { uid: mount.uid ?? 0, gid: mount.gid ?? 0 };
  const from = async (): Promise<MountFrom> => {
    if (mount.from === undefined || mount.from === '') {
      return { kind: 'context', tree: () => resolver.context(), where: 'the context' };
    }
    const found = await context.from(mount.from, instruction);
    return found.kind === 'stage'
      ? found
      : { kind: 'context', tree: () => Promise.resolve(found.tree), where: found.where };
  };
  switch (mount.type) {
    case 'bind':
      return {
        kind: 'bind',
        target: absolute(mount.target ?? ''),
        from: await from(),
        source: mount.source ?? '/',
        readOnly: mount.readOnly,
      };
    case 'cache': {
      const target = mount.target ?? '';
      const namespace = options.buildArgs.get('BUILDKIT_CACHE_MOUNT_NS') ?? '';
      const own = hasOwnFolder(mount);
      const hasBase = !own && mount.from !== undefined && mount.from !== '' && mount.from !== 'scratch';
      return {
        kind: 'cache',
        target: absolute(target),
        id: `${namespace}/${mount.id ?? posix.normalize(target).replace(/(.)\/+$/, '$1')}${own ? ownerSuffix(mount) : ''}`,
        sharing: mount.sharing,
        from: hasBase ? await from() : undefined,
        source: mount.source ?? '/',
        mode: permissions(mount, 0o755),
        ...owner,
        readOnly: mount.readOnly,
      };
    }
    case 'tmpfs':
      checkEmptySource(mount);
      return { kind: 'tmpfs', target: absolute(mount.target ?? ''), size: mount.size, readOnly: mount.readOnly };
    case 'secret': {
      const id = mount.id ?? mount.source ?? posix.basename(mount.target ?? '');
      const target =
        mount.target !== undefined
          ? absolute(mount.target)
          : mount.env === undefined
            ? `/run/secrets/${posix.basename(id)}`
            : undefined;
      return {
        kind: 'secret',
        id,
        target,
        env: mount.env,
        required: mount.required,
        mode: permissions(mount, 0o400),
        ...owner,
      };
    }
    case 'ssh': {
      const number = before.filter((other) => other.kind === 'ssh').length;
      return {
        kind: 'ssh',
        id: mount.id ?? 'default',
        target: mount.target === undefined ? `/run/buildkit/ssh_agent.${number}` : absolute(mount.target),
        env: number === 0 && state.env.get('SSH_AUTH_SOCK') === undefined ? 'SSH_AUTH_SOCK' : undefined,
        required: mount.required,
        mode: permissions(mount, 0o600),
        ...owner,
      };
    }
  }
}
