import type { ServerResponse } from 'node:http';
import { MediaType, type Descriptor, type Digest } from '@strake/core';
import { referrerOf } from '../subject.js';
import type { TestRepository } from './contents.js';
import { refuse } from './uploads.js';

/** Answers a page of tags, with a Link to the next one. */
export function tagPage(
  repository: TestRepository | undefined,
  response: ServerResponse,
  name: string,
  url: URL,
): void {
  if (!repository) return refuse(response, 404, 'NAME_UNKNOWN');
  const last = url.searchParams.get('last') ?? '';
  const limit = Number(url.searchParams.get('n') ?? 100);
  const all = [...repository.tags.keys()].sort().filter((tag) => tag > last);
  const tags = all.slice(0, limit);
  const link = `</v2/${name}/tags/list?n=${limit}&last=${tags.at(-1) ?? ''}>; rel="next"`;
  response.writeHead(200, { 'content-type': 'application/json', ...(all.length > limit ? { link } : {}) });
  response.end(JSON.stringify({ name, tags }));
}

/** The subject of a manifest, where it has one. */
export function manifestSubject(bytes: Buffer): Digest | undefined {
  return referrerOf({ mediaType: '', digest: 'sha256:', size: 0 }, bytes)?.subject;
}

/** Answers with the manifests that name DIGEST as their subject. */
export function referrersIndex(repository: TestRepository, response: ServerResponse, digest: Digest): void {
  const manifests: Descriptor[] = [];
  for (const [own, { mediaType, bytes }] of repository.manifests) {
    const referrer = referrerOf({ mediaType, digest: own, size: bytes.length }, bytes);
    if (referrer?.subject === digest) manifests.push(referrer.entry);
  }
  response.writeHead(200, { 'content-type': MediaType.ociIndex });
  response.end(JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests }));
}
