import { describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { cacheRootOf, treesDirectory } from "../../src/cache/cache-paths.ts";
import { writeTable } from "../../src/cache/write-table.ts";
import { ZtocMemory, type ZtocMemoryOptions } from "../../src/image/ztoc-memory.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { ALL_MODES } from "../../src/soci/discover.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";
import { addIndex } from "./add-index.ts";
import { placeImage } from "./opened-image.ts";
import { image } from "./prepare-samples.ts";
import { startPreparation } from "./started-preparation.ts";

const MANIFEST = digestOf("manifest");
const ONE: ReadonlyMap<Digest, Digest> = new Map([[digestOf("a"), digestOf("zTOC of a")]]);
const TWO: ReadonlyMap<Digest, Digest> = new Map([[digestOf("b"), digestOf("zTOC of b")]]);

function memory(root: string, options: Partial<ZtocMemoryOptions> = {}): ZtocMemory {
  return new ZtocMemory({
    cacheRoot: cacheRootOf(root),
    sourceName: "registry.example/app:1",
    index: undefined,
    modes: ALL_MODES,
    ...options,
  });
}

/** The one file that there is. */
async function fileIn(root: string): Promise<string> {
  const directory = treesDirectory(cacheRootOf(root));
  const [name, ...others] = await readdir(directory);
  if (name === undefined || others.length > 0) throw new Error(`${directory} has no one file`);
  return join(directory, name);
}

describe("ZtocMemory", () => {
  test("gives back what was kept, and what is kept later beside it", async () => {
    await using root = await tempDir();
    expect(memory(root.path).read(MANIFEST)).toEqual(new Map());
    await memory(root.path).keep(MANIFEST, ONE);
    expect(memory(root.path).read(MANIFEST)).toEqual(new Map(ONE));
    await memory(root.path).keep(MANIFEST, TWO);
    await memory(root.path).keep(MANIFEST, ONE);
    expect(memory(root.path).read(MANIFEST)).toEqual(new Map([...ONE, ...TWO]));
    const later = new Map([[digestOf("a"), digestOf("another")]]);
    await memory(root.path).keep(MANIFEST, later);
    expect(memory(root.path).read(MANIFEST)).toEqual(new Map([...later, ...TWO]));
  });

  test("writes no file when there is nothing to keep", async () => {
    await using root = await tempDir();
    await memory(root.path).keep(MANIFEST, new Map());
    expect(await rejectionOf(fileIn(root.path))).toBeInstanceOf(Error);
  });

  test.each<{ title: string; options: Partial<ZtocMemoryOptions> }>([
    { title: "by another name", options: { sourceName: "evil.example/app:1" } },
    { title: "with an index", options: { index: { digest: digestOf("index") } } },
    {
      title: "with an index of a file",
      options: { index: { bytes: Buffer.from("index"), name: "index.json" } },
    },
    { title: "in other modes", options: { modes: { v1: false, v2: true, local: true } } },
  ])("knows nothing for who asks $title", async ({ options }) => {
    await using root = await tempDir();
    await memory(root.path).keep(MANIFEST, ONE);
    expect(memory(root.path, options).read(MANIFEST)).toEqual(new Map());
    await memory(root.path, options).keep(MANIFEST, TWO);
    expect(memory(root.path, options).read(MANIFEST)).toEqual(new Map(TWO));
    expect(memory(root.path).read(MANIFEST)).toEqual(new Map(ONE));
    expect(memory(root.path).read(digestOf("another manifest"))).toEqual(new Map());
  });

  test("forgets what is damaged, or of another image, and keeps anew", async () => {
    await using root = await tempDir();
    const cacheRoot = cacheRootOf(root.path);
    await memory(root.path).keep(MANIFEST, ONE);
    const path = await fileIn(root.path);
    const bytes = await Bun.file(path).bytes();
    const text = Buffer.from(bytes).toString("latin1");
    const [head = ""] = text.split("\n");
    const layer = digestOf("a");
    const contents = [
      "",
      head,
      `${head}\n${layer}\n`,
      `${head}\n${layer} ${layer}`,
      `${head}\n${layer} ${layer} ${layer}\n`,
      `${head}\n${layer} sha256:../../x\n`,
      `1 ${digestOf("somebody else")}\n${layer} ${layer}\n`,
      `2${head.slice(1)}\n${layer} ${layer}\n`,
    ];
    for (const content of contents) {
      await writeTable(path, Buffer.from(content), { cacheRoot });
      expect([content, memory(root.path).read(MANIFEST)]).toEqual([content, new Map()]);
    }
    for (const length of [0, 10, bytes.length - 1]) {
      await Bun.write(path, bytes.slice(0, length));
      expect(memory(root.path).read(MANIFEST)).toEqual(new Map());
    }
    await memory(root.path).keep(MANIFEST, ONE);
    expect(memory(root.path).read(MANIFEST)).toEqual(new Map(ONE));
  });
});

test("ImagePreparation.layer() gives what came by the image's zTOCs although the image cannot be had", async () => {
  await using root = await tempDir();
  await using placed = await placeImage(image);
  await addIndex(placed.registry, image, { only: [0] });
  const options = { outsideIndex: "refuse", manifestDigest: image.descriptor.digest } as const;
  {
    await using first = await startPreparation(root.path, placed.name, options);
    expect(await first.outcomes(image.layers)).toEqual(["index", "no-ztoc"]);
    expect(await rejectionOf(first.preparation.tree())).toMatchObject({ kind: "not-found" });
  }
  placed.registry.failNext(100, { status: 403, path: /./ });
  {
    await using started = await startPreparation(root.path, placed.name, options);
    expect(await started.outcomes(image.layers)).toEqual(["cache", "registry"]);
  }
  await using nameless = await startPreparation(root.path, placed.name);
  expect(await nameless.outcomes(image.layers)).toEqual(["registry", "registry"]);
});
