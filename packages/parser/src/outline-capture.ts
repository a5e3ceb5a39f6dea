import type { GlobalArg, GlobalScope } from './global-args.js';
import type { RunInstruction, RunMount } from './types.js';

/** A secret or an agent that a step asks for. */
export interface MountUse {
  readonly required: boolean;
  readonly instruction: RunInstruction;
}

/** What of a stage alone, not of the one below it, is of interest to `--call=outline`. */
export class OutlineCapture {
  readonly usedArgs: Set<string> = new Set();
  readonly secrets: Map<string, MountUse> = new Map();
  readonly ssh: Map<string, MountUse> = new Map();
  readonly #declared = new Map<string, GlobalArg>();
  readonly #globals: GlobalScope;

  constructor(globals: GlobalScope) {
    this.#globals = globals;
  }

  /** The ARG of this name, of the stage or else global. */
  arg(name: string): GlobalArg | undefined {
    return this.#declared.get(name) ?? this.#globals.args.get(name);
  }

  declare(arg: GlobalArg): void {
    this.#declared.set(arg.declaration.name, arg);
  }

  /** The first step that asks for a secret counts. */
  addMount(mount: RunMount, instruction: RunInstruction): void {
    const uses = mount.type === 'secret' ? this.secrets : mount.type === 'ssh' ? this.ssh : undefined;
    if (!uses || mount.id === undefined || uses.has(mount.id)) return;
    uses.set(mount.id, { required: mount.required, instruction });
  }

  /** The ARGs in use, with those that their defaults use. */
  allUsed(): Set<string> {
    const used = new Set(this.usedArgs);
    for (const name of used) for (const more of this.arg(name)?.uses ?? []) used.add(more);
    return used;
  }
}
