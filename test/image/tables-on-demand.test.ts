import { expect, test } from "bun:test";
import type { TableBuilder } from "../../src/image/table-builder.ts";
import { TablesOnDemand } from "../../src/image/tables-on-demand.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { rejectionOf } from "../support/failure.ts";

function counted() {
  const calls: string[] = [];
  const builder: TableBuilder = {
    addZtoc: async () => {
      calls.push("addZtoc");
      return "a fault";
    },
    addCached: async () => void calls.push("addCached"),
    merge: async () => void calls.push("merge"),
    [Symbol.asyncDispose]: async () => void calls.push("dispose"),
  };
  const tables = new TablesOnDemand(() => {
    calls.push("start");
    return builder;
  });
  return { tables, calls };
}

test("TablesOnDemand starts one builder, for the first call", async () => {
  const { tables, calls } = counted();
  expect(calls).toEqual([]);
  const layer = { key: digestOf("layer"), size: 1 };
  expect(await tables.addZtoc(layer, new Uint8Array(1))).toBe("a fault");
  await tables.addCached(layer.key);
  await tables.merge([layer.key], "path");
  await tables[Symbol.asyncDispose]();
  expect(calls).toEqual(["start", "addZtoc", "addCached", "merge", "dispose"]);
});

test("TablesOnDemand starts nothing for nobody, nor after its end", async () => {
  const { tables, calls } = counted();
  await tables[Symbol.asyncDispose]();
  expect(await rejectionOf(tables.addCached(digestOf("layer")))).toBeInstanceOf(Error);
  expect(calls).toEqual([]);
});
