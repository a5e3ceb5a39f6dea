import { parseArgs } from 'node:util';
import { closest } from '@strake/core';
import { usage } from '../errors.js';

/** One flag of a command. */
export interface Flag {
  readonly name: string;
  readonly short?: string;
  /** `list` may be given several times; of the others the last one counts. */
  readonly kind: 'boolean' | 'string' | 'list';
  /** What its value stands for in the help: `FILE`. */
  readonly value?: string;
  /** One line for the help; flags without are not listed. */
  readonly help?: string;
  /** Known to `docker buildx build`, without effect here: why. Accepted with a warning. */
  readonly ignored?: string;
  /** Values of an ignored flag that ask for what happens anyway: no warning. */
  readonly silent?: readonly string[];
  /** An empty value is an error, as with buildx. */
  readonly filled?: boolean;
}

/** What was given on a command line. */
export class Arguments {
  readonly positionals: readonly string[];
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(values: ReadonlyMap<string, readonly string[]>, positionals: readonly string[]) {
    this.#values = values;
    this.positionals = positionals;
  }

  /** The same flags with other positional arguments. */
  withPositionals(positionals: readonly string[]): Arguments {
    return new Arguments(this.#values, positionals);
  }

  /** The same with one more value of a flag. */
  with(name: string, value: string): Arguments {
    return new Arguments(new Map([...this.#values, [name, [...this.list(name), value]]]), this.positionals);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** All values of a flag in order. */
  list(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** The last value of a flag. */
  string(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  boolean(name: string): boolean {
    return this.string(name) === 'true';
  }
}

// What Go's strconv.ParseBool takes, which buildx reads `--pull=...` with.
const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

function booleanOf(flag: Flag, value: string | undefined): string {
  if (value === undefined || TRUE.has(value)) return 'true';
  if (FALSE.has(value)) return 'false';
  throw usage(`--${flag.name} is a switch; "${value}" is neither true nor false`);
}

function unknownFlag(given: string, flags: readonly Flag[]): never {
  const names = flags.map((flag) => `--${flag.name}`);
  const near = given.startsWith('--') ? closest(given, names, given.length > 8 ? 3 : 2) : undefined;
  throw usage(`unknown flag ${given}`, near && `Did you mean ${near}?`);
}

/**
 * Reads ARGV by a table of flags: long and short ones, `--name value` and `--name=value`, short ones combined, values
 * right behind short ones, `--`. Flags may stand after positional arguments, unless `stopAtPositional` (for commands
 * that hand the rest of the line on).
 * @throws StrakeError `USAGE`
 */
export function parse(
  argv: readonly string[],
  flags: readonly Flag[],
  options: { readonly stopAtPositional?: boolean } = {},
): Arguments {
  const byName = new Map(flags.map((flag) => [flag.name, flag]));
  const config = Object.fromEntries(
    flags.map((flag) => [
      flag.name,
      {
        type: flag.kind === 'boolean' ? ('boolean' as const) : ('string' as const),
        ...(flag.short && { short: flag.short }),
      },
    ]),
  );
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  // Not strict: parseArgs' own errors know neither suggestions nor `--switch=false`.
  const { tokens } = parseArgs({
    args: [...argv],
    options: config,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === 'positional') {
      if (options.stopAtPositional) {
        positionals.push(...argv.slice(token.index));
        break;
      }
      positionals.push(token.value);
    } else if (token.kind === 'option') {
      const flag = byName.get(token.name);
      if (!flag || (token.rawName.startsWith('--') && token.rawName !== `--${flag.name}`)) {
        return unknownFlag(token.rawName, flags);
      }
      const short = !token.rawName.startsWith('--');
      let value = token.value;
      if (flag.kind === 'boolean') value = booleanOf(flag, value);
      else if (value === undefined) throw usage(`${token.rawName} needs a value (${flag.value ?? 'VALUE'})`);
      else if (short && token.inlineValue && value.startsWith('=')) value = value.slice(1);
      if (value === '' && flag.filled) throw usage(`--${flag.name}: the value is empty`);
      const known = values.get(flag.name);
      if (known) known.push(value);
      else values.set(flag.name, [value]);
    }
  }
  return new Arguments(values, positionals);
}

/** One line for every flag given that does nothing here. */
export function ignoredFlags(args: Arguments, flags: readonly Flag[]): string[] {
  return flags.flatMap((flag) =>
    flag.ignored !== undefined && args.list(flag.name).some((value) => !flag.silent?.includes(value))
      ? [`--${flag.name} does nothing here: ${flag.ignored}`]
      : [],
  );
}
