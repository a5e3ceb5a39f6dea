import type { ContainerConfig } from '@strake/core';
import { isSignal, parsePorts, type Command, type HealthcheckInstruction, type StageInstruction } from '@strake/parser';

import { builderError } from '../errors.js';
import type { StageContext } from './context.js';
import { commandHistory, healthcheckHistory } from './history.js';
import { setConfigVariable, type StageState } from './stage-state.js';

type Of<K extends StageInstruction['kind']> = Extract<StageInstruction, { readonly kind: K }>;

/** Instructions that only change the image's config. */
export type MetadataInstruction = Exclude<StageInstruction, Of<'RUN' | 'COPY' | 'ADD' | 'WORKDIR'>>;

/** A command with the shell in front where it is in shell form. */
export function withShell({ config, image }: Pick<StageState, 'config' | 'image'>, command: Command): string[] {
  if (command.form === 'exec') return [...command.args];
  const usual = image.os === 'windows' ? ['cmd', '/S', '/C'] : ['/bin/sh', '-c'];
  const shell = config.Shell?.length ? config.Shell : usual;
  return [...shell, command.args.join(' ')];
}

function note(state: StageState, createdBy: string): void {
  state.history.push({ createdBy, emptyLayer: true });
}

/** Lowers an instruction that makes no layer. @throws StrakeError where an expansion or a value is bad */
export function lowerMetadata(instruction: MetadataInstruction, context: StageContext): void {
  const { state } = context;
  const { config } = state;
  const expand = (word: string): string => context.expander.expandWord(word, state.env).text;
  switch (instruction.kind) {
    case 'ENV':
      lowerEnv(instruction, context);
      return;
    case 'LABEL': {
      const pairs = instruction.pairs.map((pair) => [expand(pair.key), expand(pair.value)] as const);
      config.Labels = { ...config.Labels };
      for (const [key, value] of pairs) setOwn(config.Labels, key, value);
      note(state, `LABEL ${pairs.map(([key, value]) => `${key}=${value}`).join(' ')}`);
      return;
    }
    case 'ARG':
      lowerArg(instruction, context);
      return;
    case 'CMD':
    case 'ENTRYPOINT': {
      const args = withShell(state, instruction.command);
      if (instruction.kind === 'CMD') {
        config.Cmd = args;
        config.ArgsEscaped = true;
        state.cmdSet = true;
      } else {
        config.Entrypoint = args;
        if (!state.cmdSet) delete config.Cmd;
      }
      note(state, commandHistory(instruction.kind, args));
      return;
    }
    case 'HEALTHCHECK':
      config.Healthcheck = healthcheck(instruction);
      note(state, healthcheckHistory(config.Healthcheck));
      return;
    case 'EXPOSE': {
      const words = instruction.words.flatMap((word) => context.expander.expandWords(word, state.env).words);
      const ports = parsePorts(words);
      config.ExposedPorts = { ...config.ExposedPorts };
      for (const port of ports) config.ExposedPorts[port] = {};
      note(state, `EXPOSE [${ports.join(' ')}]`);
      return;
    }
    case 'VOLUME': {
      const paths = instruction.words.map(expand);
      if (paths.includes('')) {
        throw builderError('INSTRUCTION_INVALID', 'VOLUME specified can not be an empty string');
      }
      config.Volumes = { ...config.Volumes };
      for (const path of paths) setOwn(config.Volumes, path, {});
      note(state, `VOLUME [${paths.join(' ')}]`);
      return;
    }
    case 'SHELL':
      config.Shell = [...instruction.words];
      note(state, `SHELL [${instruction.words.join(' ')}]`);
      return;
    case 'USER':
      config.User = expand(instruction.value);
      note(state, `USER ${config.User}`);
      return;
    case 'STOPSIGNAL': {
      const signal = expand(instruction.value);
      if (!isSignal(signal)) {
        throw builderError('INSTRUCTION_INVALID', `invalid signal: ${signal}`, {
          hint: 'Write a name (SIGTERM or TERM) or a number from 1 to 64.',
        });
      }
      config.StopSignal = signal;
      note(state, `STOPSIGNAL ${signal}`);
      return;
    }
    case 'MAINTAINER':
      state.image.author = instruction.value;
      note(state, `MAINTAINER ${instruction.value}`);
      return;
    case 'ONBUILD':
      config.OnBuild = [...(config.OnBuild ?? []), instruction.trigger];
      state.triggers.push(instruction.trigger);
  }
}

/** Sets an own property, also for names like `__proto__`. */
function setOwn<T>(object: Record<string, T>, key: string, value: T): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

/** One instruction sees one environment: `ENV a=1 b=$a` uses the old a. */
function lowerEnv(instruction: Of<'ENV'>, { state, expander }: StageContext): void {
  const expand = (word: string): string => expander.expandWord(word, state.env).text;
  const pairs = instruction.pairs.map((pair) => [expand(pair.key), expand(pair.value)] as const);
  for (const [key, value] of pairs) {
    state.env.set(key, value);
    setConfigVariable(state, key, value);
  }
  note(state, `ENV ${pairs.map(([key, value]) => `${key}=${value}`).join(' ')}`);
}

/** ARGs that only steer BuildKit's scanner: no step sees them. */
const STEERING: ReadonlySet<string> = new Set(['BUILDKIT_SBOM_SCAN_CONTEXT', 'BUILDKIT_SBOM_SCAN_STAGE']);

/** Each ARG sees the ones before it; a build argument beats a default, which is then not even expanded. */
function lowerArg(instruction: Of<'ARG'>, { state, expander, options, globalArgs }: StageContext): void {
  const told = instruction.args.map(({ name, value: fallback }) => {
    const given = options.buildArgs.get(name);
    const value =
      given ?? (fallback === undefined ? globalArgs.get(name) : expander.expandWord(fallback, state.env).text);
    if (value !== undefined && !STEERING.has(name)) state.env.set(name, value);
    state.args.set(name, value);
    return value === undefined ? name : `${name}=${value}`;
  });
  note(state, `ARG ${told.join(' ')}`);
}

function healthcheck(instruction: HealthcheckInstruction): NonNullable<ContainerConfig['Healthcheck']> {
  const { test } = instruction;
  if (test === 'NONE') return { Test: ['NONE'] };
  return {
    Test: test.form === 'exec' ? ['CMD', ...test.args] : ['CMD-SHELL', test.args.join(' ')],
    ...(instruction.interval ? { Interval: instruction.interval } : {}),
    ...(instruction.timeout ? { Timeout: instruction.timeout } : {}),
    ...(instruction.startPeriod ? { StartPeriod: instruction.startPeriod } : {}),
    ...(instruction.startInterval ? { StartInterval: instruction.startInterval } : {}),
    ...(instruction.retries ? { Retries: instruction.retries } : {}),
  };
}
