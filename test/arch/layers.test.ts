import { expect, test } from "bun:test";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { LAYERS, layerTable, mayImport } from "./layers.ts";
import { projectSources, type SourceFile, sourceFile } from "./project-sources.ts";

const SRC = join(import.meta.dirname, "../../src");

const sources = await projectSources();

/** Imports of files in folders that the table does not allow, as `file:line specifier`. */
function forbiddenImports(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const layer = LAYERS.find(({ folder }) => file.path.startsWith(`${folder}/`));
    if (layer === undefined) return [];
    return (
      file.imports
        // The one file outside src/: the version stands there.
        .filter(({ target }) => target !== undefined && target !== "../package.json")
        .filter(({ target }) => !mayImport(layer, target ?? ""))
        .map(({ line, specifier }) => `${file.path}:${line} ${specifier}`)
    );
  });
}

test("imports go down the layer table", () => {
  expect(forbiddenImports(sources)).toEqual([]);
});

test("the layer check sees a type import, an upward import and a dynamic import", () => {
  const file = sourceFile(
    "tar/planted.ts",
    [
      'import type { Ztoc } from "../ztoc/ztoc.ts";',
      "// import { x } from '../cli/comment.ts';",
      'const x = await import("../cli/run-cli.ts");',
      'export { y } from "../oci/digest.ts";',
      'import { ByteCursor } from "../bytes/byte-cursor.ts";',
    ].join("\n"),
  );
  expect(forbiddenImports([file])).toEqual([
    "tar/planted.ts:1 ../ztoc/ztoc.ts",
    "tar/planted.ts:4 ../oci/digest.ts",
    "tar/planted.ts:3 ../cli/run-cli.ts",
  ]);
});

test("the layer check lets ztoc see oci/digest and nothing else of oci", () => {
  const file = sourceFile(
    "ztoc/planted.ts",
    'import { parseDigest } from "../oci/digest.ts";\nimport { x } from "../oci/registry.ts";',
  );
  expect(forbiddenImports([file])).toEqual(["ztoc/planted.ts:2 ../oci/registry.ts"]);
});

test("every folder of src has a row in the layer table", async () => {
  const entries = await readdir(SRC, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const known = LAYERS.map(({ folder }) => folder);
  expect(folders.filter((folder) => !known.includes(folder))).toEqual([]);
});

test("the layer table has no upward edge", () => {
  const upward = LAYERS.flatMap(({ folder, rank, mayImport: allowed }) => {
    const names = allowed === "everything below" ? [] : allowed;
    return names
      .filter((name) => {
        const target = LAYERS.find((layer) => layer.folder === name.split("/")[0]);
        return target === undefined || target.rank > rank;
      })
      .map((name) => `${folder} -> ${name}`);
  });
  expect(upward).toEqual([]);
});

test("ARCHITECTURE.md shows the layer table that is enforced", async () => {
  const text = await readFile(join(SRC, "ARCHITECTURE.md"), "utf8");
  expect(text).toContain(layerTable());
});

test("nothing imports main.ts, and workers.ts is imported by main.ts alone", () => {
  const wrong = sources.flatMap(({ path, imports }) =>
    imports
      .filter(({ target }) => target === "main" || (target === "workers" && path !== "main.ts"))
      .map(({ specifier }) => `${path} ${specifier}`),
  );
  expect(wrong).toEqual([]);
});

test("sources import each other with their extension and never a directory", () => {
  const wrong = sources.flatMap(({ path, imports }) =>
    imports
      .filter(({ specifier }) => specifier.startsWith(".") && !/\.(?:ts|json)$/.test(specifier))
      .map(({ specifier }) => `${path} ${specifier}`),
  );
  expect(wrong).toEqual([]);
});
