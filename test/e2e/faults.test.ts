import { beforeAll, describe, expect, test } from "bun:test";
import { addImage } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import { buildSociable, sociable, sociableOutput } from "../support/sociable-binary.ts";
import { tempDir } from "../support/temp-dir.ts";
import { CREATE, EXPECTED, sampleImage } from "./sample-image.ts";

beforeAll(buildSociable, 120_000);

const image = await sampleImage();
const want = EXPECTED.get("/bin/app") ?? Buffer.alloc(0);
const base = image.layers[0]?.descriptor.digest ?? "";
const BASE = new RegExp(`/blobs/${base}`);

/** An image indexed without trouble, and `cat` of a file of its lowest layer elsewhere. */
async function openStage() {
  await using resources = new AsyncDisposableStack();
  const temp = resources.use(await tempDir());
  const registry = resources.use(TestRegistry.start());
  await addImage(registry, "app", { image, tag: "v1" });
  const name = `${registry.host}/app:v1`;
  await sociableOutput(temp.join("builder"), [...CREATE, name]);
  await sociableOutput(temp.join("builder"), ["push", name]);
  registry.clearRequests();
  const owned = resources.move();
  return {
    registry,
    cat: () => sociable(temp.join("reader"), ["cat", name, "/bin/app"]),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describe("sociable cat from a registry with faults", () => {
  test.each([
    {
      title: "that sends a wrong byte once",
      order: (registry: TestRegistry) => registry.corruptNext(1, { at: 1000, path: BASE }),
    },
    {
      title: "that breaks the connection, again and again",
      order: (registry: TestRegistry) => registry.cutNext(3, { at: 50_000, path: BASE }),
    },
    {
      title: "that is busy for a moment",
      order: (registry: TestRegistry) =>
        registry.failNext(2, { status: 503, headers: { "retry-after": "0" }, path: BASE }),
    },
    {
      title: "that asks to come back later",
      order: (registry: TestRegistry) =>
        registry.failNext(1, { status: 429, headers: { "retry-after": "1" } }),
    },
    {
      title: "that answers ranges in pieces",
      order: (registry: TestRegistry) => {
        registry.manners.maxRangeBytes = 100_000;
      },
    },
  ])("gets the right bytes from one $title", async ({ order }) => {
    await using stage = await openStage();
    order(stage.registry);
    const { code, stdout } = await stage.cat();
    expect(code).toBe(0);
    expect(Buffer.from(stdout).equals(want)).toBe(true);
  });

  test("never prints a wrong byte, and names layer and span, when they stay wrong", async () => {
    await using stage = await openStage();
    // Far behind the first span: what comes before it is right, and may be printed.
    stage.registry.corruptNext(1000, { at: 20_000, path: BASE });
    const { code, stdout, stderr } = await stage.cat();
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`^sociable: .*span \\d+ of layer ${base}`, "m"));
    expect(want.subarray(0, stdout.length).equals(stdout)).toBe(true);
    expect(stdout.length).toBeLessThan(want.length);
  });

  test("exits 1 with the registry's word when the layer is gone", async () => {
    await using stage = await openStage();
    stage.registry.failNext(1000, { status: 404, path: BASE });
    const { code, stdout, stderr } = await stage.cat();
    expect({ code, stdout: stdout.length }).toEqual({ code: 1, stdout: 0 });
    expect(stderr).toContain("404");
  });

  test("streams the layers when the zTOCs are damaged, and the bytes are right", async () => {
    await using stage = await openStage();
    const layers = image.layers.map(({ descriptor }) => descriptor.digest);
    // Every blob that is no layer is a zTOC.
    const notLayers = new RegExp(`/blobs/(?!${layers.join("|")})`);
    stage.registry.corruptNext(1000, { at: 100, path: notLayers });
    const { code, stdout, stderr } = await stage.cat();
    expect(code).toBe(0);
    expect(stderr).toContain("layer is not lazy");
    expect(Buffer.from(stdout).equals(want)).toBe(true);
  });

  test("exits 1 where nobody listens", async () => {
    await using temp = await tempDir();
    const registry = TestRegistry.start();
    const name = `${registry.host}/app:v1`;
    await registry[Symbol.asyncDispose]();
    const { code, stdout } = await sociable(temp.path, ["cat", name, "/a"]);
    expect({ code, stdout: stdout.length }).toEqual({ code: 1, stdout: 0 });
  });
});
