const PER_PAGE = 4096;
/** Numbers of a path: its entry, the address of its key, the key's length with type and flags. */
const WORDS = 3;

/** The paths of an index that is being made, 12 bytes each: half a million objects would take four times as much. */
export class MergedPaths {
  readonly #pages: Int32Array[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** ENTRY: the entry that won, or -1 for an implied folder. KEY: its address in the heap. Returns the path's number. */
  add(entry: number, key: number, keyLength: number, type: number, flags: number): number {
    const number = this.#count++;
    if (number % PER_PAGE === 0) this.#pages.push(new Int32Array(PER_PAGE * WORDS));
    this.#set(number, 0, entry);
    this.#set(number, 1, key);
    this.#set(number, 2, (keyLength << 16) | (type << 8) | flags);
    return number;
  }

  #get(number: number, word: number): number {
    return this.#pages[Math.floor(number / PER_PAGE)]?.[(number % PER_PAGE) * WORDS + word] ?? 0;
  }

  #set(number: number, word: number, value: number): void {
    (this.#pages[Math.floor(number / PER_PAGE)] as Int32Array)[(number % PER_PAGE) * WORDS + word] = value;
  }

  entry(number: number): number {
    return this.#get(number, 0);
  }

  setEntry(number: number, entry: number): void {
    this.#set(number, 0, entry);
  }

  /** Address of the key in the heap. */
  key(number: number): number {
    return this.#get(number, 1) >>> 0;
  }

  keyLength(number: number): number {
    return this.#get(number, 2) >>> 16;
  }

  type(number: number): number {
    return (this.#get(number, 2) >>> 8) & 0xff;
  }

  setType(number: number, type: number): void {
    this.#set(number, 2, (this.#get(number, 2) & ~0xff00) | (type << 8));
  }

  flags(number: number): number {
    return this.#get(number, 2) & 0xff;
  }

  setFlags(number: number, flags: number): void {
    this.#set(number, 2, (this.#get(number, 2) & ~0xff) | flags);
  }
}
