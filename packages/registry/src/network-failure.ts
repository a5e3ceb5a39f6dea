import { StrakeError } from '@strake/core';
import { registryUnreachable } from './errors.js';
import { redact } from './redact.js';

const RESET = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'UND_ERR_SOCKET', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH']);
const CERTIFICATE =
  /CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH|INVALID_CA/;

/** Node's or undici's code of an error, looked for in its causes, too. */
export function codeOf(error: unknown): string {
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    if ('code' in e && typeof e.code === 'string') return e.code;
    if (e instanceof AggregateError) {
      const inner = codeOf(e.errors[0]);
      if (inner !== '') return inner;
    }
  }
  return '';
}

/** Whether a failed exchange may succeed when it is made again: the connection broke, as opposed to never having worked. */
export function isTransient(error: unknown): boolean {
  const code = codeOf(error);
  return (
    RESET.has(code) || code === 'EAI_AGAIN' || code === 'UND_ERR_BODY_TIMEOUT' || code.startsWith('HPE_INVALID_EOF')
  );
}

/** Whether a connection failed over the peer's certificate. */
export function isCertificateProblem(error: unknown): boolean {
  return CERTIFICATE.test(codeOf(error));
}

function explain(error: unknown, proxied: boolean): readonly [why: string, hint: string] {
  const code = codeOf(error);
  const text = error instanceof Error ? redact(error.message) : 'unknown error';
  const network = proxied
    ? 'Check the proxy in HTTPS_PROXY and HTTP_PROXY; NO_PROXY lists the hosts that need none.'
    : 'Check the network and, where one is needed, the proxy in HTTPS_PROXY.';
  if (/Proxy (?:response|Auth)/i.test(text)) return [`the proxy refused: ${text}`, network];
  if (proxied && ['ECONNREFUSED', 'ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT'].includes(code)) {
    return [`the proxy cannot be reached (${code})`, network];
  }
  if (code === 'ECONNREFUSED')
    return ['connection refused', 'Check the host and its port, and whether the registry is running.'];
  if (code === 'ENOTFOUND') return ['its host name is not known', `Check the spelling. ${network}`];
  if (code === 'EAI_AGAIN') return ['its host name cannot be looked up now', network];
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT') return ['no connection in time', network];
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return ['it did not answer in time', network];
  if (code === 'UND_ERR_BODY_TIMEOUT') return ['it stopped sending', network];
  if (code === 'DAWDLING') return [text, network];
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return ['there is no route to it', network];
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'EPROTO' || code.startsWith('ERR_SSL')) {
    return [
      'it does not speak TLS',
      'A registry without https must be declared with --insecure-registry (loopback addresses need no declaration).',
    ];
  }
  if (isCertificateProblem(error)) {
    return [
      `its certificate is not trusted (${code})`,
      'Name the file of its certificate authority in NODE_EXTRA_CA_CERTS, or declare the registry with --insecure-registry.',
    ];
  }
  if (RESET.has(code)) return ['the connection broke: unexpected end of what it sent', network];
  if (
    code.startsWith('HPE_') ||
    code === 'ERR_ASSERTION' || // undici's parser, of a status below 100
    (error instanceof Error && error.name === 'HTTPParserError') ||
    code.startsWith('UND_ERR_HEADERS_OVERFLOW')
  ) {
    return ['what it sends is not HTTP', 'Check the host and the port.'];
  }
  return [code === '' ? text : `${text} (${code})`, network];
}

/** The error that a failure below HTTP is told as. A StrakeError stays what it is. */
export function networkFailure(registry: string, error: unknown, proxied = false): StrakeError {
  if (error instanceof StrakeError) return error;
  const [why, hint] = explain(error, proxied);
  return registryUnreachable(registry, why, hint, error);
}
