import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  digestOf,
  isStrakeError,
  MediaType,
  parseReference,
  type ByteStream,
  type Descriptor,
  type ImageReference,
} from '@strake/core';
import {
  createRegistryClient,
  type Credentials,
  type DistributionClient,
  type RegistryClientOptions,
} from '../src/index.js';
import { startTestRegistry, type TestRegistry, type TestRegistryOptions } from '../src/testing/index.js';

/** A client whose pauses are short, without proxies, with one and the same credentials everywhere. */
export function testClient(
  options: Partial<RegistryClientOptions> & { login?: Credentials | undefined } = {},
): DistributionClient {
  return createRegistryClient({
    credentials: { get: async () => options.login },
    env: {},
    retry: { attempts: 3, delay: 1, longestWait: 2000 },
    ...options,
  });
}

export interface Setup {
  readonly registry: TestRegistry;
  readonly client: DistributionClient;
  /** A reference into the test registry. */
  ref(rest: string): ImageReference;
}

/** Runs a test with a registry and a client, which are closed in the end. */
export async function withRegistry(
  options: TestRegistryOptions & { client?: Parameters<typeof testClient>[0] },
  test: (setup: Setup) => Promise<void>,
): Promise<void> {
  const registry = await startTestRegistry(options);
  const client = testClient(options.client);
  try {
    await test({ registry, client, ref: (rest) => parseReference(`${registry.host}/${rest}`) });
  } finally {
    await client.close();
    await registry.close();
  }
}

/** Asserts that PROMISE rejects with a StrakeError of CODE, and returns it. */
export async function rejectsWith(
  promise: Promise<unknown>,
  code: string,
): Promise<Error & { hint?: string | undefined }> {
  let caught: unknown;
  try {
    await promise;
  } catch (error) {
    caught = error;
  }
  if (!isStrakeError(caught)) assert.fail(`no StrakeError ${code} but ${String(caught)}`);
  assert.equal(caught.code, code, caught.message);
  return caught;
}

export function descriptorOf(bytes: Uint8Array | string, mediaType: string = MediaType.ociLayer): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: Buffer.from(bytes).length };
}

/** BYTES as a function that opens them as a stream, in pieces. */
export function stream(bytes: Uint8Array, piece: number = 64 * 1024): () => ByteStream {
  return async function* () {
    for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
  };
}

/** Bytes that do not repeat soon, the same for each SIZE. */
export function noise(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = 0x9e3779b9;
  for (let at = 0; at + 4 <= size; at += 4) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5;
    bytes.writeInt32LE(state | 0, at);
  }
  return bytes;
}

/** Resolves when a response's head and first bytes are on their way. */
export async function written(
  response: { write(chunk: Uint8Array): boolean } & NodeJS.EventEmitter,
  chunk: Uint8Array,
): Promise<void> {
  if (!response.write(chunk)) await once(response, 'drain');
}
