import { isStrakeError, type StrakeError } from '@strake/core';

import { builderError } from '../errors.js';
import { HttpTimeout, ProxyRefusal } from './http-request.js';

const WHY: Readonly<Record<string, string>> = {
  EAI_AGAIN: 'its host name cannot be looked up now',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection broke before all of it had come',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  ENOTFOUND: 'its host name is not known',
  EPIPE: 'the connection broke',
  EPROTO: 'it does not speak TLS',
  ETIMEDOUT: 'no connection in time',
};
const NETWORK = 'Check the address, the network and, where one is needed, the proxy in HTTPS_PROXY and HTTP_PROXY.';

/** An address fit for a message: without user name, password, query and fragment. */
export function displayUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/** A download that cannot be used, as an error. */
export function downloadFailed(url: URL, why: string, hint: string = NETWORK, cause?: unknown): StrakeError {
  return builderError('DOWNLOAD_FAILED', `cannot download ${displayUrl(url)}: ${why}`, { hint, cause });
}

/** What went wrong below HTTP, as an error. A StrakeError stays what it is. */
export function networkFailure(url: URL, error: unknown): StrakeError {
  if (isStrakeError(error)) return error;
  if (error instanceof HttpTimeout || error instanceof ProxyRefusal) {
    return downloadFailed(url, error.message, NETWORK, error);
  }
  const code = codeOf(error);
  if (/CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|ALTNAME|INVALID_CA/.test(code)) {
    const hint = 'Name the file of its certificate authority in NODE_EXTRA_CA_CERTS.';
    return downloadFailed(url, `its certificate is not trusted (${code})`, hint, error);
  }
  if (code.startsWith('HPE_') || code === 'ERR_ASSERTION')
    return downloadFailed(url, `what it sends is not HTTP (${code})`, NETWORK, error);
  if (code.startsWith('ERR_SSL')) return downloadFailed(url, 'it does not speak TLS', NETWORK, error);
  return downloadFailed(url, WHY[code] ?? (code === '' ? 'the connection failed' : code), NETWORK, error);
}

/** Node's code of an error, looked for in its causes and parts, too. */
function codeOf(error: unknown): string {
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    if (e instanceof AggregateError && e.errors.length > 0) return codeOf(e.errors[0]);
    if ('code' in e && typeof e.code === 'string') return e.code;
  }
  return '';
}
