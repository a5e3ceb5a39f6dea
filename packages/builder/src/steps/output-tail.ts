/** The last bytes of a step's output, for its error. */
export class OutputTail {
  static readonly #LIMIT = 8192;
  #chunks: Uint8Array[] = [];
  #size = 0;

  add(data: Uint8Array): void {
    this.#chunks.push(data);
    this.#size += data.length;
    while (this.#chunks.length > 1 && this.#size - (this.#chunks[0]?.length ?? 0) > OutputTail.#LIMIT) {
      this.#size -= this.#chunks.shift()?.length ?? 0;
    }
  }

  /** The tail as text, whole lines where there are several. */
  text(): string {
    const all = Buffer.concat(this.#chunks);
    const cut = all.subarray(Math.max(0, all.length - OutputTail.#LIMIT)).toString('utf8');
    return cut.length < all.length ? cut.slice(cut.indexOf('\n') + 1) : cut;
  }
}
