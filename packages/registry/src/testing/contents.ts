import { digestOf, MediaType, type ByteStream, type Descriptor, type Digest } from '@strake/core';

/** A blob that the test registry holds, in memory or made as it is read. */
export interface TestBlob {
  readonly size: number;
  /** Its bytes from START to END (exclusive). */
  open(start: number, end: number): ByteStream;
}

export interface TestManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** One repository of the test registry. */
export interface TestRepository {
  readonly blobs: Set<Digest>;
  readonly manifests: Map<Digest, TestManifest>;
  readonly tags: Map<string, Digest>;
}

/** What a test registry holds; tests read and change it at will. */
export class TestContents {
  readonly blobs: Map<Digest, TestBlob> = new Map();
  readonly repositories: Map<string, TestRepository> = new Map();

  repository(name: string): TestRepository {
    let repository = this.repositories.get(name);
    if (!repository) {
      repository = { blobs: new Set(), manifests: new Map(), tags: new Map() };
      this.repositories.set(name, repository);
    }
    return repository;
  }

  /** Puts a blob into a repository. */
  addBlob(name: string, bytes: Uint8Array | string, mediaType: string = MediaType.ociLayer): Descriptor {
    const buffer = Buffer.from(bytes);
    const digest = digestOf(buffer);
    this.addVirtualBlob(name, digest, memoryBlob(buffer));
    return { mediaType, digest, size: buffer.length };
  }

  /** Puts a blob under a digest, whether it is true or not. */
  addVirtualBlob(name: string, digest: Digest, blob: TestBlob): void {
    this.blobs.set(digest, blob);
    this.repository(name).blobs.add(digest);
  }

  /** Puts a manifest (an object is written as JSON) into a repository, under tags where some are given. */
  addManifest(name: string, manifest: object | Uint8Array | string, mediaType: string, ...tags: string[]): Descriptor {
    const text = typeof manifest === 'string' || manifest instanceof Uint8Array ? manifest : JSON.stringify(manifest);
    const bytes = Buffer.from(text);
    const digest = digestOf(bytes);
    const repository = this.repository(name);
    repository.manifests.set(digest, { mediaType, bytes });
    for (const tag of tags) repository.tags.set(tag, digest);
    return { mediaType, digest, size: bytes.length };
  }

  /** Puts a small whole image into a repository. */
  addImage(name: string, ...tags: string[]): { manifest: Descriptor; config: Descriptor; layers: Descriptor[] } {
    const text = JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } });
    const config = this.addBlob(name, text, MediaType.ociConfig);
    const layers = [this.addBlob(name, `layer of ${name}`, MediaType.ociLayerGzip)];
    const body = { schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers };
    return { manifest: this.addManifest(name, body, MediaType.ociManifest, ...tags), config, layers };
  }
}

/** A blob of bytes in memory. */
export function memoryBlob(bytes: Uint8Array): TestBlob {
  return {
    size: bytes.length,
    async *open(start, end) {
      for (let at = start; at < end; at += 64 * 1024) yield bytes.subarray(at, Math.min(end, at + 64 * 1024));
    },
  };
}
