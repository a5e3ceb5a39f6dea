import { type StrakeError, type ImageReference } from '@strake/core';
import { imageNotFound, rateLimited, registryDenied, registryError, registryUnauthorized } from './errors.js';
import { redact } from './redact.js';
import { retryAfter } from './retry.js';
import { readCapped, type HttpResponse } from './transport.js';

const MAX_ERROR_BODY = 64 * 1024;

/** What an unsuccessful answer is told with. */
export interface AnswerContext {
  readonly registry: string;
  /** Completes "you are not allowed to …": `pull docker.io/library/node`. */
  readonly action: string;
  /** Whether the request was made without credentials. */
  readonly anonymous: boolean;
  readonly secrets?: readonly (string | undefined)[];
  readonly reference?: ImageReference;
  readonly signal?: AbortSignal | undefined;
}

/** The errors of an error body (OCI distribution-spec, "Error Codes"). */
export interface ReportedErrors {
  readonly codes: readonly string[];
  /** Codes and messages as one redacted line, empty where the body says nothing. */
  readonly detail: string;
}

/** Reads an error body: at most 64 KiB, and whatever it may hold. */
export async function readErrors(
  response: HttpResponse,
  secrets: readonly (string | undefined)[] = [],
  signal?: AbortSignal,
): Promise<ReportedErrors> {
  const text = (await readCapped(response, MAX_ERROR_BODY, signal)).toString('utf8');
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { codes: [], detail: '' };
  }
  const object = parsed !== null && typeof parsed === 'object' ? (parsed as Record<string, unknown>) : {};
  const list = Array.isArray(object['errors']) ? object['errors'].slice(0, 5) : [object];
  const codes: string[] = [];
  const lines: string[] = [];
  for (const entry of list as unknown[]) {
    const error = entry !== null && typeof entry === 'object' ? (entry as Record<string, unknown>) : {};
    const code = typeof error['code'] === 'string' && /^[A-Z_]{1,64}$/.test(error['code']) ? error['code'] : undefined;
    if (code !== undefined) codes.push(code);
    const message = [error['message'], error['details'], error['error_description'], error['error']].find(
      (value) => typeof value === 'string' && value !== '',
    ) as string | undefined;
    const line = [code, message === undefined ? undefined : redact(message, secrets)].filter(Boolean).join(' ');
    if (line !== '') lines.push(line);
  }
  return { codes, detail: lines.join('; ') };
}

/** The StrakeError for an answer that is no success. Reads its body. */
export async function failureOf(response: HttpResponse, context: AnswerContext): Promise<StrakeError> {
  const { registry, action, anonymous } = context;
  const challenge = response.header('www-authenticate') ?? '';
  const wait = retryAfter(response.header('retry-after'));
  const { codes, detail } = await readErrors(response, context.secrets, context.signal);
  const status = response.status;
  if (status === 429 || codes.includes('TOOMANYREQUESTS')) {
    return rateLimited(registry, anonymous, detail, wait === undefined ? undefined : Math.ceil(wait / 1000));
  }
  const denied = status === 403 || codes.includes('DENIED') || /error="?insufficient_scope/.test(challenge);
  if (denied && !(anonymous && status === 401)) return registryDenied(registry, action, detail);
  if (status === 401) return registryUnauthorized(registry, action, detail, anonymous);
  if (status === 404 && context.reference) return imageNotFound(context.reference, detail);
  return registryError(
    registry,
    `HTTP status ${status} to the attempt to ${action}${detail === '' ? '' : `: ${detail}`}`,
    status >= 500 ? 'The registry has a problem of its own. Try again later.' : undefined,
  );
}
