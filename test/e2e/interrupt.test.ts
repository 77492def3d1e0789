import { beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { addImage } from "../support/image-builder.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { TestRegistry } from "../support/registry.ts";
import {
  buildSociable,
  SOCIABLE,
  sociable,
  sociableJson,
  sociableOutput,
} from "../support/sociable-binary.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { CREATE, sampleImage } from "./sample-image.ts";

beforeAll(buildSociable, 120_000);

const image = await sampleImage();

/** `create` under way: some of the layers' bytes have come, and not all of them. */
async function startCreate(temp: TempDir) {
  await using resources = new AsyncDisposableStack();
  const registry = resources.use(TestRegistry.start());
  await addImage(registry, "app", { image, tag: "v1" });
  const proxy = resources.use(
    await LatencyProxy.start({ target: registry.host, bytesPerSecond: 400_000 }),
  );
  const [command = "", ...rest] = CREATE;
  const argv = [command, "--root", temp.join("root"), ...rest, `${proxy.host}/app:v1`];
  const child = Bun.spawn([SOCIABLE, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  resources.defer(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  const layer = image.layers[0]?.descriptor.digest ?? "";
  while (!registry.requests.some(({ path }) => path.endsWith(layer))) await Bun.sleep(10);
  await Bun.sleep(300);
  const owned = resources.move();
  return {
    child,
    name: `${registry.host}/app:v1`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Blobs of a store whose bytes are not those of their names, and files that were being written. */
async function damages(root: string): Promise<string[]> {
  const blobs = join(root, "content/blobs/sha256");
  const wrong: string[] = [];
  for (const name of await readdir(blobs).catch(() => [])) {
    const bytes = await readFile(join(blobs, name));
    if (createHash("sha256").update(bytes).digest("hex") !== name) wrong.push(name);
  }
  return wrong;
}

async function unfinished(root: string): Promise<string[]> {
  return await readdir(join(root, "content/ingest")).catch(() => []);
}

describe("sociable create, interrupted", () => {
  test("by Ctrl-C exits 130 at once and leaves nothing half done", async () => {
    await using temp = await tempDir();
    await using running = await startCreate(temp);
    const started = performance.now();
    running.child.kill("SIGINT");
    expect(await running.child.exited).toBe(130);
    expect(performance.now() - started).toBeLessThan(5000);
    const root = temp.join("root");
    expect(await damages(root)).toEqual([]);
    expect(await unfinished(root)).toEqual([]);
    expect(await sociableJson(root, ["index", "list", "--json"])).toEqual([]);
    expect(await new Response(running.child.stdout).text()).toBe("");
  });

  test("by SIGTERM exits 143", async () => {
    await using temp = await tempDir();
    await using running = await startCreate(temp);
    running.child.kill("SIGTERM");
    expect(await running.child.exited).toBe(143);
  });

  test("by kill -9 leaves a store that the next create completes", async () => {
    await using temp = await tempDir();
    await using running = await startCreate(temp);
    running.child.kill("SIGKILL");
    await running.child.exited;
    const root = temp.join("root");
    expect(await damages(root)).toEqual([]);
    await sociableOutput(root, [...CREATE, running.name]);
    expect(await unfinished(root)).toEqual([]);
    expect(await sociableJson(root, ["index", "list", "--json"])).toHaveLength(1);
    expect(await sociable(root, ["push", running.name])).toMatchObject({ code: 0 });
  });
});
