/** Numbers and names the steps of one stage as BuildKit does: `[build  2/10] RUN make`. */
export class StepNames {
  readonly #stage: string;
  readonly #total: number;
  #index = 0;

  /** STAGE: '' where the Dockerfile has one stage only. TOTAL: steps of the stage, its base image included. */
  constructor(stage: string, total: number) {
    this.#stage = stage;
    this.#total = total;
  }

  next(text: string): string {
    if (this.#total === 0) return text;
    this.#index++;
    const width = Math.floor(1 + Math.log10(this.#total));
    const stage = this.#stage === '' ? '' : `${this.#stage} `;
    return `[${stage}${String(this.#index).padStart(width)}/${this.#total}] ${text}`;
  }
}
