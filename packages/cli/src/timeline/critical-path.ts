/** What is to be known of a step to find the critical path. Times in milliseconds. */
export interface TimedStep {
  readonly id: string;
  readonly inputs: readonly string[];
  readonly start: number;
  readonly end: number;
  /** Whether it took time: neither cached nor still waiting. */
  readonly ran: boolean;
}

/**
 * The steps that the build's time was made of: back from what ended last, each time to what was waited for longest. A step that
 * names no inputs, an export, waited for what ended last before it.
 */
export function criticalPath(steps: readonly TimedStep[]): ReadonlySet<string> {
  const ran = steps.filter(({ ran: took }) => took);
  const byId = new Map(steps.map((step) => [step.id, step]));
  const inputIds = new Set(steps.flatMap(({ inputs }) => inputs));
  const found = new Set<string>();
  /** What ran among the inputs of STEP, through those that did not. */
  const waitedFor = (step: TimedStep): TimedStep[] => {
    const seen = new Set<string>();
    const out: TimedStep[] = [];
    const waiting = [...step.inputs];
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      const input = byId.get(id);
      if (!input || seen.has(id)) continue;
      seen.add(id);
      if (input.ran) out.push(input);
      else waiting.push(...input.inputs);
    }
    if (step.inputs.length > 0 || inputIds.has(step.id)) return out;
    return ran.filter((other) => other !== step && other.start < step.start && other.end <= step.start);
  };
  const latest = (some: readonly TimedStep[], until: number): TimedStep | undefined =>
    some.reduce<TimedStep | undefined>((best, step) => {
      if (found.has(step.id)) return best;
      const [a, b] = [Math.min(step.end, until), best ? Math.min(best.end, until) : -Infinity];
      return a > b || (a === b && step.start > (best?.start ?? 0)) ? step : best;
    }, undefined);
  for (let step = latest(ran, Infinity); step; step = latest(waitedFor(step), step.start)) found.add(step.id);
  return found;
}
