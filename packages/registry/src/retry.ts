import { cancelled, throwIfAborted } from '@strake/core';
import { setTimeout as sleep } from 'node:timers/promises';
import { isTransient } from './network-failure.js';
import type { HttpResponse } from './transport.js';

/** When and how long to wait before asking again. Times in milliseconds. */
export interface RetryPolicy {
  /** How often a request is made at most. */
  readonly attempts: number;
  /** The first pause; each further one is three times as long. */
  readonly delay: number;
  /** A longer Retry-After than this is not waited for: the request fails and says when to come again. */
  readonly longestWait: number;
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 3, delay: 1000, longestWait: 60_000 };

const RETRYABLE = new Set([408, 429, 499, 500, 502, 503, 504, 522]);

/** Whether an HTTP status may go away by itself. */
export function isRetryableStatus(status: number): boolean {
  return RETRYABLE.has(status);
}

/** The milliseconds that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or a date), undefined where there is none. */
export function retryAfter(value: string | undefined, now: number = Date.now()): number | undefined {
  if (value === undefined) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value.slice(0, 64));
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** The pause before attempt number ATTEMPT + 1 (from 1), with a tenth of jitter. */
export function backoff(policy: RetryPolicy, attempt: number): number {
  return policy.delay * 3 ** (attempt - 1) * (0.95 + Math.random() * 0.1);
}

/** Waits MS milliseconds, or rejects as soon as SIGNAL aborts. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(signal);
  try {
    await sleep(ms, undefined, signal ? { signal } : {});
  } catch {
    throw cancelled(signal);
  }
}

/**
 * Makes an exchange until it is answered with a status that will not go away by itself, or the policy's attempts are
 * used up: then the last answer is returned as it is, or the last failure of the network thrown. `onDropped` gets
 * each answer that is not returned.
 */
export async function withRetries(
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  onDropped: (response: HttpResponse) => Promise<void>,
  exchange: () => Promise<HttpResponse>,
): Promise<HttpResponse> {
  for (let attempt = 1; ; attempt++) {
    let wait = backoff(policy, attempt);
    try {
      const response = await exchange();
      if (!isRetryableStatus(response.status) || attempt >= policy.attempts) return response;
      wait = Math.max(wait, retryAfter(response.header('retry-after')) ?? 0);
      if (wait > policy.longestWait) return response;
      await onDropped(response);
    } catch (error) {
      if (!isTransient(error) || attempt >= policy.attempts) throw error;
    }
    await pause(wait, signal);
  }
}
