import type { Digest } from '@strake/core';

/** What a step's key is made of, besides the identities of its inputs. Canonical JSON of it is digested, and kept to explain misses. */
export interface KeyParts {
  /** The operation: everything that decides the result and does not come from an input. Versioned by its maker. */
  readonly operation: Readonly<Record<string, unknown>>;
  /** Content from outside the graph (files of a context, downloads): name to digest. */
  readonly content?: Readonly<Record<string, Digest>> | undefined;
}

/** An edge of the graph. */
export interface Input<R> {
  readonly vertex: Vertex<R>;
  /**
   * Where the step reads only a part of the input's result: that part's content stands in the key instead of the input's
   * identity, so that an input that was built anew with the same content does not matter.
   */
  readonly content?:
    | {
        /** What is selected, as canonical JSON; names the remembered digest together with the input's identity. */
        readonly selector: unknown;
        digest(result: R, signal: AbortSignal): Promise<Digest>;
      }
    | undefined;
}

/** What a key may be made with. */
export interface KeyContext<R> {
  /**
   * The inputs' results, where nothing must run for them: work of the step that gives its key, too, can then be done once for both.
   * Undefined where an input is still to be made.
   */
  inputs(): Promise<readonly R[] | undefined>;
}

/** What a running vertex is given. */
export interface RunContext {
  readonly signal: AbortSignal;
  /** The key under which the result will be recorded. */
  readonly key: Digest;
}

/**
 * A node of the build graph. The solver knows nothing of what it does.
 *
 * `caching`: `use` looks for a record first; `renew` runs in any case and records the new result under a new identity, so that
 * everything behind it is found only where it was built from this very result; `none` is free to run and is never recorded.
 */
export interface Vertex<R> {
  /** Unique within the graph. */
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly inputs: readonly Input<R>[];
  readonly caching: 'use' | 'renew' | 'none';
  /** Whether `key` asks other machines. A plan does without. */
  readonly online?: boolean | undefined;
  /** CONTEXT: where the vertex is about to be solved, not in a plan. */
  key(signal: AbortSignal, context?: KeyContext<R>): KeyParts | Promise<KeyParts>;
  /** Told as soon as it looks as if the vertex must run, before its inputs are made: what it needs can be started. */
  readonly expected?: (() => void) | undefined;
  /** Inputs' results in the order of `inputs`. */
  run(inputs: readonly R[], context: RunContext): Promise<R>;
}

/** A remembered result (`cache/` in the store). */
export interface CacheRecord {
  readonly version: 1;
  /** Stands for the result in the keys of the steps behind it. */
  readonly identity: Digest;
  /** When the step ran; milliseconds since 1970. */
  readonly created: number;
  /** How long it ran; milliseconds. */
  readonly duration: number;
  readonly name: string;
  readonly parts: RecordedParts;
  /** What the codec made of the result. */
  readonly result: unknown;
}

/** The parts of a key as a record keeps them. */
export interface RecordedParts extends KeyParts {
  /** Identity of each input, or the digest of the selected content. */
  readonly inputs: readonly Digest[];
}

/** Where records are kept. The store's RecordStore fits. */
export interface RecordAccess {
  get<T>(key: Digest): Promise<T | undefined>;
  touch(key: Digest): void;
  put(key: Digest, record: unknown): Promise<void>;
}

/** Turns results into JSON and back. */
export interface ResultCodec<R> {
  /** May wait for work that goes on behind a result that was already handed on. */
  save(result: R): Promise<unknown>;
  /** Undefined where what the record speaks of is no longer there. */
  load(value: unknown): Promise<R | undefined>;
}

/** Why a vertex had to run. */
export type MissReason = 'no-record' | 'renewed' | 'result-gone' | 'not-cacheable';

/** A solved vertex. */
export interface Solved<R> {
  readonly result: R;
  readonly key: Digest;
  readonly identity: Digest;
  readonly cached: boolean;
  readonly reason: MissReason | undefined;
  readonly parts: RecordedParts;
  /** When the result was made; milliseconds since 1970. */
  readonly created: number;
  /** Milliseconds; of the original run where cached. */
  readonly duration: number;
}

/** Called as vertices go through their states. Must not throw. */
export interface SolverHooks<R> {
  started?(vertex: Vertex<R>): void;
  cached?(vertex: Vertex<R>, key: Digest): void;
  finished?(vertex: Vertex<R>, error?: unknown): void;
}

export interface SolverOptions<R> {
  readonly records: RecordAccess;
  readonly codec: ResultCodec<R>;
  /** Vertices that run at once. */
  readonly parallelism: number;
  readonly signal: AbortSignal;
  readonly hooks?: SolverHooks<R> | undefined;
  /** Held while a key's step runs, so that two processes do not run it at once. */
  readonly lock?: ((key: Digest, signal: AbortSignal) => Promise<{ release(): Promise<void> }>) | undefined;
  /** Milliseconds since 1970; for tests. */
  readonly now?: (() => number) | undefined;
}
