import { StrakeError } from '@strake/core';
import { failureOf } from './answers.js';
import { registryError } from './errors.js';
import { isPrivateAddress, isThisMachine, sameHostname } from './hosts.js';
import { networkFailure } from './network-failure.js';
import { displayUrl } from './redact.js';
import { withRetries, type RetryPolicy } from './retry.js';
import { formatScopes, type Scopes } from './scope.js';
import { discard, readCapped, type HttpRequest, type HttpResponse, type Transport } from './transport.js';
import type { Credentials } from './types.js';

const MAX_TOKEN_BODY = 64 * 1024;
/** A token without a lifetime lives this long, and none counts as shorter (docker's token specification). Seconds. */
const SHORTEST_LIFETIME = 60;
const CLIENT_ID = 'strake';

/** A bearer token. Times in milliseconds since 1970. */
export interface Token {
  readonly value: string;
  readonly expires: number;
  readonly scopes: Scopes;
  /** For the next exchange, where the service gave one. */
  readonly refreshToken?: string | undefined;
}

export interface TokenRequest {
  readonly registry: string;
  /** The registry's own address, which the realm is judged by. */
  readonly base: URL;
  readonly insecure: boolean;
  readonly realm: string;
  readonly service: string | undefined;
  readonly scopes: Scopes;
  readonly credentials: Credentials | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Whether a token service may be asked at REALM: at an https address that is no literal of a private network, or at the
 * host of the registry itself (over http only where the registry is spoken to over http); 127.0.0.1, ::1 and localhost are one. Anything else could be an attempt to have credentials sent, or a request made, where nobody meant it.
 * @throws StrakeError `REGISTRY_ERROR`
 */
export function checkRealm(registry: string, base: URL, realm: string): URL {
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  const refuse = (why: string): never => {
    throw registryError(
      registry,
      `it asks to log in (401 Unauthorized) at the realm ${url ? displayUrl(url) : 'of an invalid address'}, ${why}`,
      'Nothing was sent there. The registry is misconfigured, or not what it seems to be.',
    );
  };
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) return refuse('which is no web address');
  if (url.username !== '' || url.password !== '') return refuse('an address with a user name in it');
  const ours = sameHostname(url, base) || (isThisMachine(url.hostname) && isThisMachine(base.hostname));
  if (url.protocol === 'http:' && !(ours && base.protocol === 'http:')) return refuse('which is not encrypted');
  if (!ours && isPrivateAddress(url.hostname)) return refuse('which is an address of a private network');
  return url;
}

/**
 * Gets a token (docker's token and OAuth2 specifications): by the refresh token where there is one, else by name and
 * password, else anonymously.
 * @throws StrakeError `REGISTRY_UNAUTHORIZED`, `REGISTRY_DENIED`, `REGISTRY_UNREACHABLE`, `REGISTRY_ERROR`
 */
export async function fetchToken(transport: Transport, policy: RetryPolicy, request: TokenRequest): Promise<Token> {
  const { credentials, registry } = request;
  const realm = checkRealm(registry, request.base, request.realm);
  const send = async (url: URL, fields: Pick<HttpRequest, 'method' | 'headers' | 'body'>): Promise<HttpResponse> => {
    try {
      return await withRetries(policy, request.signal, discard, () =>
        transport.request({
          ...fields,
          url,
          signal: request.signal,
          // Certificates go unchecked only at the host that the user declared insecure.
          insecure: request.insecure && sameHostname(url, request.base),
        }),
      );
    } catch (error) {
      throw networkFailure(registry, error, transport.proxied(url));
    }
  };

  let response: HttpResponse | undefined;
  if (credentials?.identityToken !== undefined) {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      service: request.service ?? '',
      client_id: CLIENT_ID,
      scope: formatScopes(request.scopes).join(' '),
      refresh_token: credentials.identityToken,
    });
    response = await send(realm, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
      body: form.toString(),
    });
    const passwordLeft = credentials.username !== undefined && credentials.password !== undefined;
    if (response.status === 404 || (response.status !== 200 && passwordLeft)) {
      await discard(response);
      response = undefined;
    }
  }
  response ??= await getToken(realm, request, send);
  if (response.status !== 200) {
    throw await failureOf(response, {
      registry,
      action: 'log in',
      anonymous: credentials === undefined,
      secrets: [credentials?.password, credentials?.identityToken],
      signal: request.signal,
    });
  }
  return readToken(response, request);
}

async function getToken(
  realm: URL,
  request: TokenRequest,
  send: (url: URL, fields: Pick<HttpRequest, 'method' | 'headers'>) => Promise<HttpResponse>,
): Promise<HttpResponse> {
  const { credentials } = request;
  const query = [
    ...(request.service === undefined ? [] : [`service=${encodeURIComponent(request.service)}`]),
    ...formatScopes(request.scopes).map((scope) => `scope=${encodeURIComponent(scope)}`),
    ...(credentials?.username === undefined ? [] : [`account=${encodeURIComponent(credentials.username)}`]),
  ].join('&');
  let url = new URL(
    realm.href.replace(/#.*$/, '') + (query === '' ? '' : `${realm.search === '' ? '?' : '&'}${query}`),
  );
  let authorization = basicAuthorization(credentials);
  for (let hop = 0; ; hop++) {
    const response = await send(url, {
      method: 'GET',
      headers: { accept: 'application/json', ...(authorization === undefined ? {} : { authorization }) },
    });
    const location = response.header('location');
    if (response.status < 301 || response.status > 308 || location === undefined || hop === 3) return response;
    await discard(response);
    const next = checkRealm(
      request.registry,
      request.base,
      URL.canParse(location, url.href) ? new URL(location, url).href : '',
    );
    if (next.origin !== url.origin) authorization = undefined;
    url = next;
  }
}

async function readToken(response: HttpResponse, request: TokenRequest): Promise<Token> {
  const invalid = (): StrakeError => registryError(request.registry, 'its token service sent no valid token');
  let body: unknown;
  try {
    body = JSON.parse((await readCapped(response, MAX_TOKEN_BODY, request.signal)).toString('utf8'));
  } catch (error) {
    if (error instanceof StrakeError) throw error;
    throw invalid();
  }
  if (body === null || typeof body !== 'object') throw invalid();
  const fields = body as Record<string, unknown>;
  const text = (name: string): string | undefined => {
    const value = fields[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const value = text('token') ?? text('access_token');
  // What is no visible ASCII would end up as another header.
  if (value === undefined || !/^[\x21-\x7e]+$/.test(value)) throw invalid();
  const seconds = typeof fields['expires_in'] === 'number' && fields['expires_in'] > 0 ? fields['expires_in'] : 0;
  const lifetime = Math.min(Math.max(seconds, SHORTEST_LIFETIME), 24 * 3600);
  return {
    value,
    expires: Date.now() + lifetime * 1000,
    scopes: request.scopes,
    refreshToken: text('refresh_token'),
  };
}

/** The Authorization header of RFC 7617 for name and password, undefined where there is no password. */
export function basicAuthorization(credentials: Credentials | undefined): string | undefined {
  if (credentials?.username === undefined || credentials.password === undefined) return undefined;
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`, 'utf8').toString('base64')}`;
}
