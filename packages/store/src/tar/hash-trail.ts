import type { Hash } from 'node:crypto';

/** Bytes between two states at first: 3 ms of hashing. */
const STEP = 4 << 20;
/** Of more states every other one goes. */
const MOST = 64;

interface State {
  readonly position: number;
  readonly hash: Hash;
}

/** What a hash was on its way through a file: a file that begins in the same way need not be hashed from its beginning. */
export class HashTrail {
  #step = STEP;
  #states: State[] = [];

  /** HASH has taken all bytes before POSITION. */
  note(position: number, hash: Hash): void {
    if (position < (this.#states.at(-1)?.position ?? 0) + this.#step) return;
    this.#states.push({ position, hash: hash.copy() });
    if (this.#states.length <= MOST) return;
    this.#step *= 2;
    this.#states = this.#states.filter((_, i) => i % 2 === 1);
  }

  /** The last state at or before POSITION, to go on from; undefined where there is none. */
  before(position: number): State | undefined {
    const state = this.#states.findLast((one) => one.position <= position);
    return state && { position: state.position, hash: state.hash.copy() };
  }

  /** The trail of a file that is the same up to POSITION. */
  upTo(position: number): HashTrail {
    const trail = new HashTrail();
    trail.#step = this.#step;
    trail.#states = this.#states.filter((one) => one.position <= position);
    return trail;
  }
}

/** Trails of the last layers that a thread has written. */
export class HashTrails {
  readonly #most: number;
  readonly #trails = new Map<string, HashTrail>();

  constructor(most: number) {
    this.#most = most;
  }

  get(digest: string): HashTrail | undefined {
    return this.#trails.get(digest);
  }

  set(digest: string, trail: HashTrail | undefined): void {
    if (!trail) return;
    this.#trails.delete(digest);
    this.#trails.set(digest, trail);
    for (const oldest of this.#trails.keys()) {
      if (this.#trails.size <= this.#most) break;
      this.#trails.delete(oldest);
    }
  }
}
