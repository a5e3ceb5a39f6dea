/** A place in a text file. Lines and columns count from 1; `endLine` is the last line, inclusive. */
export interface SourceLocation {
  readonly file: string;
  readonly line: number;
  readonly column?: number;
  readonly endLine?: number;
  /** The whole text of the file, where the thrower has it: for excerpts. Never logged as it is. */
  readonly source?: string;
}

/** The fields of a {@link StrakeError}. */
export interface StrakeErrorFields {
  /** What kind of failure this is, in capitals: `STEP_FAILED`. A package's `errors.ts` lists its codes as a literal union. */
  readonly code: string;
  /** What failed, in one sentence without a full stop where it ends in a name. Holds no secret. */
  readonly message: string;
  /** What to do about it, in one or two sentences. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  readonly location?: SourceLocation | undefined;
  /** The display name of the step, for example `[build 2/5] RUN make`. */
  readonly step?: string | undefined;
  /** The exit status of the command that failed. */
  readonly exitCode?: number | undefined;
  /** The last lines of what the step printed. */
  readonly outputTail?: string | undefined;
}

/** Every failure that a user can meet. A plain `Error` that reaches the surface is a bug of ours. */
export class StrakeError extends Error {
  override readonly name = 'StrakeError';
  readonly code: string;
  readonly hint: string | undefined;
  readonly location: SourceLocation | undefined;
  readonly step: string | undefined;
  readonly exitCode: number | undefined;
  readonly outputTail: string | undefined;

  /** By what it is, not by who made it: `strake` and `strake/parser` each have a class of their own. */
  static override [Symbol.hasInstance](value: unknown): value is StrakeError {
    return value instanceof Error && value.name === 'StrakeError' && 'code' in value;
  }

  constructor(fields: StrakeErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = fields.code;
    this.hint = fields.hint;
    this.location = fields.location;
    this.step = fields.step;
    this.exitCode = fields.exitCode;
    this.outputTail = fields.outputTail;
  }

  /** A copy that knows more: errors gain location and step as they rise. What is there already stays. */
  with(more: Partial<StrakeErrorFields>): StrakeError {
    return errorOf({
      code: this.code,
      message: more.message ?? this.message,
      hint: this.hint ?? more.hint,
      cause: this.cause ?? more.cause,
      location: this.location ?? more.location,
      step: this.step ?? more.step,
      exitCode: this.exitCode ?? more.exitCode,
      outputTail: this.outputTail ?? more.outputTail,
    });
  }

  /** What crosses a process boundary. */
  toFields(): StrakeErrorFields {
    const { code, message, hint, location, step, exitCode, outputTail } = this;
    return { code, message, hint, location, step, exitCode, outputTail };
  }
}

// Not in the class: a bundler would give one that names itself another name, which Node prints.
function errorOf(fields: StrakeErrorFields): StrakeError {
  return new StrakeError(fields);
}

/** Whether ERROR is a StrakeError, of CODE where one is given. */
export function isStrakeError(error: unknown, code?: string): error is StrakeError {
  return error instanceof StrakeError && (code === undefined || error.code === code);
}

/** The errno name (`ENOENT`) of a system error of Node, else undefined. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code)
    ? error.code
    : undefined;
}
