import { expect, test } from "bun:test";
import { fetchZtoc } from "../../src/image/open-layer.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { TestRegistry } from "../support/registry.ts";

test.each([
  { title: "than its layer can need", layerSize: 1000, size: 2 ** 27 },
  { title: "than any layer's may be", layerSize: 2 ** 42, size: 2 ** 29 + 1 },
])("fetchZtoc() does not ask for a zTOC that is larger $title", async ({ layerSize, size }) => {
  await using registry = TestRegistry.start({});
  await using source = await openImageSource(`${registry.host}/app:v1`);
  const records: LogRecord[] = [];
  const log = createLogger({ level: "warn", sink: (record) => records.push(record) });
  const layer = { mediaType: "a/layer", digest: digestOf("layer"), size: layerSize };
  const ztoc = { mediaType: "a/ztoc", digest: digestOf("ztoc"), size };
  expect(await fetchZtoc(layer, ztoc, { source, log })).toBeUndefined();
  expect(registry.requests).toHaveLength(0);
  expect(records).toMatchObject([{ message: "layer is not lazy" }]);
});
