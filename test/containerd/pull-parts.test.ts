import { describe, expect, test } from "bun:test";
import { status } from "@grpc/grpc-js";
import { chainIds } from "../../src/containerd/chain-ids.ts";
import { contentLabels, snapshotLabels } from "../../src/containerd/gc-labels.ts";
import { fromGrpcError, toGrpcStatus } from "../../src/containerd/grpc-error.ts";
import { layerLabels, MAX_LABEL_BYTES } from "../../src/containerd/snapshot-labels.ts";
import { type ErrorKind, SociError } from "../../src/errors.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";

const layer = (position: number): Descriptor => ({
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  digest: digestOf(`layer ${position}`),
  size: position * 1_000_000_000_000,
});

describe("chainIds()", () => {
  test("hashes each layer onto what lies below", () => {
    const [a, b, c] = [digestOf("a"), digestOf("b"), digestOf("c")];
    const ab = digestOf(`${a} ${b}`);
    expect(chainIds([a, b, c])).toEqual([a, ab, digestOf(`${ab} ${c}`)]);
    expect(chainIds([])).toEqual([]);
  });
});

describe("layerLabels()", () => {
  const labelsOf = (count: number) =>
    layerLabels({
      chainId: digestOf("chain"),
      imageName: "example.com/app:1",
      manifest: digestOf("manifest"),
      layers: [layer(1), ...Array.from({ length: count - 1 }, (_, index) => layer(index + 2))],
    });

  test.each([{ count: 1 }, { count: 56 }, { count: 57 }, { count: 400 }])(
    "names of $count layers as many as containerd takes, and their sizes",
    ({ count }) => {
      const labels = labelsOf(count);
      for (const [key, value] of Object.entries(labels)) {
        expect(key.length + value.length).toBeLessThanOrEqual(MAX_LABEL_BYTES);
      }
      const digests = labels["containerd.io/snapshot/cri.image-layers"]?.split(",") ?? [];
      const sizes = labels["containerd.io/snapshot/remote/image.layers.size"]?.split(",") ?? [];
      expect(digests).toHaveLength(Math.min(count, 56));
      expect(sizes).toHaveLength(digests.length);
      expect(digests[0]).toBe(layer(1).digest);
    },
  );

  test("names no index that nobody gave", () => {
    expect(labelsOf(1)).not.toHaveProperty(["containerd.io/snapshot/remote/soci.index.digest"]);
  });
});

describe("labels against collection", () => {
  test("hold what a manifest and an index name", () => {
    const config = layer(9);
    const manifest = { kind: "manifest", mediaType: "m", config, layers: [layer(1), layer(2)] };
    expect(contentLabels({ ...manifest, kind: "manifest" })).toEqual({
      "containerd.io/gc.ref.content.config": config.digest,
      "containerd.io/gc.ref.content.l.0": layer(1).digest,
      "containerd.io/gc.ref.content.l.1": layer(2).digest,
    });
    expect(contentLabels({ kind: "index", mediaType: "i", manifests: [layer(3)] })).toEqual({
      "containerd.io/gc.ref.content.m.0": layer(3).digest,
    });
  });

  test("hold the snapshot of all layers, if there is one", () => {
    expect(snapshotLabels("sociable", digestOf("x"))).toEqual({
      "containerd.io/gc.ref.snapshot.sociable": digestOf("x"),
    });
    expect(snapshotLabels("sociable", undefined)).toEqual({});
  });
});

describe("toGrpcStatus()", () => {
  const kinds: readonly { readonly kind: ErrorKind; readonly code: status }[] = [
    { kind: "invalid-argument", code: status.INVALID_ARGUMENT },
    { kind: "not-found", code: status.NOT_FOUND },
    { kind: "already-exists", code: status.ALREADY_EXISTS },
    { kind: "failed-precondition", code: status.FAILED_PRECONDITION },
    { kind: "unauthenticated", code: status.UNAUTHENTICATED },
    { kind: "permission-denied", code: status.PERMISSION_DENIED },
    { kind: "unavailable", code: status.UNAVAILABLE },
    { kind: "data-loss", code: status.DATA_LOSS },
    { kind: "unsupported", code: status.UNIMPLEMENTED },
    { kind: "internal", code: status.INTERNAL },
  ];

  test.each(kinds)("makes $kind what it becomes again", ({ kind, code }) => {
    const made = toGrpcStatus(new SociError(kind, "Cannot do it"));
    expect(made).toEqual({ code, details: "Cannot do it" });
    const answer = Object.assign(new Error("13 INTERNAL"), {
      ...made,
      metadata: undefined as never,
    });
    expect(fromGrpcError(answer, "ask")).toMatchObject({
      kind,
      message: "Cannot ask: Cannot do it",
    });
  });

  test("tells the causes that are ours, and no others", () => {
    const inner = new SociError("unavailable", "Cannot connect", { cause: new Error("secret") });
    const outer = new SociError("not-found", "Cannot find it", { cause: inner });
    expect(toGrpcStatus(outer).details).toBe("Cannot find it: Cannot connect");
  });

  test.each([
    { title: "an abort", error: new DOMException("a", "AbortError"), code: status.CANCELLED },
    {
      title: "a timeout",
      error: new DOMException("t", "TimeoutError"),
      code: status.DEADLINE_EXCEEDED,
    },
    { title: "a bug", error: new TypeError("x is not a function"), code: status.INTERNAL },
    { title: "no error at all", error: "thrown", code: status.INTERNAL },
  ])("knows $title", ({ error, code }) => {
    expect(toGrpcStatus(error).code).toBe(code);
  });

  test("keeps within what a header holds, and well-formed", () => {
    const { details } = toGrpcStatus(new SociError("internal", `${"x".repeat(2047)}\u{1f600}`));
    expect(details.length).toBeLessThanOrEqual(2049);
    expect(() => encodeURI(details)).not.toThrow();
    expect(() => encodeURI(toGrpcStatus(new Error("\ud800")).details)).not.toThrow();
  });
});
