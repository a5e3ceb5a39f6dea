const MAX_TEXT = 500;

/**
 * Text of a registry made fit for a message: credentials, tokens and the query strings and user names of addresses are
 * blacked out, control characters go, and at most 500 characters stay. SECRETS are removed wherever they occur.
 */
export function redact(text: string, secrets: Iterable<string | undefined> = []): string {
  let out = text.slice(0, 64 * 1024);
  for (const secret of secrets) if (secret !== undefined && secret.length >= 4) out = out.replaceAll(secret, '***');
  out = out
    .replace(/\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@"'<>]{1,512}@/gi, '$1***@')
    .replace(/(\bhttps?:\/\/[^\s?"'<>]{1,2048})\?[^\s"'<>]*/gi, '$1?***')
    .replace(/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, '$1 ***')
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim();
  if (out.length > MAX_TEXT) out = `${out.slice(0, MAX_TEXT)}…`;
  return out;
}

/** An address without its user name, password and query string: all that a message may show of it. */
export function displayUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}${url.search ? '?***' : ''}`;
}
