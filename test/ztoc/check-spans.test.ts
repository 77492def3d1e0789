import { describe, expect, test } from "bun:test";
import { digestOf } from "../../src/oci/digest.ts";
import { checkSpans } from "../../src/ztoc/check-spans.ts";
import {
  CHECKPOINT_BYTES,
  encodeCheckpoint,
  encodeGzipZinfoHeader,
  GzipZinfo,
} from "../../src/ztoc/gzip-zinfo.ts";
import { encodeTarZinfo, TarZinfo } from "../../src/ztoc/tar-zinfo.ts";
import type { Ztoc } from "../../src/ztoc/ztoc.ts";

function gzip(places: readonly (readonly [number, number, number])[]): GzipZinfo {
  const records = places.map(([compressed, out, bits]) => {
    const record = new Uint8Array(CHECKPOINT_BYTES);
    encodeCheckpoint(record, { in: compressed, out, bits });
    return record;
  });
  const header = encodeGzipZinfoHeader(places.length, 4096);
  return new GzipZinfo(new Uint8Array(Buffer.concat([header, ...records])));
}

function ztoc(fields: Partial<Ztoc>): Ztoc {
  const zinfo = fields.zinfo ?? gzip([[10, 0, 0]]);
  return {
    version: "0.9",
    buildToolIdentifier: "test",
    compressedArchiveSize: 1000,
    uncompressedArchiveSize: 2000,
    compressionAlgorithm: zinfo instanceof GzipZinfo ? "gzip" : "uncompressed",
    maxSpanId: zinfo.maxSpanId,
    spanDigests: Array.from({ length: zinfo.maxSpanId + 1 }, () => digestOf("x")),
    zinfo,
    files: [],
    ...fields,
  };
}

const tar = (spanSize: number, size: number) => new TarZinfo(encodeTarZinfo({ spanSize, size }));

describe("checkSpans()", () => {
  test.each([
    {
      title: "spans in order",
      fields: {
        zinfo: gzip([
          [10, 0, 0],
          [500, 900, 3],
        ]),
      },
    },
    {
      title: "a last span that starts behind the tar",
      fields: {
        zinfo: gzip([
          [10, 0, 0],
          [900, 2500, 0],
        ]),
      },
    },
    { title: "a plain tar", fields: { zinfo: tar(400, 1000) } },
  ])("accepts $title", ({ fields }) => {
    expect(checkSpans(ztoc(fields))).toBeUndefined();
  });

  test.each([
    { title: "another max span ID", fields: { maxSpanId: 1 }, reason: "max span ID is 1, want 0" },
    { title: "a digest too few", fields: { spanDigests: [] }, reason: "0 span digests, want 1" },
    { title: "no checkpoints", fields: { zinfo: gzip([]) }, reason: "no spans" },
    { title: "an empty blob", fields: { compressedArchiveSize: 0 }, reason: "no spans" },
    { title: "an empty plain tar", fields: { zinfo: tar(400, 0) }, reason: "no spans" },
    { title: "a span size of 0", fields: { zinfo: tar(0, 1000) }, reason: "span size is 0" },
    {
      title: "spans without output",
      fields: {
        zinfo: gzip([
          [10, 0, 0],
          [30, 0, 0],
        ]),
      },
      reason: "non-monotonic: span 0",
    },
    {
      title: "spans that go back in the blob",
      fields: {
        zinfo: gzip([
          [10, 0, 0],
          [500, 900, 0],
          [400, 1200, 0],
        ]),
      },
      reason: "non-monotonic: span 1",
    },
    {
      title: "a span that starts before the blob",
      fields: { zinfo: gzip([[0, 0, 1]]) },
      reason: "starts at byte -1",
    },
    {
      title: "a span that starts behind the blob",
      fields: { zinfo: gzip([[1001, 0, 0]]) },
      reason: "starts at byte 1001",
    },
  ])("refuses $title", ({ fields, reason }) => {
    expect(checkSpans(ztoc(fields))).toContain(reason);
  });
});
