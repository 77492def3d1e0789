import { describe, expect, test } from "bun:test";
import type { BlobOpened } from "../../src/oci/image-source.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { layerOf } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

const { bytes, descriptor } = layerOf(sampleBytes(200_000));

async function open() {
  await using resources = new AsyncDisposableStack();
  const registry = resources.use(TestRegistry.start());
  await registry.addBlob("app", bytes);
  const source = resources.use(await openImageSource(`${registry.host}/app:v1`));
  const owned = resources.move();
  return { registry, source, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

describe("blobRange()", () => {
  test("leaves a failed request to the caller who wants to try again himself", async () => {
    await using opened = await open();
    opened.registry.failNext(1, { status: 503, headers: { "retry-after": "7" } });
    const range = { start: 0, end: 1000, retry: false };
    const reading = Array.fromAsync(opened.source.blobRange(descriptor, range));
    await expect(reading).rejects.toMatchObject({ status: 503, retryAfterMs: 7000 });
    expect(opened.registry.requests).toHaveLength(1);
  });

  test("leaves a body that breaks off to him too, with what has come", async () => {
    await using opened = await open();
    opened.registry.cutNext(1, { at: 10_000 });
    let length = 0;
    const reading = (async () => {
      const range = { start: 0, end: 50_000, retry: false };
      for await (const chunk of opened.source.blobRange(descriptor, range)) length += chunk.length;
    })();
    await expect(reading).rejects.toMatchObject({ temporary: true });
    expect(length).toBeLessThanOrEqual(10_000);
    expect(opened.registry.requests).toHaveLength(1);
  });

  test.each([
    { title: "the range", ignoreRange: false },
    { title: "the whole blob", ignoreRange: true },
  ])("tells that the answer begins, and brings $title", async ({ ignoreRange }) => {
    await using opened = await open();
    opened.registry.manners.ignoreRange = ignoreRange;
    const answers: BlobOpened[] = [];
    const onOpen = (answer: BlobOpened): void => {
      answers.push(answer);
    };
    const range = { start: 500, end: 1500, onOpen };
    const chunks = await Array.fromAsync(opened.source.blobRange(descriptor, range));
    expect(Buffer.concat(chunks).equals(bytes.subarray(500, 1500))).toBe(true);
    expect(answers).toMatchObject([{ isPartial: !ignoreRange }]);
  });
});
