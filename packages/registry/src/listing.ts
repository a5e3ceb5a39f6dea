import { isDigest, type Descriptor, type Digest, type ImageReference } from '@strake/core';
import { registryError } from './errors.js';
import type { Session, SessionRequest } from './session.js';
import { taggedReferrers } from './subject.js';
import { discard, readCapped, type HttpResponse } from './transport.js';
import type { TransferOptions } from './types.js';

/** ECR refuses larger pages. */
const PAGE = 1000;
const MAX_PAGES = 1000;
const MAX_PAGE_BODY = 16 * 1024 * 1024;

/** The address of the next page in a Link header (RFC 8288), where there is one. */
function nextPage(session: Session, response: HttpResponse): URL | undefined {
  const link = /<([^<>]{1,4096})>\s*;[^,]*\brel="?next"?/i.exec(response.header('link') ?? '')?.[1];
  return link === undefined ? undefined : session.resolveLocation(link, response.url);
}

async function* pages(
  session: Session,
  first: SessionRequest,
  action: string,
): AsyncGenerator<Record<string, unknown>> {
  const seen = new Set<string>();
  let target: string | URL | undefined = first.target;
  while (target !== undefined) {
    const request: SessionRequest = { ...first, target };
    const response = await session.send(request);
    if (response.status !== 200) throw await session.fail(response, action, request);
    const next = nextPage(session, response);
    const bytes = await readCapped(response, MAX_PAGE_BODY, first.signal);
    let page: unknown;
    try {
      page = JSON.parse(bytes.toString('utf8'));
    } catch (error) {
      throw registryError(
        session.endpoint.registry,
        `its answer to the attempt to ${action} is not JSON`,
        undefined,
        error,
      );
    }
    if (page !== null && typeof page === 'object') yield page as Record<string, unknown>;
    if (next && (seen.has(next.href) || seen.size >= MAX_PAGES)) {
      throw registryError(session.endpoint.registry, `its list has no end when asked to ${action}`);
    }
    if (next) seen.add(next.href);
    target = next;
  }
}

/** All tags of a repository, in the registry's order. */
export async function listTags(
  session: Session,
  reference: ImageReference,
  options: TransferOptions,
): Promise<string[]> {
  const action = `list the tags of ${reference.registry}/${reference.repository}`;
  const tags: string[] = [];
  const request: SessionRequest = { method: 'GET', target: `tags/list?n=${PAGE}`, reference, signal: options.signal };
  for await (const page of pages(session, request, action)) {
    const list = page['tags'];
    if (Array.isArray(list)) for (const tag of list as unknown[]) if (typeof tag === 'string') tags.push(tag);
  }
  return tags;
}

/** What refers to a manifest: by the referrers API, else by the tag that stands in for it. */
export async function listReferrers(
  session: Session,
  reference: ImageReference,
  subject: Digest,
  options: TransferOptions,
): Promise<Descriptor[]> {
  const request: SessionRequest = {
    method: 'GET',
    target: `referrers/${subject}`,
    reference,
    headers: { accept: 'application/vnd.oci.image.index.v1+json' },
    signal: options.signal,
  };
  const probe = await session.send(request);
  await discard(probe);
  if (probe.status === 404) return [...(await taggedReferrers(session, reference, subject, options))];
  const found: Descriptor[] = [];
  for await (const page of pages(session, request, `list what refers to ${subject}`)) {
    const list = page['manifests'];
    if (!Array.isArray(list)) continue;
    for (const entry of list as unknown[]) {
      const { digest, size, mediaType } = (entry ?? {}) as Record<string, unknown>;
      if (isDigest(digest) && Number.isSafeInteger(size) && typeof mediaType === 'string')
        found.push(entry as Descriptor);
    }
  }
  return found;
}
