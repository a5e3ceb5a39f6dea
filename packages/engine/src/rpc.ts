import { StrakeError, type StrakeErrorFields } from '@strake/core';

import type { AgentSetup } from './agent-protocol.js';

/** What crosses the channel between the builder's process and the agent. */
export type RpcMessage =
  /** What the agent is for: before anything else. */
  | { readonly kind: 'setup'; readonly setup: AgentSetup }
  | { readonly kind: 'call'; readonly id: number; readonly method: string; readonly args: unknown }
  /** `force`: at once, where an abort before has given it time. */
  | { readonly kind: 'abort'; readonly id: number; readonly force?: boolean }
  /** The container of a `run` call is being started. */
  | { readonly kind: 'started'; readonly id: number }
  | { readonly kind: 'output'; readonly id: number; readonly stream: 'stdout' | 'stderr'; readonly data: Uint8Array }
  | { readonly kind: 'done'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PlainError };

/** An error as data. */
export interface PlainError {
  readonly fields?: StrakeErrorFields | undefined;
  readonly message: string;
  readonly code?: string | undefined;
  readonly stack?: string | undefined;
}

/** ERROR as data that the structured clone algorithm takes. */
export function plainError(error: unknown): PlainError {
  if (error instanceof StrakeError) return { fields: error.toFields(), message: error.message };
  if (!(error instanceof Error)) return { message: String(error) };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return { message: error.message, code, stack: error.stack };
}

/** The error that {@link plainError} was made of. */
export function revivedError({ fields, message, code, stack }: PlainError): Error {
  if (fields) return new StrakeError(fields);
  return Object.assign(new Error(message), { stack }, code === undefined ? {} : { code });
}
