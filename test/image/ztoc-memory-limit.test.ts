import { expect, test } from "bun:test";
import { ByteBudget } from "../../src/image/byte-budget.ts";
import { decodeSociIndex, ztocReferences } from "../../src/soci/soci-index.ts";
import { tempDir } from "../support/temp-dir.ts";
import { addIndex } from "./add-index.ts";
import { placeImage } from "./opened-image.ts";
import { blobsAsked, image, lower, upper } from "./prepare-samples.ts";
import { startPreparation } from "./started-preparation.ts";

test("no zTOC is read before there is memory for it among all images", async () => {
  await using root = await tempDir();
  await using placed = await placeImage(image);
  const { registry, name } = placed;
  const index = decodeSociIndex(await addIndex(registry, image, { only: [1] }));
  const ztoc = ztocReferences(index)[0]?.descriptor.digest ?? "no zTOC";
  const ztocMemory = new ByteBudget(1);
  using others = await ztocMemory.acquire(1);
  await using started = await startPreparation(root.path, name, { limits: { ztocMemory } });
  const outcome = started.outcome(upper.descriptor.digest);
  expect(await started.outcome(lower.descriptor.digest)).toBe("streamed");
  expect(blobsAsked(registry.requests)).not.toContain(ztoc);
  others[Symbol.dispose]();
  expect(await outcome).toBe("index");
  expect(blobsAsked(registry.requests)).toContain(ztoc);
});
