import { stat } from "node:fs/promises";
import { join } from "node:path";
import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { Artifact } from "./artifact.ts";
import type { LocalIndexes } from "./discover.ts";
import {
  LOCAL_STORE_DATABASE,
  type LocalStore,
  type LocalStoreOptions,
  openLocalStore,
  type PutZtocOptions,
} from "./local-store.ts";

/**
 * The local store of whoever mostly looks: when there is none, nothing is in it, and it is made when
 * something is put there. Making one takes as long as the disk needs to sync it, several times.
 */
export class StoreOnDemand implements LocalIndexes, AsyncDisposable {
  readonly #options: LocalStoreOptions;
  #store: LocalStore | undefined;
  #opening: Promise<LocalStore> | undefined;

  private constructor(options: LocalStoreOptions, store: LocalStore | undefined) {
    this.#options = options;
    this.#store = store;
  }

  /** @throws failed-precondition when there is one that cannot be used, data-loss when it is damaged */
  static async open(options: LocalStoreOptions): Promise<StoreOnDemand> {
    const isThere = await stat(join(options.root, LOCAL_STORE_DATABASE)).then(
      () => true,
      () => false,
    );
    return new StoreOnDemand(options, isThere ? await openLocalStore(options) : undefined);
  }

  get artifacts(): { findIndexes(imageManifest: Digest): readonly Artifact[] } {
    return this.#store?.artifacts ?? { findIndexes: () => [] };
  }

  async readIndexBytes(digest: Digest): Promise<Uint8Array> {
    return await this.#present(`SOCI index ${digest}`).readIndexBytes(digest);
  }

  async readZtoc(digest: Digest): Promise<Uint8Array> {
    return await this.#present(`zTOC ${digest}`).readZtoc(digest);
  }

  async findZtoc(layer: Digest, spanSize: number): Promise<Artifact | undefined> {
    return await this.#store?.findZtoc(layer, spanSize);
  }

  async putZtoc(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: PutZtocOptions,
  ): Promise<Descriptor> {
    this.#opening ??= this.#make();
    return await (await this.#opening).putZtoc(chunks, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opening?.catch(() => undefined);
    await this.#store?.[Symbol.asyncDispose]();
  }

  async #make(): Promise<LocalStore> {
    this.#store ??= await openLocalStore(this.#options);
    return this.#store;
  }

  #present(what: string): LocalStore {
    if (this.#store !== undefined) return this.#store;
    throw new SociError("not-found", `Cannot read ${what}: there is no local store`);
  }
}
