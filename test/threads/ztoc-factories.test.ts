import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { TempByteLog } from "../../src/sys/temp-byte-log.ts";
import { ZtocWorkers } from "../../src/threads/ztoc-workers.ts";
import { spawnZtocWorker } from "../../src/workers.ts";
import { localZtocFactory } from "../../src/ztoc/build-ztoc.ts";
import { type FactoryUnderTest, ztocFactorySuite } from "../suite/ztoc-factory.ts";
import { buildTar } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { tempDir } from "../support/temp-dir.ts";

ztocFactorySuite("localZtocFactory()", async () => ({
  build: localZtocFactory({ engine: () => new WasmEngine() }),
  [Symbol.asyncDispose]: async () => undefined,
}));

ztocFactorySuite("localZtocFactory() with checkpoints in a file", async () => {
  const directory = await tempDir();
  return {
    build: localZtocFactory({
      engine: () => new WasmEngine(),
      checkpoints: () => new TempByteLog({ directory: directory.path, memoryBytes: 100_000 }),
    }),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
});

ztocFactorySuite("ZtocWorkers with one thread", () => workers(1));
ztocFactorySuite("ZtocWorkers with two threads", () => workers(2));

async function workers(count: number): Promise<FactoryUnderTest> {
  const directory = await tempDir();
  const pool = new ZtocWorkers({
    spawn: spawnZtocWorker,
    count,
    temporaryDirectory: directory.path,
  });
  return {
    build: pool.build,
    [Symbol.asyncDispose]: async () => {
      pool[Symbol.dispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

test("ZtocWorkers leaves no file behind where checkpoints are too many for memory", async () => {
  await using directory = await tempDir();
  using pool = new ZtocWorkers({
    spawn: spawnZtocWorker,
    count: 1,
    temporaryDirectory: directory.path,
  });
  const tar = await buildTar([{ name: "f", content: sampleBytes(2_000_000) }]);
  async function* source(): AsyncGenerator<Uint8Array> {
    yield gzipSync(tar, { memLevel: 1 });
  }
  const size = await pool.build(source(), { algorithm: "gzip", spanSize: 1 }, async (result) => {
    let length = 0;
    for await (const chunk of result.chunks()) length += chunk.length;
    expect(length).toBe(result.size);
    return length;
  });
  expect(size).toBeGreaterThan(8 << 20);
  expect(await readdir(directory.path)).toEqual([]);
});
