import type { GlobalArg, GlobalScope } from './global-args.js';
import type { RunInstruction, RunMount } from './types.js';

/** A secret or an agent that a step asks for. */
export interface MountUse {
  readonly required: boolean;
  readonly instruction: RunInstruction;
}

/** What of a stage is of interest to `--call=outline`. A stage begins with what the stage below it knows. */
export class OutlineCapture {
  readonly args: Map<string, GlobalArg>;
  readonly usedArgs: Set<string>;
  readonly secrets: Map<string, MountUse>;
  readonly ssh: Map<string, MountUse>;

  constructor(base: OutlineCapture | undefined, globals: GlobalScope) {
    this.args = new Map(base?.args ?? globals.args);
    this.usedArgs = new Set(base?.usedArgs);
    this.secrets = new Map(base?.secrets);
    this.ssh = new Map(base?.ssh);
  }

  declare(arg: GlobalArg): void {
    this.args.set(arg.declaration.name, arg);
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
    for (const name of used) for (const more of this.args.get(name)?.uses ?? []) used.add(more);
    return used;
  }
}
