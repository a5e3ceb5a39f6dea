import { runtimeUnavailable } from './errors.js';
import { createExecutor, probeRuntime, candidates, type ProbeOptions, type RuntimeName } from './probe.js';
import type { Capability, Executor } from './types.js';

export interface ChooseOptions extends ProbeOptions {
  /** `auto`: the first that works of crun, runc, the native executor and the chroot one. */
  readonly isolation: 'auto' | Executor['name'];
}

export interface ChosenExecutor {
  readonly executor: Executor;
  readonly runtime: RuntimeName;
  /** Why this one, in one line. */
  readonly reason: string;
  /** What was tried on the way, the chosen one last. */
  readonly tried: readonly Capability[];
}

function kindOf(name: RuntimeName): Executor['name'] {
  return name === 'native' || name === 'chroot' ? name : 'oci';
}

/**
 * The executor to run steps with. Must be called where containers are to be run: see {@link createOciExecutor}.
 * @throws StrakeError `RUNTIME_UNAVAILABLE` where none of those asked for works, with what came of each
 */
export async function chooseExecutor(options: ChooseOptions): Promise<ChosenExecutor> {
  const { isolation } = options;
  const wanted = candidates(options).filter((name) => isolation === 'auto' || isolation === kindOf(name));
  const tried: Capability[] = [];
  for (const name of wanted) {
    const { binary, capability } = await probeRuntime(name, options);
    tried.push(capability);
    if (!capability.available || binary === undefined) continue;
    const passed = tried.slice(0, -1).map((c) => `; not ${c.name}: ${c.detail}`);
    return {
      executor: createExecutor(name, binary, options),
      runtime: name,
      reason: `${capability.detail}${passed.join('')}`,
      tried,
    };
  }
  const details = tried.map((c) => `${c.name}: ${c.detail}`).join('; ');
  const hint = 'Install crun, or run strake where user namespaces are allowed; strake doctor tells more.';
  throw runtimeUnavailable(`steps cannot be run here: ${details}`, hint);
}
