import { goQuote } from '@strake/core';
import { LINT_RULES } from './lint-rules.js';
import { Linter } from './linter.js';
import type { Dockerfile, FromInstruction, Instruction, LintWarning } from './types.js';

const isLower = (text: string): boolean => text === text.toLowerCase();
const isUpper = (text: string): boolean => text === text.toUpperCase();

/** All instructions in the order of the file. */
function* allInstructions(dockerfile: Dockerfile): Generator<Instruction> {
  yield* dockerfile.globalArgs;
  for (const stage of dockerfile.stages) {
    yield stage.from;
    yield* stage.instructions;
  }
}

function emptyContinuations(dockerfile: Dockerfile, linter: Linter): void {
  for (const line of dockerfile.emptyContinuations) {
    const location = { file: dockerfile.file, line, column: 1, endLine: line, source: dockerfile.source };
    linter.warn(LINT_RULES.noEmptyContinuation, location, 'Empty continuation line');
  }
}

function fromCasing(from: FromInstruction, linter: Linter): void {
  if (!from.as) return;
  const { keyword, name } = from.as;
  if (!isLower(name)) {
    linter.warn(LINT_RULES.stageNameCasing, from.location, `Stage name '${name}' should be lowercase`);
  }
  // A FROM of mixed case is a matter of another rule.
  const lower = isLower(from.keyword);
  if (!lower && !isUpper(from.keyword)) return;
  if (lower ? isLower(keyword) : isUpper(keyword)) return;
  const message = `'${keyword}' and '${from.keyword}' keywords' casing do not match`;
  linter.warn(LINT_RULES.fromAsCasing, from.location, message);
}

/** The comment above an ARG or a named FROM must begin with a name. Off unless asked for. */
function description(instruction: Instruction, names: readonly string[], linter: Linter): void {
  const last = instruction.comments[instruction.comments.length - 1];
  const [first] = names;
  if (last === undefined || first === undefined || names.includes(last.split(' ', 1)[0] ?? '')) return;
  const example = names.length > 1 ? '<arg_key>' : first;
  linter.warn(
    LINT_RULES.invalidDefinitionDescription,
    instruction.location,
    `Comment for ${instruction.kind} should follow the format: \`# ${example} <description>\``,
  );
}

function stageNames(dockerfile: Dockerfile, linter: Linter): void {
  const seen = new Set<string>();
  for (const { from } of dockerfile.stages) {
    if (from.name === undefined) continue;
    if (from.name === 'scratch' || from.name === 'context') {
      const message = `Stage name should not use the same name as reserved stage ${goQuote(from.name)}`;
      linter.warn(LINT_RULES.reservedStageName, from.location, message);
    }
    if (seen.has(from.name)) {
      const message = `Duplicate stage name ${goQuote(from.name)}, stage names should be unique`;
      linter.warn(LINT_RULES.duplicateStageName, from.location, message);
    }
    seen.add(from.name);
  }
}

/** Every keyword must have the letter case of most of them; where both are as many, capitals. Global ARGs do not count. */
function keywordCasing(dockerfile: Dockerfile, linter: Linter): void {
  const instructions = dockerfile.stages.flatMap((stage): Instruction[] => [stage.from, ...stage.instructions]);
  let lower = 0;
  let upper = 0;
  for (const { keyword } of instructions) {
    if (isLower(keyword)) lower++;
    else if (isUpper(keyword)) upper++;
  }
  const wantLower = lower > upper;
  for (const { keyword, location } of instructions) {
    if (wantLower ? isLower(keyword) : isUpper(keyword)) continue;
    const majority = wantLower ? 'lowercase' : 'uppercase';
    linter.warn(
      LINT_RULES.consistentInstructionCasing,
      location,
      `Command '${keyword}' should match the case of the command majority (${majority})`,
    );
  }
}

/** The rules that look at one instruction's text, as it is parsed. */
export function checkWords(dockerfile: Dockerfile, linter: Linter): void {
  emptyContinuations(dockerfile, linter);
  for (const instruction of allInstructions(dockerfile)) {
    const below = linter.below(instruction.comments);
    if (instruction.kind === 'MAINTAINER') {
      const message = 'Maintainer instruction is deprecated in favor of using label';
      below.warn(LINT_RULES.maintainerDeprecated, instruction.location, message);
    } else if (instruction.kind === 'FROM') {
      fromCasing(instruction, below);
      if (instruction.name !== undefined) description(instruction, [instruction.name], below);
    } else if (instruction.kind === 'ARG') {
      description(
        instruction,
        instruction.args.map((arg) => arg.name),
        below,
      );
    }
  }
}

/** The rules that need nothing but the text, in BuildKit's order. */
export function checkText(dockerfile: Dockerfile, linter: Linter): void {
  checkWords(dockerfile, linter);
  stageNames(dockerfile, linter);
  keywordCasing(dockerfile, linter);
}

/** WARNINGS in the order of the lines. */
export function warningsByLine(warnings: readonly LintWarning[]): LintWarning[] {
  return [...warnings].sort((a, b) => a.location.line - b.location.line);
}

/** What the rules that need only the text find. */
export function textWarnings(dockerfile: Dockerfile): LintWarning[] {
  const warnings: LintWarning[] = [];
  checkText(dockerfile, new Linter(dockerfile.check, warnings));
  return warningsByLine(warnings);
}
