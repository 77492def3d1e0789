import { expect, test } from "bun:test";
import fc from "fast-check";
import { digestOf } from "../../src/oci/digest.ts";
import { formatGoDuration } from "../../src/soci/go-duration.ts";
import { formatIndexTable, indentJson } from "../../src/soci/index-listing.ts";
import { formatTabTable } from "../../src/soci/tab-table.ts";
import { formatZtocInfo } from "../../src/soci/ztoc-info.ts";
import { formatZtocTable } from "../../src/soci/ztoc-listing.ts";
import type { Ztoc } from "../../src/ztoc/ztoc.ts";
import { toc } from "../tree/toc-entries.ts";
import { indexArtifact, ztocArtifact } from "./sample-artifact.ts";

test("formatTabTable() makes columns at least eight wide and pads the last", () => {
  expect(
    formatTabTable([
      ["A", "LONGER"],
      ["BCDEF", "x"],
    ]),
  ).toBe("A        LONGER    \nBCDEF    x         \n");
});

test("formatTabTable() counts characters, not bytes", () => {
  expect(formatTabTable([["äöü", "x"]])).toBe("äöü     x       \n");
});

test.each([
  { milliseconds: 0, want: "0s" },
  { milliseconds: 499, want: "0s" },
  { milliseconds: 500, want: "1s" },
  { milliseconds: 59_600, want: "1m0s" },
  { milliseconds: 3_600_000, want: "1h0m0s" },
  { milliseconds: 93_784_000, want: "26h3m4s" },
  { milliseconds: -2000, want: "-2s" },
  { milliseconds: -100, want: "0s" },
])("formatGoDuration($milliseconds) is $want", ({ milliseconds, want }) => {
  expect(formatGoDuration(milliseconds)).toBe(want);
});

test("formatIndexTable() prints the Go tool's table", () => {
  expect(
    formatIndexTable(
      [
        indexArtifact("a"),
        indexArtifact("b", {
          createdAt: 0,
          imageName: "",
          artifactType: "application/vnd.amazon.soci.index.v2+json",
        }),
      ],
      66_000,
    ),
  ).toBe(
    `DIGEST                                                                     SIZE    IMAGE REF                             PLATFORM       MEDIA TYPE                                    MANIFEST VERSION    CREATED     \n` +
      `${digestOf("a")}    2038    127.0.0.1:5050/golden/small:latest    linux/amd64    application/vnd.oci.image.manifest.v1+json    v1                  1m5s ago    \n` +
      `${digestOf("b")}    2038                                          linux/amd64    application/vnd.oci.image.manifest.v1+json    v2                  n/a         \n`,
  );
});

test("formatIndexTable() of nothing prints the heads", () => {
  expect(formatIndexTable([], 0)).toBe(
    "DIGEST    SIZE    IMAGE REF    PLATFORM    MEDIA TYPE    MANIFEST VERSION    CREATED    \n",
  );
});

test("formatZtocTable() prints the Go tool's table", () => {
  expect(formatZtocTable([ztocArtifact("a")])).toBe(
    `DIGEST                                                                     SIZE     LAYER DIGEST                                                               \n` +
      `${digestOf("a")}    34496    ${digestOf("layer")}    \n`,
  );
});

test("indentJson() lays out with two spaces and keeps every token as it is", () => {
  expect(indentJson('{"a":[1,{"b":"x:{\\"}"}],"c":{},"d":[ ],"e":1.0,"f":"\\u003c"}')).toBe(
    `{
  "a": [
    1,
    {
      "b": "x:{\\"}"
    }
  ],
  "c": {},
  "d": [],
  "e": 1.0,
  "f": "\\u003c"
}`,
  );
});

test("indentJson() lays out any JSON as JSON.stringify() does", () => {
  fc.assert(
    fc.property(fc.json(), (json) => {
      const value = JSON.parse(json);
      expect(indentJson(JSON.stringify(value))).toBe(JSON.stringify(value, undefined, 2));
    }),
  );
});

function ztocOf(files: Ztoc["files"]): Ztoc {
  return {
    version: "0.9",
    buildToolIdentifier: "AWS SOCI CLI v0.2",
    compressedArchiveSize: 4096,
    uncompressedArchiveSize: 4096,
    compressionAlgorithm: "uncompressed",
    maxSpanId: 3,
    spanDigests: [],
    zinfo: {
      bytes: new Uint8Array(),
      maxSpanId: 3,
      spanSize: 1024,
      rangeOf: () => {
        throw new Error("not asked for");
      },
      spanOf: (offset) => Math.floor(offset / 1024),
    },
    files,
  };
}

test("formatZtocInfo() prints the Go tool's JSON", () => {
  const files = toc([
    { name: "a<b", uncompressedSize: 512 },
    { name: Uint8Array.of(0xff), type: "dir" },
  ]);
  expect([...formatZtocInfo(ztocOf(files), 99)].join("")).toBe(`{
  "version": "0.9",
  "build_tool": "AWS SOCI CLI v0.2",
  "size": 99,
  "span_size": 1024,
  "num_spans": 4,
  "num_files": 2,
  "num_multi_span_files": 1,
  "files": [
    {
      "filename": "a\\u003cb",
      "offset": 512,
      "size": 512,
      "type": "reg",
      "start_span": 0,
      "end_span": 1
    },
    {
      "filename": "\\ufffd",
      "offset": 1536,
      "size": 0,
      "type": "dir",
      "start_span": 1,
      "end_span": 1
    }
  ]
}
`);
});

test("formatZtocInfo() of no files prints null, as Go does of a nil slice", () => {
  expect([...formatZtocInfo(ztocOf([]), 99)].join("")).toEndWith(
    '  "num_files": 0,\n  "num_multi_span_files": 0,\n  "files": null\n}\n',
  );
});
