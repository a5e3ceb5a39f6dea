import { isStrakeError, throwIfAborted, type Descriptor, type ImageReference } from '@strake/core';
import { headBlob } from './blobs.js';
import type { Session } from './session.js';
import { discard } from './transport.js';
import type { GrowingBlob, TransferOptions } from './types.js';
import { checkStored, uploadBlob } from './upload.js';
import { isSuccess, UploadSession } from './upload-session.js';

/** Where less than this is left to be sent, asking whether the registry has the blob already is no gain. */
const WORTH_ASKING = 1024 * 1024;

/** See {@link RegistryClient.pushGrowing}. */
export async function uploadGrowing(
  session: Session,
  reference: ImageReference,
  content: GrowingBlob,
  options: TransferOptions = {},
): Promise<'exists' | 'mounted' | 'uploaded'> {
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const requests = new UploadSession({ session, reference, signal });
  try {
    await requests.begin();
    const outcome = await sendWhileItGrows(requests, { session, reference, content, options, stop });
    if (outcome) return outcome;
  } finally {
    stop.abort();
    await requests.cancel();
  }
  return uploadBlob(session, reference, await content.whole, () => content.open(), options);
}

interface Growing {
  readonly session: Session;
  readonly reference: ImageReference;
  readonly content: GrowingBlob;
  readonly options: TransferOptions;
  /** Ends the upload: the registry has the blob. */
  readonly stop: AbortController;
}

/** A single attempt; undefined where it failed in a way that another one, with all that is known then, may not. */
async function sendWhileItGrows(
  requests: UploadSession,
  { session, reference, content, options, stop }: Growing,
): Promise<'exists' | 'uploaded' | undefined> {
  let sent = 0;
  let sending = true;
  const stopSending = (): void => {
    if (sending) stop.abort();
  };
  // A name for the bytes may show that they need not have been sent.
  const found = content.whole.then(
    async ({ digest, size }) => {
      if (!sending || size - sent < WORTH_ASKING) return false;
      const there = await headBlob(session, reference, digest, { signal: stop.signal, push: requests.scopes });
      if (there) stopSending();
      return there;
    },
    () => false,
  );
  found.catch(() => undefined);
  const body = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of content.open()) {
      yield chunk;
      sent += chunk.length;
      options.onProgress?.(sent);
    }
  };
  try {
    const response = await requests.patchWhole(body());
    sending = false;
    if (!isSuccess(response)) {
      await discard(response);
      return undefined;
    }
    const descriptor: Descriptor = await content.whole;
    const closed = await requests.put(descriptor.digest);
    if (!isSuccess(closed)) {
      await discard(closed);
      return undefined;
    }
    checkStored(session, descriptor, closed);
    return 'uploaded';
  } catch (error) {
    sending = false;
    throwIfAborted(options.signal);
    if (stop.signal.aborted) return 'exists';
    // What making the blob failed with, where that is why there was no more to send.
    await content.whole;
    if (!isStrakeError(error, 'REGISTRY_UNREACHABLE')) throw error;
    return undefined;
  }
}
