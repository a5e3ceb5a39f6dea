import { viewOfBytes, type Digest } from '@strake/core';

/** Selections that are kept of one context; builds of several Dockerfiles may take turns on it. */
const MOST = 8;
const HEAD = 40;

/** Entries whose facts are digested together: where few changed, the others need not be looked at again. */
export const BLOCK = 512;
const DIGEST = 32;

/** What was selected of a context: rows of its table, in order, and what their facts and contents come to. */
export interface RememberedSelection {
  readonly rows: Uint32Array;
  readonly digest: Digest;
  /** The 32 bytes that each {@link BLOCK} of them comes to. */
  readonly blocks: Buffer;
}

/** What a tree remembers of one way to select from it. */
export interface SelectionMemory {
  /** What was selected last when this was asked for, by numbers of entries as they were, whatever became of them. */
  readonly last: RememberedSelection | undefined;
  /** What was selected when a layer was written of it last: builds that were cancelled may have come in between. */
  readonly written: RememberedSelection | undefined;
  /** Remembers for later builds what was selected: numbers of entries, and what they came to. */
  remember(selection: RememberedSelection): void;
  /** Takes note that a layer was written of what was selected last. */
  settle(): void;
}

/**
 * What earlier builds selected of a context, by how they selected it. In the table's file each is: bytes of its name u32, count of
 * rows u32, digest 32, name, rows u32, blocks.
 */
export class RememberedSelections {
  readonly #loaded = new Map<string, RememberedSelection>();
  readonly #used = new Map<string, RememberedSelection>();
  readonly #written = new Map<string, RememberedSelection>();

  /** BYTES: as {@link bytes} made them; ROWS: of the table. Damaged ones count as none. */
  constructor(bytes: Buffer, rows: number) {
    const view = viewOfBytes(bytes);
    for (let at = 0; at + HEAD <= bytes.length;) {
      const nameLength = view.getUint32(at, true);
      const count = view.getUint32(at + 4, true);
      const digest: Digest = `sha256:${bytes.toString('hex', at + 8, at + HEAD)}`;
      const start = at + HEAD + nameLength;
      const rowsEnd = start + count * 4;
      const end = rowsEnd + Math.ceil(count / BLOCK) * DIGEST;
      if (end > bytes.length) return;
      const numbers = new Uint32Array(count);
      for (let i = 0; i < count; i++) numbers[i] = view.getUint32(start + i * 4, true);
      if (numbers.every((row) => row < rows)) {
        this.#loaded.set(bytes.toString('utf8', at + HEAD, start), {
          rows: numbers,
          digest,
          blocks: bytes.subarray(rowsEnd, end),
        });
      }
      at = end;
    }
  }

  /** What is remembered under NAME. ONNEW hears of what there is to be written. */
  of(name: string, onNew: () => void): SelectionMemory {
    const last = (): RememberedSelection | undefined => this.#used.get(name) ?? this.#loaded.get(name);
    return {
      last: last(),
      // Of other processes only the last build is known.
      written: this.#written.get(name) ?? this.#loaded.get(name),
      remember: (selection) => {
        if (!isSame(last(), selection)) onNew();
        this.#used.set(name, selection);
      },
      settle: () => {
        const selection = last();
        if (selection) this.#written.set(name, selection);
      },
    };
  }

  /** For the next build, those of this one first. PLACES: where each row will be, -1 where it will not be: such a selection goes. */
  bytes(places: Int32Array): Buffer {
    const all = new Map([...this.#used, ...[...this.#loaded].filter(([name]) => !this.#used.has(name))]);
    const parts: Buffer[] = [];
    for (const [name, { rows, digest, blocks }] of [...all].slice(0, MOST)) {
      if (rows.some((row) => (places[row] ?? -1) < 0)) continue;
      const named = Buffer.from(name, 'utf8');
      const part = Buffer.allocUnsafe(HEAD + named.length + rows.length * 4 + blocks.length);
      const view = viewOfBytes(part);
      view.setUint32(0, named.length, true);
      view.setUint32(4, rows.length, true);
      part.write(digest.slice(7), 8, 'hex');
      part.set(named, HEAD);
      rows.forEach((row, i) => view.setUint32(HEAD + named.length + i * 4, places[row] as number, true));
      part.set(blocks, part.length - blocks.length);
      parts.push(part);
    }
    return Buffer.concat(parts);
  }
}

/** A row stands for one state of a file, so the same rows come to the same and need not be written again. */
function isSame(known: RememberedSelection | undefined, { rows, digest }: RememberedSelection): boolean {
  const same = known?.digest === digest && known.rows.length === rows.length;
  return same && known.rows.every((row, i) => row === rows[i]);
}
