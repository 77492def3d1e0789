import type { WaitOptions } from "../async/wait-options.ts";
import type { LayerKey } from "../cache/layer-key.ts";
import type { TableBuilder, TableLayer } from "./table-builder.ts";

/** A TableBuilder that is started when there is something to do: for images of which often nothing is served. */
export class TablesOnDemand implements TableBuilder {
  readonly #start: () => TableBuilder;
  #tables: TableBuilder | undefined;
  #isDisposed = false;

  constructor(start: () => TableBuilder) {
    this.#start = start;
  }

  async addZtoc(
    layer: TableLayer,
    ztoc: Uint8Array<ArrayBuffer>,
    options?: WaitOptions,
  ): Promise<string | undefined> {
    return await this.#started().addZtoc(layer, ztoc, options);
  }

  async addCached(layer: LayerKey, options?: WaitOptions): Promise<void> {
    await this.#started().addCached(layer, options);
  }

  async merge(layers: readonly LayerKey[], path: string, options?: WaitOptions): Promise<void> {
    await this.#started().merge(layers, path, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    await this.#tables?.[Symbol.asyncDispose]();
  }

  #started(): TableBuilder {
    if (this.#isDisposed) throw new Error("tables asked for after their end");
    this.#tables ??= this.#start();
    return this.#tables;
  }
}
