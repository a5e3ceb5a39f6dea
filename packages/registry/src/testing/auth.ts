import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseScopes, coversScopes, formatScopes, type Scopes } from '../scope.js';

/** How a test registry lets clients in. Without a user name everybody may pull, and nobody push. */
export interface TestAuth {
  readonly type: 'basic' | 'bearer';
  readonly username?: string;
  readonly password?: string;
  /** Taken as `refresh_token`. */
  readonly identityToken?: string;
  /** Given out with each token, and taken from then on. */
  readonly newRefreshToken?: string;
  /** Whether everybody may pull. */
  readonly anonymousPull?: boolean;
  /** What is told as `expires_in`. Seconds. */
  readonly lifetime?: number;
  /** The token service's address instead of the test registry's own `/token`. */
  readonly realm?: string;
  /** The name of the token's field instead of `token`. */
  readonly field?: 'token' | 'access_token';
}

/** What a request for a token was made with. */
export interface TokenAsked {
  readonly method: string;
  readonly scopes: readonly string[];
  readonly service: string | undefined;
  readonly authorization: string | undefined;
  readonly form: URLSearchParams | undefined;
}

/** The access control of a test registry, its token service included. */
export class TestGuard {
  readonly asked: TokenAsked[] = [];
  readonly #auth: TestAuth | undefined;
  #tokens = new Map<string, Scopes>();

  constructor(auth: TestAuth | undefined) {
    this.#auth = auth;
  }

  /** Makes all tokens that were given out invalid, as when they expire. */
  revoke(): void {
    this.#tokens = new Map();
  }

  /** Whether a request may go on; where not, it is answered. NEEDED is undefined for `GET /v2/`. */
  admit(request: IncomingMessage, response: ServerResponse, needed: Scopes | undefined): boolean {
    const auth = this.#auth;
    if (!auth) return true;
    const given = request.headers.authorization;
    const scope = needed ? formatScopes(needed).join(' ') : '';
    let challenge: string;
    if (auth.type === 'basic') {
      const pull = needed && coversScopes(new Map([...needed].map(([name]) => [name, new Set(['pull'])])), needed);
      if (given === this.#basic() || (pull && auth.anonymousPull)) return true;
      challenge = 'Basic realm="test"';
    } else {
      const granted = this.#tokens.get(given?.replace(/^Bearer /, '') ?? '');
      if (granted && (!needed || coversScopes(granted, needed))) return true;
      const realm = auth.realm ?? `http://${request.headers.host ?? ''}/token`;
      challenge = `Bearer realm="${realm}",service="test registry"${scope === '' ? '' : `,scope="${scope}"`}`;
      if (granted) challenge += ',error="insufficient_scope"';
    }
    const errors = [{ code: 'UNAUTHORIZED', message: 'authentication required' }];
    response.writeHead(401, { 'www-authenticate': challenge, 'content-type': 'application/json' });
    response.end(JSON.stringify({ errors }));
    request.resume();
    return false;
  }

  /** Answers `/token`. */
  token(request: IncomingMessage, response: ServerResponse, url: URL, body: string): void {
    const auth = this.#auth;
    const form = request.method === 'POST' ? new URLSearchParams(body) : undefined;
    const asked = form ?? url.searchParams;
    const scopes = asked.getAll('scope').flatMap((scope) => scope.split(' '));
    const { authorization } = request.headers;
    const service = asked.get('service') ?? undefined;
    this.asked.push({ method: request.method ?? '', scopes, service, authorization, form });
    const refresh = form?.get('refresh_token') ?? undefined;
    const known = refresh !== undefined && (refresh === auth?.identityToken || refresh === auth?.newRefreshToken);
    const trusted = known || (authorization !== undefined && authorization === this.#basic());
    if (!auth || (refresh !== undefined && !known) || (authorization !== undefined && !trusted)) {
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'incorrect username or password' }] }));
      return;
    }
    const granted = new Map<string, Set<string>>();
    for (const [resource, actions] of parseScopes(scopes.join(' '))) {
      if (trusted) granted.set(resource, new Set(actions));
      else if (auth.anonymousPull && actions.has('pull')) granted.set(resource, new Set(['pull']));
    }
    const value = randomBytes(16).toString('hex');
    this.#tokens.set(value, granted);
    response.writeHead(200, { 'content-type': 'application/json' });
    const more = auth.newRefreshToken === undefined ? {} : { refresh_token: auth.newRefreshToken };
    response.end(JSON.stringify({ [auth.field ?? 'token']: value, expires_in: auth.lifetime ?? 300, ...more }));
  }

  #basic(): string | undefined {
    const { username, password } = this.#auth ?? {};
    if (username === undefined) return undefined;
    return `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`;
  }
}
