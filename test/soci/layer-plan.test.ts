import { expect, test } from "bun:test";
import { digestOf } from "../../src/oci/digest.ts";
import { checkSpanSize, parseOptimization, planLayers } from "../../src/soci/layer-plan.ts";

const digest = digestOf("layer");
const OCI = "application/vnd.oci.image.layer.v1.tar";
const NONDIST = "application/vnd.oci.image.layer.nondistributable.v1.tar";
const DOCKER = "application/vnd.docker.image.rootfs.diff.tar";

function plan(mediaType: string, size = 100, minLayerSize = 0) {
  const [only] = planLayers([{ mediaType, digest, size }], { minLayerSize });
  return only;
}

test.each([
  { mediaType: `${OCI}+gzip`, algorithm: "gzip" },
  { mediaType: OCI, algorithm: "uncompressed" },
  { mediaType: `${NONDIST}+gzip`, algorithm: "gzip" },
  { mediaType: `${DOCKER}.gzip`, algorithm: "gzip" },
  { mediaType: DOCKER, algorithm: "uncompressed" },
  { mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", algorithm: "gzip" },
  { mediaType: `${OCI}+encrypted+gzip`, algorithm: "gzip" },
])("planLayers() builds $mediaType as $algorithm", ({ mediaType, algorithm }) => {
  expect(plan(mediaType)).toMatchObject({ action: "build", algorithm });
});

test.each([
  { mediaType: `${OCI}+zstd`, got: "zstd" },
  { mediaType: NONDIST, got: "" },
  { mediaType: `${OCI}+xz`, got: "" },
  { mediaType: `${DOCKER}.zstd`, got: "zstd" },
  { mediaType: `${DOCKER}.gzip+encrypted`, got: "" },
  { mediaType: "application/vnd.oci.image.layer.v2.tar", got: "" },
])("planLayers() skips $mediaType in the Go tool's words", ({ mediaType, got }) => {
  expect(plan(mediaType)).toMatchObject({
    action: "skip",
    reason: "unsupported-compression",
    message: `ztoc skipped - layer ${digest} (${mediaType}) is compressed in an unsupported format. expect: [tar, gzip, unknown] but got "${got}"`,
  });
});

test("planLayers() skips a layer below the minimum, before it looks at the compression", () => {
  expect(plan(`${OCI}+zstd`, 9, 10)).toMatchObject({
    reason: "too-small",
    message: `ztoc skipped - layer ${digest} (${OCI}+zstd) size 9 is less than min-layer-size 10`,
  });
});

test("planLayers() builds a layer of exactly the minimum", () => {
  expect(plan(OCI, 10, 10)?.action).toBe("build");
});

test("planLayers() has a minimum of 10 MiB", () => {
  const sizes = [10_485_759, 10_485_760].map((size) => ({ mediaType: OCI, digest, size }));
  expect(planLayers(sizes).map(({ action }) => action)).toEqual(["skip", "build"]);
});

test("planLayers() passes over prefetch artifacts in silence", () => {
  expect(plan("application/vnd.amazon.soci.prefetch.v1+json")).toMatchObject({
    reason: "prefetch",
    message: "",
  });
});

test.each(["application/octet-stream", "application/vnd.in-toto+json", ""])(
  "planLayers() refuses %p, which is no layer",
  (mediaType) => {
    expect(() => plan(mediaType)).toThrow(expect.objectContaining({ kind: "failed-precondition" }));
  },
);

test.each([-1, 1.5, Number.NaN])("planLayers() refuses a minimum of %p", (minLayerSize) => {
  expect(() => planLayers([], { minLayerSize })).toThrow("min layer size must be >= 0");
});

test("checkSpanSize() takes 0 and refuses -1", () => {
  expect(() => checkSpanSize(0)).not.toThrow();
  expect(() => checkSpanSize(-1)).toThrow("span size must be >= 0");
});

test("parseOptimization() names what there is", () => {
  expect(parseOptimization("xattr")).toBe("xattr");
  expect(() => parseOptimization("x")).toThrow(
    "optimization x is not a valid optimization [xattr]",
  );
});
