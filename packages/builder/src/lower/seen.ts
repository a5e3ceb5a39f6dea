import type { InstructionNote } from '../explain/types.js';
import type { StageState } from './stage-state.js';
import { splitVariable } from './variables.js';

/**
 * An instruction for the note of its step: WRITTEN as it stands in the Dockerfile, with the variables that it sees. All of them
 * for RUN, else those that USED, the texts in which variables are replaced, name.
 */
export function seenInstruction(
  written: string,
  { env, args, config }: StageState,
  used?: readonly string[],
): InstructionNote {
  const named =
    used && new Set(used.flatMap((text) => [...text.matchAll(/\$\{?([A-Za-z_]\w*)/g)].map(([, name]) => name)));
  const set = new Set((config.Env ?? []).map((entry) => splitVariable(entry)[0]));
  return {
    text: written,
    variables: [...env.entries()]
      .filter(([name]) => named?.has(name) ?? true)
      .map(([name, value]) => [name, value, args.has(name) && !set.has(name) ? 'ARG' : 'ENV'] as const),
  };
}
