import { expect, test } from "bun:test";
import { repeatedBytes } from "./repeated-bytes.ts";

const ask = (path: string, range?: string) => ({
  head: `GET ${path} HTTP/1.1\r\nHost: x\r\n${range === undefined ? "" : `Range: bytes=${range}\r\n`}\r\n`,
});

test("repeatedBytes() counts what ranges of one blob have in common", () => {
  const asked = [
    ask("/v2/a/blobs/sha256:1", "0-99"),
    ask("/v2/a/blobs/sha256:1", "200-299"),
    ask("/v2/a/blobs/sha256:1", "50-249"),
    ask("/v2/a/blobs/sha256:2", "0-99"),
  ];
  expect(repeatedBytes(asked)).toEqual({ requests: 4, bytes: 500, repeated: 100 });
});

test("repeatedBytes() leaves out what is no range of a blob", () => {
  const asked = [ask("/v2/a/blobs/sha256:1"), ask("/v2/a/manifests/latest", "0-1")];
  expect(repeatedBytes(asked)).toEqual({ requests: 0, bytes: 0, repeated: 0 });
});
