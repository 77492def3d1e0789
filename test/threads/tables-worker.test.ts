import { describe, expect, test } from "bun:test";
import { cacheRootOf, layerDirectory, treesDirectory } from "../../src/cache/cache-paths.ts";
import { keyByZtoc } from "../../src/cache/layer-key.ts";
import { mapTable } from "../../src/cache/table-file.ts";
import { LayerTables } from "../../src/image/layer-tables.ts";
import type { TableBuilder } from "../../src/image/table-builder.ts";
import { warmTables } from "../../src/image/warm-tables.ts";
import { digestOf } from "../../src/oci/digest.ts";
import type { TablesAnswer, TablesRequest } from "../../src/threads/tables-messages.ts";
import { TablesWorker } from "../../src/threads/tables-worker.ts";
import type { WorkerPort } from "../../src/threads/worker-conversation.ts";
import { ChainTable } from "../../src/tree/chain-table.ts";
import { spawnTablesWorker } from "../../src/workers.ts";
import { buildLayer } from "../support/image-builder.ts";
import { ztocOf } from "../support/indexed-layer.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

const layers = await Promise.all(
  ["a", "b"].map(async (name) => {
    const { bytes, descriptor } = await buildLayer({ entries: [{ name, content: "1" }] });
    const { digest, size } = descriptor;
    const key = keyByZtoc(digest, digestOf("zTOC"));
    return { layer: { key, size }, ztoc: new Uint8Array((await ztocOf(bytes)).bytes) };
  }),
);
const [first, second] = layers;
if (first === undefined || second === undefined) throw new Error("no layers");
const chain = layers.map(({ layer }) => layer.key);

const BUILDERS: readonly {
  readonly title: string;
  readonly start: (cacheRoot: string) => TableBuilder;
}[] = [
  { title: "LayerTables", start: (cacheRoot) => new LayerTables({ cacheRoot }) },
  {
    title: "TablesWorker",
    start: (cacheRoot) => new TablesWorker({ spawn: spawnTablesWorker, cacheRoot }),
  },
];

describe.each(BUILDERS)("$title", ({ start }) => {
  test("puts layers into the cache by their zTOCs, and merges them before that is done", async () => {
    await using root = await tempDir();
    const cacheRoot = cacheRootOf(root.path);
    await using tables = start(cacheRoot);
    const path = `${treesDirectory(cacheRoot)}/tree`;
    const added = layers.map(({ layer, ztoc }) => tables.addZtoc(layer, ztoc.slice()));
    await tables.merge(chain, path);
    expect(await Promise.all(added)).toEqual([undefined, undefined]);
    const tree = ChainTable.open(mapTable(path));
    expect(tree.layers).toEqual(chain);
    expect(tree.childCount(0)).toBe(2);
  });

  test("takes layers that are in the cache", async () => {
    await using root = await tempDir();
    const cacheRoot = cacheRootOf(root.path);
    {
      await using tables = start(cacheRoot);
      await tables.addZtoc(first.layer, first.ztoc.slice());
    }
    await using tables = start(cacheRoot);
    const { key } = first.layer;
    await tables.addCached(key);
    await tables.merge([key, key], `${treesDirectory(cacheRoot)}/tree`);
    const missing = await rejectionOf(tables.addCached(second.layer.key));
    expect(missing).toMatchObject({ kind: "not-found" });
    await Bun.write(`${layerDirectory(cacheRoot, key)}/entries`, "damaged");
    await using again = start(cacheRoot);
    expect(await rejectionOf(again.addCached(key))).toMatchObject({ kind: "data-loss" });
  });

  test("says why a zTOC is of no use, and makes no layer of it", async () => {
    await using root = await tempDir();
    await using tables = start(cacheRootOf(root.path));
    const { layer } = first;
    const noise = new Uint8Array(1000).fill(7);
    expect(await tables.addZtoc(layer, noise)).toContain("Cannot decode zTOC");
    const other = { ...layer, size: layer.size + 1 };
    expect(await tables.addZtoc(other, first.ztoc.slice())).toContain("want");
    const cached = tables.addCached(layer.key);
    expect(await rejectionOf(cached)).toMatchObject({ kind: "not-found" });
    const merged = tables.merge([layer.key], root.join("tree"));
    expect(await rejectionOf(merged)).toMatchObject({ kind: "unavailable" });
  });
});

/** A thread that says nothing, or dies when it is asked. */
function silentPort(dies: boolean): WorkerPort<TablesRequest, TablesAnswer> {
  const onError: ((event: ErrorEvent) => void)[] = [];
  return {
    postMessage({ kind }) {
      if (!dies || kind === "open") return;
      const event = new ErrorEvent("error", { message: "out of memory", error: new Error("x") });
      setTimeout(() => {
        for (const listener of onError) listener(event);
      }, 1);
    },
    addEventListener(type: "message" | "error", listener: (event: never) => void) {
      if (type === "error") onError.push(listener as (event: ErrorEvent) => void);
    },
    terminate: () => undefined,
  };
}

describe("TablesWorker", () => {
  const digest = digestOf("x");

  test("fails all questions when the thread dies, and those that follow", async () => {
    await using tables = new TablesWorker({ spawn: () => silentPort(true), cacheRoot: "/nowhere" });
    const both = [tables.addCached(digest), tables.merge([digest], "/nowhere/tree")];
    for (const one of await Promise.allSettled(both)) {
      expect(one.status === "rejected" && String(one.reason)).toContain("out of memory");
    }
    expect(String(await rejectionOf(tables.addCached(digest)))).toContain("out of memory");
  });

  test("ends questions without an answer when it is disposed of", async () => {
    const tables = new TablesWorker({ spawn: () => silentPort(false), cacheRoot: "/nowhere" });
    const asked = tables.addCached(digest);
    const outcome = rejectionOf(asked);
    await tables[Symbol.asyncDispose]();
    expect(String(await outcome)).toContain("after its end");
  });

  test("throws the signal's reason", async () => {
    await using tables = new TablesWorker({
      spawn: () => silentPort(false),
      cacheRoot: "/nowhere",
    });
    const stop = new AbortController();
    const reason = new Error("enough");
    const { signal } = stop;
    const asked = rejectionOf(tables.addCached(digest, { signal }));
    stop.abort(reason);
    expect(await asked).toBe(reason);
    expect(await rejectionOf(tables.addCached(digest, { signal }))).toBe(reason);
  });
});

test("warmTables() makes tables of its made-up layer", () => {
  expect([...warmTables()].length).toBeGreaterThan(10);
});
