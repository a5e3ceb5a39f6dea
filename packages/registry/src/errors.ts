import { familiarName, StrakeError, type ImageReference } from '@strake/core';

/** The codes of this package's errors. */
export type RegistryErrorCode =
  | 'BLOB_NOT_FOUND'
  | 'CREDENTIALS_INVALID'
  | 'CREDENTIAL_HELPER_FAILED'
  | 'DIGEST_MISMATCH'
  | 'IMAGE_NOT_FOUND'
  | 'MANIFEST_INVALID'
  | 'REGISTRY_DENIED'
  | 'REGISTRY_ERROR'
  | 'REGISTRY_RATE_LIMITED'
  | 'REGISTRY_UNAUTHORIZED'
  | 'REGISTRY_UNREACHABLE';

interface Fields {
  readonly message: string;
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

function failure(code: RegistryErrorCode, fields: Fields): StrakeError {
  return new StrakeError({ code, ...fields });
}

const after = (detail: string): string => (detail === '' ? '' : `: ${detail}`);

export function blobNotFound(reference: ImageReference, digest: string): StrakeError {
  return failure('BLOB_NOT_FOUND', {
    message: `${reference.registry}/${reference.repository} has no blob ${digest}`,
    hint: 'The image was pushed incompletely, or the registry removed a part of it. Push it again, or use another tag.',
  });
}

export function credentialsInvalid(file: string, why: string, cause?: unknown): StrakeError {
  return failure('CREDENTIALS_INVALID', {
    message: `${file} cannot be used as the file of registry credentials: ${why}`,
    hint: 'Repair the file, or move it away and run `strake login` again.',
    cause,
  });
}

export function credentialHelperFailed(helper: string, registry: string, why: string): StrakeError {
  return failure('CREDENTIAL_HELPER_FAILED', {
    message: `${helper} gave no credentials for ${registry}: ${why}`,
    hint: `Run \`echo ${registry} | ${helper} get\` to see why, or remove the helper from docker's config.json.`,
  });
}

export function digestMismatch(what: string, why: string): StrakeError {
  return failure('DIGEST_MISMATCH', {
    message: `${what} does not have the digest and size that it claims: ${why}`,
    hint: 'It was damaged or replaced on its way. Nothing of it was used.',
  });
}

export function imageNotFound(reference: ImageReference, detail = ''): StrakeError {
  return failure('IMAGE_NOT_FOUND', {
    message: `${familiarName(reference)} does not exist in ${reference.registry}${after(detail)}`,
    hint: 'Check the spelling of the name and the tag. Some registries answer this for private images, too: `strake login`.',
  });
}

export function manifestInvalid(reference: ImageReference, why: string): StrakeError {
  return failure('MANIFEST_INVALID', {
    message: `the manifest of ${familiarName(reference)} is invalid: ${why}`,
    hint: 'The image must be pushed again by a current tool.',
  });
}

export function rateLimited(registry: string, anonymous: boolean, detail: string, waitSeconds?: number): StrakeError {
  const when = waitSeconds === undefined ? 'Try again later' : `Try again in ${waitSeconds} seconds`;
  return failure('REGISTRY_RATE_LIMITED', {
    message: `${registry} limits how often it may be asked (429 Too Many Requests)${after(detail)}`,
    hint: anonymous ? `${when}, or raise the limit by \`strake login ${registry}\`.` : `${when}, or use a mirror.`,
  });
}

export function registryDenied(registry: string, action: string, detail: string): StrakeError {
  return failure('REGISTRY_DENIED', {
    message: `${registry} does not allow you to ${action} (access denied)${after(detail)}`,
    hint: `Check the name, and that your account has the right to do this. \`strake login ${registry}\` changes the account.`,
  });
}

export function registryError(registry: string, why: string, hint?: string, cause?: unknown): StrakeError {
  return failure('REGISTRY_ERROR', { message: `${registry}: ${why}`, hint, cause });
}

export function registryUnauthorized(
  registry: string,
  action: string,
  detail: string,
  anonymous: boolean,
): StrakeError {
  return failure('REGISTRY_UNAUTHORIZED', {
    message: anonymous
      ? `${registry} wants you to log in to ${action} (401 Unauthorized)${after(detail)}`
      : `${registry} refused the credentials that were used to ${action} (401 Unauthorized)${after(detail)}`,
    hint: anonymous
      ? `Run \`strake login ${registry}\`. Where the image does not exist, some registries answer this as well.`
      : `Run \`strake login ${registry}\` again: the password or token may have expired.`,
  });
}

export function registryUnreachable(registry: string, why: string, hint: string, cause?: unknown): StrakeError {
  return failure('REGISTRY_UNREACHABLE', { message: `${registry} cannot be reached: ${why}`, hint, cause });
}
