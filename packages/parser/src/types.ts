import type { SourceLocation } from '@strake/core';

/** A span of source lines and columns. Lines count from 1, columns from 0; `end` is exclusive in columns, inclusive in lines. */
export interface SourceRange {
  readonly start: { readonly line: number; readonly column: number };
  readonly end: { readonly line: number; readonly column: number };
}

/** A heredoc that stands in an instruction. */
export interface Heredoc {
  /** The delimiter without quotes. */
  readonly name: string;
  readonly fileDescriptor: number;
  /** The body as it is in the image: tabs stripped where `<<-` asks for it, not yet expanded. */
  readonly content: string;
  /** The lines as written, tabs included: what a shell that reads the heredoc itself is given. */
  readonly raw: string;
  /** Whether variables in the body are expanded (the delimiter bears no quotes). */
  readonly expand: boolean;
  /** Whether `<<-` was written. */
  readonly chomp: boolean;
}

/** A command in JSON (`exec`) or shell form. In shell form `args` holds the one line as written (continuations joined; empty where nothing stands behind the instruction). */
export interface Command {
  readonly form: 'exec' | 'shell';
  readonly args: readonly string[];
  /** Heredocs of a shell-form RUN, in order. */
  readonly heredocs: readonly Heredoc[];
}

interface InstructionBase {
  /** The name of the instruction in the spelling of the file. */
  readonly keyword: string;
  /** The whole instruction as one line: continuations joined, comments dropped, spelling kept. Heredoc bodies are not in it. */
  readonly original: string;
  readonly location: SourceLocation;
  readonly range: SourceRange;
  /** The comment lines directly above, without `#`, outer blanks trimmed. */
  readonly comments: readonly string[];
}

export interface ArgDeclaration {
  readonly name: string;
  /** Not yet expanded; undefined for a bare `ARG x`. */
  readonly value: string | undefined;
  /** The text above it of the form `# <name> text`, for `--call=outline`. */
  readonly description?: string | undefined;
}
export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** `ENV key value` without `=`. */
  readonly legacy: boolean;
}

export interface FromInstruction extends InstructionBase {
  readonly kind: 'FROM';
  readonly image: string;
  readonly platform: string | undefined;
  /** In small letters. */
  readonly name: string | undefined;
  /** The words `AS name` in the spelling of the file. */
  readonly as: { readonly keyword: string; readonly name: string } | undefined;
}
export interface ArgInstruction extends InstructionBase {
  readonly kind: 'ARG';
  readonly args: readonly ArgDeclaration[];
}
export interface EnvInstruction extends InstructionBase {
  readonly kind: 'ENV';
  readonly pairs: readonly KeyValue[];
}
export interface LabelInstruction extends InstructionBase {
  readonly kind: 'LABEL';
  readonly pairs: readonly KeyValue[];
}
export interface RunInstruction extends InstructionBase {
  readonly kind: 'RUN';
  readonly command: Command;
  /** Values of `--mount`, as written; see `parseMount`. */
  readonly mounts: readonly string[];
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  readonly devices: readonly string[];
}
interface CopyBase extends InstructionBase {
  /** Sources that are paths (not heredocs), in order, not yet expanded. */
  readonly sources: readonly string[];
  /** Sources that are heredocs. */
  readonly heredocs: readonly Heredoc[];
  readonly destination: string;
  readonly chown: string | undefined;
  readonly chmod: string | undefined;
  readonly link: boolean;
  readonly exclude: readonly string[];
}
export interface CopyInstruction extends CopyBase {
  readonly kind: 'COPY';
  readonly from: string | undefined;
  readonly parents: boolean;
}
export interface AddInstruction extends CopyBase {
  readonly kind: 'ADD';
  readonly checksum: string | undefined;
  /** Undefined where the flag is not given. */
  readonly keepGitDir: boolean | undefined;
  readonly unpack: boolean | undefined;
}
export interface CmdInstruction extends InstructionBase {
  readonly kind: 'CMD' | 'ENTRYPOINT';
  readonly command: Command;
}
/** Durations in nanoseconds; undefined where the flag is absent. */
export interface HealthcheckInstruction extends InstructionBase {
  readonly kind: 'HEALTHCHECK';
  /** `NONE`, or the command of `CMD`. */
  readonly test: 'NONE' | Command;
  readonly interval: number | undefined;
  readonly timeout: number | undefined;
  readonly startPeriod: number | undefined;
  readonly startInterval: number | undefined;
  readonly retries: number | undefined;
}
export interface WordsInstruction extends InstructionBase {
  /** EXPOSE: words not yet expanded or checked. VOLUME: paths. SHELL: the JSON array. */
  readonly kind: 'EXPOSE' | 'VOLUME' | 'SHELL';
  readonly words: readonly string[];
}
export interface WordInstruction extends InstructionBase {
  /** The rest of the line, not yet expanded. */
  readonly kind: 'USER' | 'WORKDIR' | 'STOPSIGNAL' | 'MAINTAINER';
  readonly value: string;
}
export interface OnbuildInstruction extends InstructionBase {
  readonly kind: 'ONBUILD';
  /** The trigger as the image config keeps it: spelling and blanks as written, a heredoc with its body. */
  readonly trigger: string;
}

export type StageInstruction =
  | ArgInstruction
  | EnvInstruction
  | LabelInstruction
  | RunInstruction
  | CopyInstruction
  | AddInstruction
  | CmdInstruction
  | HealthcheckInstruction
  | WordsInstruction
  | WordInstruction
  | OnbuildInstruction;
export type Instruction = FromInstruction | StageInstruction;

/** One `FROM` and what follows it. */
export interface Stage {
  readonly index: number;
  readonly from: FromInstruction;
  readonly instructions: readonly StageInstruction[];
  readonly description?: string | undefined;
}

/** The value of a `# check=` directive. */
export interface CheckDirective {
  readonly skip: readonly string[];
  readonly skipAll: boolean;
  readonly error: boolean;
  readonly experimental: readonly string[];
  readonly experimentalAll: boolean;
}

/** A parsed Dockerfile. */
export interface Dockerfile {
  readonly file: string;
  readonly source: string;
  /** `\` or a backtick. */
  readonly escape: '\\' | '`';
  readonly syntax: string | undefined;
  readonly check: CheckDirective | undefined;
  /** The ARGs before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  /** The lines that end an instruction with an empty line among its continued ones. */
  readonly emptyContinuations: readonly number[];
  /** What the rules that need only the text have found. `lint` finds them again, and the others. */
  readonly warnings: readonly LintWarning[];
}

/** One finding of a lint rule. */
export interface LintWarning {
  readonly rule: string;
  /** What the rule is about, in general. */
  readonly description: string;
  readonly url: string;
  /** What was found here. */
  readonly message: string;
  readonly location: SourceLocation;
}

/** A `--mount` flag of RUN, checked and expanded. Paths as written (a relative target is not yet joined with WORKDIR). */
export interface RunMount {
  readonly type: 'bind' | 'cache' | 'tmpfs' | 'secret' | 'ssh';
  readonly from: string | undefined;
  readonly source: string | undefined;
  readonly target: string | undefined;
  readonly readOnly: boolean;
  readonly required: boolean;
  readonly id: string | undefined;
  readonly sharing: 'shared' | 'private' | 'locked';
  /** Bytes, for tmpfs. */
  readonly size: number | undefined;
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** The name of the environment variable that a secret is given in. */
  readonly env: string | undefined;
}

/** The variables that an expansion sees. */
export interface Environment {
  get(name: string): string | undefined;
  names(): Iterable<string>;
}

/** What an expansion made of a word. */
export interface Expansion {
  readonly text: string;
  /** Names of variables that were used and are set. */
  readonly matched: readonly string[];
  /** Names of variables that were used and are not set. */
  readonly unmatched: readonly string[];
}
