import type { BuilderServices } from '../services.js';
import type { GitReference } from './git-reference.js';
import { HTTP_TIMEOUTS, httpGet } from './http-request.js';

const MOST_REDIRECTS = 5;
/** What git asks for first (gitprotocol-http). */
const ASKED = '/info/refs?service=git-upload-pack';

/**
 * Where a repository is now that answers with a redirect; undefined where it does not, or leads to no repository. git itself would
 * send what is in `http.extraHeader` wherever it is redirected to, so with credentials it may not follow: they stay at their origin.
 */
export async function movedRepository(
  reference: GitReference,
  authorization: string | undefined,
  { proxyFor }: BuilderServices,
  signal: AbortSignal,
): Promise<GitReference | undefined> {
  const { origin } = new URL(reference.remote);
  let at = new URL(reference.remote.replace(/\/$/, '') + ASKED);
  for (let hop = 0; hop < MOST_REDIRECTS; hop++) {
    const headers: Record<string, string> = {};
    if (authorization !== undefined && at.origin === origin) headers['authorization'] = authorization;
    const answer = await httpGet(at, { headers, timeouts: HTTP_TIMEOUTS, proxyFor, signal });
    const { statusCode = 0 } = answer;
    const { location } = answer.headers;
    answer.destroy();
    if (![301, 302, 303, 307, 308].includes(statusCode) || location === undefined) break;
    const next = URL.canParse(location, at.href) ? new URL(location, at) : undefined;
    const web = next?.protocol === 'https:' || (next?.protocol === 'http:' && at.protocol === 'http:');
    if (!next || !web || next.username !== '' || !next.href.endsWith(ASKED)) return undefined;
    at = next;
  }
  const remote = at.href.slice(0, -ASKED.length);
  if (remote === reference.remote.replace(/\/$/, '')) return undefined;
  const protocol = at.protocol === 'https:' ? 'https' : 'http';
  return at.origin === origin
    ? { ...reference, remote, moved: 'within' }
    : { ...reference, remote, protocol, host: at.host, credentials: undefined, moved: 'elsewhere' };
}
