import { abortable } from '@strake/core';
import { chooseChallenge, parseChallenges, type Challenge } from './challenge.js';
import type { RetryPolicy } from './retry.js';
import { coversScopes, formatScopes, mergeScopes, parseScopes, type Scopes } from './scope.js';
import { basicAuthorization, fetchToken, type Token } from './token.js';
import type { Transport } from './transport.js';
import type { Credentials } from './types.js';

const MAX_TOKENS = 256;
/** A token is renewed this many milliseconds before its end, so that it is still good when it arrives. */
const MARGIN = 10_000;

/** What a request needs to be allowed. */
export interface Need {
  /** The repository that credentials are looked up for. */
  readonly repository: string;
  readonly scopes: Scopes;
}

export interface AuthorizerOptions {
  readonly transport: Transport;
  readonly policy: RetryPolicy;
  readonly registry: string;
  readonly base: URL;
  readonly insecure: boolean;
  readonly lookUp: (repository: string) => Promise<Credentials | undefined>;
}

/** Knows how to be let in at one origin: remembers its challenge, credentials, and tokens by what they allow. */
export class Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #credentials = new Map<string, Promise<Credentials | undefined>>();
  readonly #pending = new Map<string, Promise<Token>>();
  readonly #refreshTokens = new Map<string, string>();
  #tokens: { readonly owner: string; readonly token: Token }[] = [];
  #challenge: Challenge | undefined;
  #secrets: (string | undefined)[] = [];

  constructor(options: AuthorizerOptions) {
    this.#options = options;
  }

  /** What must not appear in a message. */
  get secrets(): readonly (string | undefined)[] {
    return this.#secrets;
  }

  /** Takes note of a WWW-Authenticate header. */
  learn(header: string | undefined): Challenge | undefined {
    const challenge = header === undefined ? undefined : chooseChallenge(parseChallenges(header));
    if (challenge) this.#challenge = challenge;
    return challenge;
  }

  /** Whether requests for a repository are made without credentials. */
  async anonymous(repository: string): Promise<boolean> {
    return this.#challenge === undefined || (await this.#find(repository)) === undefined;
  }

  /**
   * The Authorization header for a request, undefined where none is needed or possible.
   * @throws StrakeError as the token service's answers demand
   */
  async authorization(need: Need, signal?: AbortSignal): Promise<string | undefined> {
    const challenge = this.#challenge;
    if (!challenge) return undefined;
    const credentials = await abortable(this.#find(need.repository), signal);
    if (challenge.scheme === 'basic') return basicAuthorization(credentials);
    if (credentials?.registryToken !== undefined) return `Bearer ${credentials.registryToken}`;
    const token = await this.#token(challenge, credentials, need.scopes, signal);
    return `Bearer ${token.value}`;
  }

  /**
   * After a 401 to a request that was sent with USED: the header to try again with, undefined where there is none better.
   * The challenge's own scope is added to what is needed.
   */
  async renew(
    need: Need,
    used: string | undefined,
    header: string | undefined,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const challenge = this.learn(header);
    if (!challenge) return undefined;
    this.#tokens = this.#tokens.filter(({ token }) => `Bearer ${token.value}` !== used);
    // Credentials of helpers expire as well.
    if (used !== undefined) this.#credentials.delete(need.repository);
    const asked = challenge.scheme === 'bearer' ? parseScopes(challenge.parameters.get('scope') ?? '') : new Map();
    const next = await this.authorization({ ...need, scopes: mergeScopes(need.scopes, asked) }, signal);
    return next === used ? undefined : next;
  }

  async #find(repository: string): Promise<Credentials | undefined> {
    let found = this.#credentials.get(repository);
    if (!found) {
      found = this.#options.lookUp(repository).then((credentials) => {
        if (credentials) {
          const { password, identityToken, registryToken } = credentials;
          this.#secrets.push(password, identityToken, registryToken, basicAuthorization(credentials)?.slice(6));
        }
        return credentials;
      });
      this.#credentials.set(repository, found);
      found.catch(() => this.#credentials.delete(repository));
    }
    return found;
  }

  async #token(
    challenge: Challenge,
    credentials: Credentials | undefined,
    scopes: Scopes,
    signal: AbortSignal | undefined,
  ): Promise<Token> {
    const owner = JSON.stringify([credentials?.username, credentials?.password, credentials?.identityToken]);
    const now = Date.now();
    this.#tokens = this.#tokens.filter(({ token }) => token.expires - MARGIN > now);
    const known = this.#tokens.find((entry) => entry.owner === owner && coversScopes(entry.token.scopes, scopes));
    if (known) return known.token;
    const key = `${owner} ${formatScopes(scopes).sort().join(' ')}`;
    let pending = this.#pending.get(key);
    if (!pending) {
      // Not bound to the caller's signal: others may wait for the same token.
      pending = this.#fetch(challenge, credentials, owner, scopes).finally(() => this.#pending.delete(key));
      this.#pending.set(key, pending);
      pending.catch(() => undefined);
    }
    return abortable(pending, signal);
  }

  async #fetch(
    challenge: Challenge,
    credentials: Credentials | undefined,
    owner: string,
    scopes: Scopes,
  ): Promise<Token> {
    const { transport, policy, registry, base, insecure } = this.#options;
    const identityToken = this.#refreshTokens.get(owner) ?? credentials?.identityToken;
    const token = await fetchToken(transport, policy, {
      registry,
      base,
      insecure,
      realm: challenge.parameters.get('realm') ?? '',
      service: challenge.parameters.get('service'),
      scopes,
      credentials: identityToken === undefined ? credentials : { ...credentials, identityToken },
    });
    this.#secrets.push(token.value);
    if (token.refreshToken !== undefined) {
      this.#refreshTokens.set(owner, token.refreshToken);
      this.#secrets.push(token.refreshToken);
    }
    this.#secrets = [...new Set(this.#secrets)].slice(-MAX_TOKENS);
    this.#tokens = [...this.#tokens, { owner, token }].slice(-MAX_TOKENS);
    return token;
  }
}
