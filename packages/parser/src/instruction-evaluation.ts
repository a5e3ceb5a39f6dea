import { goQuote } from '@strake/core';
import { parserError } from './errors.js';
import { expandHeredoc } from './expand.js';
import type { EvaluationScope, StageState } from './evaluation.js';
import { LINT_RULES } from './lint-rules.js';
import type { Linter } from './linter.js';
import { parseMode } from './mode.js';
import { parseMount } from './mount.js';
import { parsePort, splitPort } from './ports.js';
import { isSecretName } from './secret-names.js';
import { isSignal } from './signals.js';
import { cleanPath, clip } from './text.js';
import type {
  AddInstruction,
  ArgInstruction,
  CmdInstruction,
  CopyInstruction,
  Environment,
  EnvInstruction,
  Expansion,
  HealthcheckInstruction,
  KeyValue,
  LabelInstruction,
  RunInstruction,
  StageInstruction,
  WordsInstruction,
} from './types.js';

/** These steer the build and are not seen by expansions. */
const NO_VARIABLES = new Set(['BUILDKIT_SBOM_SCAN_CONTEXT', 'BUILDKIT_SBOM_SCAN_STAGE']);

/** One instruction under evaluation. */
class Step {
  readonly #instruction: StageInstruction;
  readonly #state: StageState;
  readonly #scope: EvaluationScope;
  readonly #linter: Linter;

  constructor(instruction: StageInstruction, state: StageState, scope: EvaluationScope, linter: Linter) {
    this.#instruction = instruction;
    this.#state = state;
    this.#scope = scope;
    this.#linter = linter;
  }

  #report({ text, unmatched }: Expansion): string {
    for (const name of unmatched) {
      if (this.#state.declared.has(name) || NO_VARIABLES.has(name)) continue;
      const guess = this.#linter.suggest(name, this.#state.env.keys(), '$');
      this.#warn('undefinedVar', `Usage of undefined variable '$${name}'${guess}`);
    }
    return text;
  }

  #warn(rule: keyof typeof LINT_RULES, message: string): void {
    this.#linter.warn(LINT_RULES[rule], this.#instruction.location, message);
  }

  #environment(): Environment {
    const { env } = this.#state;
    return { get: (name) => env.get(name), names: () => env.keys() };
  }

  #expand(word: string): string {
    return this.#report(this.#scope.expander.expandWord(word, this.#environment()));
  }

  /** All pairs are expanded before the first takes effect. */
  #expandPairs(pairs: readonly KeyValue[]): KeyValue[] {
    return pairs.map(({ key, value, legacy }) => ({ key: this.#expand(key), value: this.#expand(value), legacy }));
  }

  #checkPair({ legacy }: KeyValue): void {
    const { keyword } = this.#instruction;
    if (!legacy) return;
    const message = `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`;
    this.#warn('legacyKeyValueFormat', message);
  }

  #checkSecret(kind: 'ARG' | 'ENV', name: string): void {
    if (!isSecretName(name)) return;
    const message = `Do not use ARG or ENV instructions for sensitive data (${kind} ${goQuote(name)})`;
    this.#warn('secretsUsedInArgOrEnv', message);
  }

  env(instruction: EnvInstruction): void {
    for (const pair of this.#expandPairs(instruction.pairs)) {
      this.#checkPair(pair);
      this.#checkSecret('ENV', pair.key);
      this.#state.env.set(pair.key, pair.value);
      this.#state.hidden.delete(pair.key);
      this.#state.config.set(pair.key, pair.value);
    }
  }

  label(instruction: LabelInstruction): void {
    for (const pair of this.#expandPairs(instruction.pairs)) this.#checkPair(pair);
  }

  arg(instruction: ArgInstruction): void {
    const { options, globals } = this.#scope;
    const { config, declared, env, hidden, outline } = this.#state;
    for (const declaration of instruction.args) {
      const { name } = declaration;
      this.#checkSecret('ARG', name);
      const given = options.buildArgs?.get(name);
      const inherited = given === undefined && declaration.value === undefined ? globals.env.get(name) : undefined;
      const value = given ?? (declaration.value === undefined ? inherited : this.#expand(declaration.value));
      if (value !== undefined && !NO_VARIABLES.has(name)) {
        env.set(name, value);
        if (config.has(name)) hidden.add(name);
      }
      if (inherited === undefined) outline?.declare({ declaration, instruction, value, uses: new Set() });
      outline?.usedArgs.add(name);
      declared.set(name, true);
    }
  }

  run(instruction: RunInstruction): void {
    for (const flag of instruction.mounts) {
      const mount = parseMount(flag, (word) => this.#expand(word));
      this.#state.outline?.addMount(mount, instruction);
    }
  }

  copy(instruction: CopyInstruction | AddInstruction): void {
    const { chown, chmod } = instruction;
    if (chown !== undefined) this.#expand(chown);
    const mode = chmod === undefined ? '' : this.#expand(chmod);
    if (mode !== '') parseMode(mode);
    if (instruction.kind === 'ADD' && instruction.checksum !== undefined) this.#expand(instruction.checksum);
    const sources = instruction.sources.map((source) => this.#expand(source));
    this.#expand(instruction.destination);
    for (const heredoc of instruction.heredocs) {
      if (heredoc.expand) this.#report(expandHeredoc(heredoc.content, this.#environment()));
    }
    if (instruction.kind === 'COPY' && instruction.from !== undefined) return;
    for (const source of sources) this.#checkSource(instruction.kind === 'ADD' ? 'Add' : 'Copy', source);
  }

  /** CopyIgnoredFile. Exceptions in the ignore file make it too hard to tell. */
  #checkSource(verb: string, source: string): void {
    const { ignore } = this.#scope;
    if (!ignore || ignore.hasExceptions || isRemote(source)) return;
    const path = cleanPath(source);
    if (path === '.' || path === '/') {
      if (!ignore.patterns.some((pattern) => ['*', '**', '**/*'].includes(pattern))) return;
    }
    if (!ignore.matches(path)) return;
    this.#warn('copyIgnoredFile', `Attempting to ${verb} file ${goQuote(path)} that is excluded by .dockerignore`);
  }

  expose(instruction: WordsInstruction): void {
    const env = this.#environment();
    for (const word of instruction.words.flatMap((text) => this.#scope.expander.expandWords(text, env).words)) {
      const { address, host, protocol } = splitPort(word);
      if (protocol !== protocol.toLowerCase()) {
        this.#warn('exposeProtoCasing', `Defined protocol '${word}' in EXPOSE instruction should be lowercase`);
      }
      if (address !== '' || host !== '') {
        const message = `EXPOSE instruction should not define an IP address or host-port mapping, found '${word}'`;
        this.#warn('exposeInvalidFormat', message);
      }
      parsePort(word);
    }
  }

  workdir(value: string): void {
    const path = this.#expand(value);
    const absolute = this.#state.isWindows ? /^(?:c:)?[\\/](?![\\/])/i : /^\//;
    if (!this.#state.workdirSet && !absolute.test(path)) {
      const message = `Relative workdir ${goQuote(path)} can have unexpected results if the base image changes`;
      this.#warn('workdirRelativePath', message);
    }
    this.#state.workdirSet = true;
  }

  stopSignal(value: string): void {
    const signal = this.#expand(value);
    if (isSignal(signal)) return;
    throw parserError(
      'PARSE_ARGUMENTS',
      `invalid signal: ${clip(signal, 40)}`,
      'Write SIGTERM, TERM or 15, for example.',
    );
  }

  volume(words: readonly string[]): void {
    if (words.map((word) => this.#expand(word)).includes('')) {
      throw parserError('PARSE_ARGUMENTS', 'VOLUME specified can not be an empty string', 'Write VOLUME <path>...');
    }
  }

  words(words: readonly string[]): void {
    for (const word of words) this.#expand(word);
  }

  command(instruction: CmdInstruction): void {
    if (instruction.command.form === 'exec' || this.#state.shellSet) return;
    const message = `JSON arguments recommended for ${instruction.keyword} to prevent unintended behavior related to OS signals`;
    this.#warn('jsonArgsRecommended', message);
  }
}

function isRemote(source: string): boolean {
  return /^(?:https?|git|ssh):\/\//i.test(source) || /^[\w.-]+@[\w.-]+:/.test(source);
}

/** MultipleInstructionsDisallowed, reported at the earlier one: that is what has no effect. */
function checkOnce(
  instruction: CmdInstruction | HealthcheckInstruction,
  once: Map<string, StageInstruction>,
  linter: Linter,
): void {
  const earlier = once.get(instruction.kind);
  if (earlier) {
    const message = `Multiple ${instruction.keyword} instructions should not be used in the same stage because only the last one will be used`;
    linter.warn(LINT_RULES.multipleInstructionsDisallowed, earlier.location, message);
  }
  once.set(instruction.kind, instruction);
}

/**
 * Lets an instruction take effect on STATE, and reports to LINTER. ONCE holds the instructions of this stage that should stand alone.
 * @throws StrakeError what a build would fail with before the step runs
 */
export function evaluateInstruction(
  instruction: StageInstruction,
  state: StageState,
  once: Map<string, StageInstruction>,
  scope: EvaluationScope,
  linter: Linter,
): void {
  const step = new Step(instruction, state, scope, linter);
  switch (instruction.kind) {
    case 'ARG':
      return step.arg(instruction);
    case 'ENV':
      return step.env(instruction);
    case 'LABEL':
      return step.label(instruction);
    case 'RUN':
      return step.run(instruction);
    case 'COPY':
    case 'ADD':
      return step.copy(instruction);
    case 'CMD':
    case 'ENTRYPOINT':
      checkOnce(instruction, once, linter);
      return step.command(instruction);
    case 'HEALTHCHECK':
      return checkOnce(instruction, once, linter);
    case 'EXPOSE':
      return step.expose(instruction);
    case 'VOLUME':
      return step.volume(instruction.words);
    case 'USER':
      return step.words([instruction.value]);
    case 'WORKDIR':
      return step.workdir(instruction.value);
    case 'STOPSIGNAL':
      return step.stopSignal(instruction.value);
    case 'SHELL':
      state.shellSet = true;
      return;
    case 'MAINTAINER':
    case 'ONBUILD':
      return;
  }
}
