import type { Solver, Vertex } from '@strake/solver';

import type { DeclaredStep } from '../lower/stages.js';
import type { ChainResult } from '../result.js';
import { maskSecrets, notedValue } from './secrets.js';
import type { StepNote } from './types.js';

/** How a step ended, as the build was told. */
export interface ToldStep {
  readonly cached: boolean;
  /** Milliseconds. */
  readonly duration: number;
  readonly failed?: true | undefined;
}

/** What is to be remembered of the steps of a build: names, keys and what these were made of. Secrets are left out. */
export async function noteSteps(
  steps: readonly DeclaredStep[],
  solver: Pick<Solver<ChainResult>, 'outcome'>,
  told: (vertex: Vertex<ChainResult>) => ToldStep | undefined,
): Promise<StepNote[]> {
  const notes: StepNote[] = [];
  const secrets = new Set<string>();
  for (const { vertex, stage, instruction } of steps) {
    const ended = told(vertex);
    const outcome = ended && (await solver.outcome(vertex));
    if (!outcome) continue;
    const { env: _env, ...operation } = outcome.parts.operation;
    const { content, inputs } = outcome.parts;
    notes.push({
      id: vertex.id,
      name: vertex.name,
      stage,
      key: outcome.key,
      cached: ended.cached,
      duration: ended.duration,
      ...(ended.failed && { failed: true }),
      reason: outcome.reason,
      ...(instruction && {
        instruction: {
          text: instruction.text,
          variables: instruction.variables.map(([name, value, from]) => {
            const noted = notedValue(name, value);
            if (noted !== value) secrets.add(value);
            return [name, noted, from];
          }),
        },
      }),
      operation,
      content: content ?? {},
      inputs: vertex.inputs.map((input, i) => ({
        name: input.vertex.name,
        digest: inputs[i] ?? outcome.key,
        part: input.content !== undefined,
      })),
    });
  }
  const values = [...secrets];
  return notes.map((note) => (maybeSecret(note, values) ? (maskSecrets(note, values) as StepNote) : note));
}

/** Most builds have nothing to hide, and a cached one is to be quick. */
function maybeSecret({ instruction }: StepNote, secrets: readonly string[]): boolean {
  return secrets.length > 0 || (instruction?.text.includes('=') ?? false);
}
