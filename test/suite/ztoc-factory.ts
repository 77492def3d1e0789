import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { SociError } from "../../src/errors.ts";
import type { ZtocFactory, ZtocResult } from "../../src/ztoc/build-ztoc.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { buildTar } from "../support/image-builder.ts";
import { build } from "../ztoc/build.ts";
import { bytesOf } from "../../src/ztoc/encode-ztoc.ts";

export interface FactoryUnderTest extends AsyncDisposable {
  readonly build: ZtocFactory;
}

const REQUEST = { algorithm: "gzip", spanSize: 4096 } as const;

const tar = await buildTar([
  { name: "a", content: sampleBytes(40_000) },
  { name: "b/", type: "directory" },
  { name: "b/c", content: sampleBytes(900_000, 2) },
]);
const layer = gzipSync(tar, { memLevel: 3 });
const want = build(layer, { engine: new WasmEngine(), spanSize: REQUEST.spanSize });
const wantBytes = Buffer.from(bytesOf(want.encoded));

async function* stream(bytes: Uint8Array, piece = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += piece) yield bytes.slice(at, at + piece);
}

/** Copies: a chunk dies with the next step. */
async function bytesOfResult(result: ZtocResult): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of result.chunks()) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
}

/** What every ZtocFactory promises, wherever it does its work. */
export function ztocFactorySuite(title: string, make: () => Promise<FactoryUnderTest>): void {
  describe(title, () => {
    test("builds the bytes that ZtocBuilder builds", async () => {
      await using factory = await make();
      const got = await factory.build(stream(layer), REQUEST, bytesOfResult);
      expect(got.equals(wantBytes)).toBe(true);
    });

    test("says what the zTOC says in short", async () => {
      await using factory = await make();
      const { chunks: _chunks, ...summary } = await factory.build(
        stream(layer),
        REQUEST,
        async (result) => ({ ...result }),
      );
      expect(summary).toEqual({
        size: wantBytes.length,
        compressedSize: layer.length,
        uncompressedSize: want.uncompressedSize,
        spanCount: want.spanCount,
        fileCount: 3,
        needsXattrs: false,
        unusable: undefined,
      });
    });

    test("takes chunks of any size", async () => {
      await using factory = await make();
      for (const piece of [1000, 262_144, layer.length]) {
        const got = await factory.build(stream(layer, piece), REQUEST, bytesOfResult);
        expect(got.equals(wantBytes)).toBe(true);
      }
    });

    test("builds plain tars", async () => {
      await using factory = await make();
      const request = { algorithm: "uncompressed", spanSize: 65_536 } as const;
      const got = await factory.build(stream(tar), request, bytesOfResult);
      const { encoded } = build(tar, { engine: new WasmEngine(), ...request });
      expect(got.equals(bytesOf(encoded))).toBe(true);
    });

    test("builds several layers at once", async () => {
      await using factory = await make();
      const got = await Promise.all(
        [1, 2, 3, 4].map(() => factory.build(stream(layer), REQUEST, bytesOfResult)),
      );
      expect(got.map((bytes) => bytes.equals(wantBytes))).toEqual([true, true, true, true]);
    });

    test("returns what use() returns", async () => {
      await using factory = await make();
      const got = await factory.build(stream(layer), REQUEST, async ({ fileCount }) => fileCount);
      expect(got).toBe(3);
    });

    test("refuses a damaged layer with its kind, and does not call use()", async () => {
      await using factory = await make();
      const damaged = Uint8Array.from(layer);
      damaged[5000] = (damaged[5000] ?? 0) ^ 0x55;
      let isUsed = false;
      const use = async () => {
        isUsed = true;
      };
      await expect(factory.build(stream(damaged), REQUEST, use)).rejects.toMatchObject({
        name: "SociError",
        kind: "data-loss",
      });
      expect(isUsed).toBe(false);
    });

    test("refuses a layer that is cut short", async () => {
      await using factory = await make();
      const cut = layer.subarray(0, -3);
      await expect(factory.build(stream(cut), REQUEST, bytesOfResult)).rejects.toMatchObject({
        kind: "data-loss",
      });
    });

    test("refuses a span size that a plain tar cannot have", async () => {
      await using factory = await make();
      const request = { algorithm: "uncompressed", spanSize: 0 } as const;
      await expect(factory.build(stream(tar), request, bytesOfResult)).rejects.toMatchObject({
        kind: "invalid-argument",
      });
    });

    test("builds the next layer after it refused one", async () => {
      await using factory = await make();
      const damaged = layer.subarray(0, layer.length / 2);
      await expect(factory.build(stream(damaged), REQUEST, bytesOfResult)).rejects.toThrow();
      const got = await factory.build(stream(layer), REQUEST, bytesOfResult);
      expect(got.equals(wantBytes)).toBe(true);
    });

    test("throws what the source throws", async () => {
      await using factory = await make();
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield layer.subarray(0, 1000);
        throw new SociError("unavailable", "the registry went away");
      }
      await expect(factory.build(failing(), REQUEST, bytesOfResult)).rejects.toMatchObject({
        kind: "unavailable",
      });
    });

    test("throws what use() throws, also when it has read a part", async () => {
      await using factory = await make();
      const use = async (result: ZtocResult): Promise<void> => {
        for await (const _chunk of result.chunks()) throw new Error("disk full");
      };
      await expect(factory.build(stream(layer), REQUEST, use)).rejects.toThrow("disk full");
    });

    test("throws the signal's reason in the middle of a layer, and closes the source", async () => {
      await using factory = await make();
      const abort = new AbortController();
      const reason = new Error("interrupted");
      let isClosed = false;
      async function* endless(): AsyncGenerator<Uint8Array> {
        try {
          yield layer.subarray(0, 100_000);
          abort.abort(reason);
          // A member's empty blocks could go on for ever.
          for (;;) yield new Uint8Array(65_536);
        } finally {
          isClosed = true;
        }
      }
      const request = { ...REQUEST, signal: abort.signal };
      await expect(factory.build(endless(), request, bytesOfResult)).rejects.toBe(reason);
      expect(isClosed).toBe(true);
    });

    test("throws the signal's reason when it was aborted before", async () => {
      await using factory = await make();
      const reason = new Error("too late");
      const request = { ...REQUEST, signal: AbortSignal.abort(reason) };
      await expect(factory.build(stream(layer), request, bytesOfResult)).rejects.toBe(reason);
    });
  });
}
