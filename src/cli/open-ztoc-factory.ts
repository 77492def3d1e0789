import { availableParallelism } from "node:os";
import { WasmEngine } from "../deflate/wasm-engine.ts";
import { TempByteLog } from "../sys/temp-byte-log.ts";
import { ZtocWorkers } from "../threads/ztoc-workers.ts";
import type { ZtocFactory } from "../ztoc/build-ztoc.ts";
import { localZtocFactory } from "../ztoc/build-ztoc.ts";
import type { CliServices } from "./cli-services.ts";

/** A way to build zTOCs, and how many at once it is good for. */
export interface OpenedZtocFactory extends Disposable {
  readonly build: ZtocFactory;
  readonly parallel: number;
}

/** One thread a core where there are threads, else this one. Checkpoints that are too many for memory go to `directory`. */
export function openZtocFactory(
  { spawnZtocWorker }: CliServices,
  directory: string,
): OpenedZtocFactory {
  if (spawnZtocWorker === undefined) {
    const build = localZtocFactory({
      engine: () => new WasmEngine(),
      checkpoints: () => new TempByteLog({ directory }),
    });
    return { build, parallel: 1, [Symbol.dispose]: () => undefined };
  }
  const count = availableParallelism();
  const workers = new ZtocWorkers({ spawn: spawnZtocWorker, count, temporaryDirectory: directory });
  // One more is opened than is built: its first bytes are on the way when a thread gets free.
  return {
    build: workers.build,
    parallel: count + 1,
    [Symbol.dispose]: () => workers[Symbol.dispose](),
  };
}
