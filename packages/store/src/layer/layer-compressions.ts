import { MediaType, type Descriptor, type Digest } from '@strake/core';

import type { FileBlobs } from '../blobs.js';
import { layerNotFound } from '../errors.js';
import { GrowingFile } from '../growing-file.js';
import type { OwnHolder } from '../holders.js';
import type { StoreLayout } from '../layout.js';
import type { GrowingLayer } from '../types.js';
import type { WorkerPool } from '../worker-pool.js';
import { addForm, formsOf } from './layer-forms.js';

/** The compressed form of a layer: `stored` when it is in the store, `growing` where it is not yet. */
interface Compression {
  readonly stored: Promise<Descriptor>;
  readonly growing?: GrowingLayer;
  /** Ends it. */
  readonly begunFor?: AbortSignal | undefined;
}

/** Makes compressed forms of layers, each once however many ask for it. */
export class LayerCompressions {
  readonly #layout: StoreLayout;
  readonly #holder: OwnHolder;
  readonly #blobs: FileBlobs;
  readonly #pool: WorkerPool;
  /** Those under way. */
  readonly #running = new Map<string, Compression>();

  constructor(layout: StoreLayout, holder: OwnHolder, blobs: FileBlobs, pool: WorkerPool) {
    this.#layout = layout;
    this.#holder = holder;
    this.#blobs = blobs;
    this.#pool = pool;
  }

  /** As `LayerStore.compress`. */
  async compress(
    diffId: Digest,
    compression: 'gzip' | 'zstd',
    signal?: AbortSignal,
    level?: number,
  ): Promise<Descriptor> {
    for (;;) {
      const { stored, begunFor } = await this.#begin(diffId, compression, signal, level);
      try {
        return await stored;
      } catch (error) {
        // Where whoever began it has given up, for whatever reason, we have not.
        if (!begunFor?.aborted || signal?.aborted) throw error;
      }
    }
  }

  /** As `LayerStore.compressing`. */
  async compressing(
    diffId: Digest,
    compression: 'gzip' | 'zstd',
    signal?: AbortSignal,
    level?: number,
  ): Promise<GrowingLayer | undefined> {
    const { growing, begunFor } = await this.#begin(diffId, compression, signal, level);
    return begunFor === signal ? growing : undefined;
  }

  /** The compression of a layer: done, under way or begun now. */
  async #begin(
    diffId: Digest,
    compression: 'gzip' | 'zstd',
    signal: AbortSignal | undefined,
    level: number | undefined,
  ): Promise<Compression> {
    const { compressed, compressedType } = await import('./compress.js');
    const wanted = compressedType(compression);
    if (level === undefined) {
      const known = (await formsOf(this.#layout, this.#blobs, diffId)).find(({ mediaType }) => wanted.test(mediaType));
      if (known) return { stored: Promise.resolve(known) };
    }
    if ((await this.#blobs.size(diffId)) === undefined) throw layerNotFound(diffId);
    const key = `${diffId} ${compression} ${level ?? ''}`;
    const running = this.#running.get(key);
    if (running) return running;
    const file = new GrowingFile();
    const describe = ({ digest, size }: { readonly digest: Digest; readonly size: number }): Descriptor => ({
      mediaType: compression === 'gzip' ? MediaType.ociLayerGzip : MediaType.ociLayerZstd,
      digest,
      size,
    });
    const store = async (): Promise<Descriptor> => {
      try {
        const bytes = compressed(this.#blobs.path(diffId), { compression, level }, this.#pool, signal);
        const form = describe(await this.#blobs.put(bytes, {}, signal, file));
        if (level === undefined) await addForm(this.#layout, this.#holder, diffId, form);
        return form;
      } catch (error) {
        file.fail(error);
        throw error;
      } finally {
        this.#running.delete(key);
      }
    };
    const whole = file.facts.then(describe);
    const stored = store();
    // Whoever asked for it may only want to read it, or only to have it.
    whole.catch(() => undefined);
    stored.catch(() => undefined);
    const begun = { stored, growing: { open: () => file.read(), whole, stored }, begunFor: signal };
    this.#running.set(key, begun);
    return begun;
  }
}
