import type { ByteStream, Descriptor, Digest, ImageReference } from '@strake/core';

/** Who to be at a registry. `identityToken` is an OAuth2 refresh token. */
export interface Credentials {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly identityToken?: string | undefined;
  /** A bearer token to be sent as it is (`registrytoken` of docker's config.json). */
  readonly registryToken?: string | undefined;
}

/** Finds credentials: for the repository's path first, then for the host. */
export interface CredentialStore {
  get(registry: string, repository: string): Promise<Credentials | undefined>;
}

export interface TransferOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** A blob that is still being made. */
export interface GrowingBlob {
  /** The bytes from the first one on, as they are made: each time anew. */
  open(): ByteStream;
  /** Resolves when all bytes are known; rejects where making them fails. */
  readonly whole: Promise<Descriptor>;
}

/** A client of the OCI distribution protocol for any number of registries. */
export interface RegistryClient {
  /**
   * The manifest or index that a name stands for; digest (and size) of the body are verified.
   * @throws StrakeError `IMAGE_NOT_FOUND`, `REGISTRY_UNREACHABLE`, `REGISTRY_UNAUTHORIZED`, `REGISTRY_DENIED`, `REGISTRY_ERROR`
   */
  manifest(
    reference: ImageReference,
    options?: TransferOptions & { readonly expected?: { readonly digest: Digest; readonly size?: number } },
  ): Promise<{ readonly descriptor: Descriptor; readonly bytes: Buffer }>;
  /** Only the descriptor, by HEAD where the registry answers it; undefined where there is no such manifest. */
  resolve(reference: ImageReference, options?: TransferOptions): Promise<Descriptor | undefined>;
  /** A blob's bytes, verified before the end is reported; a broken connection is resumed by range requests. */
  blob(reference: ImageReference, descriptor: Descriptor, options?: TransferOptions): ByteStream;
  hasBlob(reference: ImageReference, digest: Digest, options?: TransferOptions): Promise<boolean>;
  /** Uploads a blob unless the registry has it or can mount it from one of `mountFrom` (repositories of the same registry). */
  pushBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    open: () => ByteStream,
    options?: TransferOptions & { readonly mountFrom?: readonly string[] | undefined },
  ): Promise<'exists' | 'mounted' | 'uploaded'>;
  /**
   * Uploads a blob while it is made. Where that attempt fails, or the registry turns out to have the blob, it goes on as `pushBlob`
   * does once it is whole.
   */
  pushGrowing(
    reference: ImageReference,
    content: GrowingBlob,
    options?: TransferOptions,
  ): Promise<'exists' | 'mounted' | 'uploaded'>;
  /** Pushes a manifest or index under the reference's tag (or its digest, where there is no tag). */
  pushManifest(
    reference: ImageReference,
    descriptor: Descriptor,
    bytes: Uint8Array,
    options?: TransferOptions,
  ): Promise<void>;
  close(): Promise<void>;
}

/** What this package's client can do beyond what building needs. */
export interface DistributionClient extends RegistryClient {
  /** All tags of a repository, in the registry's order. */
  tags(reference: ImageReference, options?: TransferOptions): Promise<string[]>;
  /** The manifests that name DIGEST as their subject: by the referrers API, else by the tag that stands in for it. */
  referrers(reference: ImageReference, digest: Digest, options?: TransferOptions): Promise<Descriptor[]>;
  /**
   * Resolves where the registry lets one in with the credentials that the store has for it.
   * @throws StrakeError `REGISTRY_UNAUTHORIZED`, `REGISTRY_DENIED`, `REGISTRY_UNREACHABLE`, `REGISTRY_ERROR`
   */
  ping(registry: string, options?: TransferOptions): Promise<void>;
}
